"""Which charts the page shows and what is drawn in each: the timeline as JSON for the page's script.

Nothing is computed here but what drawing needs: values are rounded to four digits, which is finer than a screen.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from plans.metrics import METRICS
from reports.analysis import SPECTRUM, Analysis, CriterionResult, Selection, Series
from reports.figures import limit_text
from reports.texts import one_line
from samples.journal import EventKind

_TONES = ("blue", "orange", "green", "violet", "sky", "red", "ink")

# key -> (tone, dash, width); the tones are custom properties of styles/theme.css. Dashes differ as well as the
# hues, so that lines can be told apart without seeing colours.
_STYLES: dict[str, tuple[str, tuple[int, ...], float]] = {
    "offered": ("ink", (6, 4), 1.25),
    "achieved": ("blue", (), 1.75),
    "failed": ("red", (), 1.5),
    "dropped": ("orange", (2, 3), 1.75),
    "p50": ("sky", (), 1.5),
    "p95": ("blue", (), 2.0),
    "p99": ("violet", (7, 3), 1.5),
    "max": ("ink", (1, 3), 1.0),
    "in_flight": ("blue", (), 1.5),
    "server_in_flight": ("orange", (6, 3), 1.5),
    "http_error": ("red", (), 1.5),
    "bad_content": ("violet", (7, 3), 1.5),
    "timeout": ("orange", (), 1.5),
    "connect_error": ("sky", (4, 3), 1.5),
    "cut": ("ink", (1, 3), 1.5),
    "output_tokens_per_s": ("blue", (), 1.5),
    "achieved.min": ("sky", (1, 3), 1.0),
    "quality": ("blue", (), 1.75),
    "consistency": ("green", (6, 3), 1.5),
    "defects": ("red", (), 1.5),
    "load": ("ink", (2, 3), 1.0),
}

_TAIL = ("p50", "p95", "p99", "max")
"""Ends of keys whose curves are drawn like those of latency."""
_SHADED = frozenset({"achieved", "in_flight", "output_tokens_per_s", "messages"})

_LIMITED = {
    "load": ("throughput_rps", "goodput_rps", "offered_rps"),
    "latency": tuple(f"latency_{statistic}_ms" for statistic in ("mean", "p50", "p90", "p95", "p99", "p999", "max")),
    "ttft": tuple(f"{family}_{one}_ms" for family in ("ttft_due", "ttft") for one in ("p50", "p95", "p99", "max")),
    "icl": tuple(f"icl_{one}_ms" for one in ("p50", "p95", "p99", "max")),
    "tpot": tuple(f"tpot_{one}_ms" for one in ("p50", "p95", "p99", "max")),
    "llm": ("output_tokens_per_s", "input_tokens_per_s"),
    "pool_wait": tuple(f"pool_wait_{one}_ms" for one in ("p50", "p95", "p99", "max")),
    "quality": ("quality_mean", "consistency_score", "defect_rate"),
    "websocket": tuple(f"message_latency_{one}_ms" for one in ("p50", "p95", "p99", "max")),
    "target": ("cpu_cores_mean", "cpu_cores_max", "memory_max_bytes"),
    "server": ("queue_length_mean", "queue_length_max", "kv_cache_share_max"),
}
"""Criteria whose limit is drawn as a line, by the group of the chart; a chart shows those of its own unit."""

_CHOSEN = frozenset({"load", "latency"})
"""Groups that the page draws of one scenario, request or outcome when it is asked to."""

_AT = {f"latency_{name}_ms": at for name, at in (("p50", 2), ("p90", 10), ("p95", 20), ("p99", 100), ("p999", 1000))}
"""Where the limit of a percentile stands in the spectrum: 1 / (1 - p)."""

_SOURCES = ("server", "target", "database", "gpu", "host", "generator")
"""Where readings come from, in the order of the page."""

_FLAT = frozenset({"websocket", *_SOURCES})

_TITLES = {
    ("load", "rps"): "Offered and achieved rate",
    ("latency", "ms"): "Latency",
    ("failures", "rps"): "Failures by outcome",
    ("in_flight", "count"): "Requests in flight",
    ("ttft", "ms"): "Time to first token",
    ("icl", "ms"): "Gaps between chunks",
    ("tpot", "ms"): "Time per output token",
    ("llm", "tokens/s"): "Tokens",
    ("query", "ms"): "Queries",
    ("pool_wait", "ms"): "Wait for a connection of the pool",
    ("quality", "ratio"): "Quality of the answers against the load",
    ("server", "count"): "Server: requests running and waiting",
    ("server", "connections"): "Server: its pool of connections",
    ("database", "connections"): "Database: connections, and what they wait for",
    ("server", "ratio"): "Server: KV-cache in use",
    ("server", "tokens/s"): "Server: tokens",
    ("gpu", "bytes"): "GPU: memory in use",
    ("gpu", "ratio"): "GPU: utilisation",
    ("gpu", "W"): "GPU: power",
    ("gpu", "°C"): "GPU: temperature",
    ("websocket", "ms"): "Message latency",
    ("websocket", "rps"): "Messages",
    ("websocket", "count"): "Connections",
}

_HINTS = {
    ("load", "rps"): "per second; offered and dropped by due time, answers by the time they came",
    ("latency", "ms"): "done − due, by due time",
    ("failures", "rps"): "per second, by the time they ended",
    ("websocket", "rps"): "per second",
    ("ttft", "ms"): "from the due time",
    ("icl", "ms"): "between two events of a stream, which may hold several tokens",
    ("tpot", "ms"): "of each answer after its first chunk",
    ("llm", "tokens/s"): "tokens per second, by the time the answers ended",
    ("query", "ms"): "sent to done, the wait for a connection included",
    ("quality", "ratio"): "0 to 1, by due time",
    ("in_flight", "count"): "sent and not yet done; known to the server: running and waiting",
    ("server", "count"): "as the server counts",
    ("server", "tokens/s"): "as the server counts, per second",
}

_NOUNS = {
    "preempted": "preemptions since the begin",
    "cores": "CPU",
    "bytes": "memory",
    "bytes/s": "traffic",
    "ratio": "utilisation",
}
_STEADY = {"cores": "cores", "rps": "per second"}
"""Units that the axis leaves out because they never change."""

_UNITS = {"1/s": "rps", "per s": "rps", "/s": "rps", "tokens_per_s": "tokens/s"}


_PAGES = {
    "load": "time", "latency": "time", "heat": "time", "failures": "time", "in_flight": "time",
    "ttft": "llm", "icl": "llm", "tpot": "llm", "llm": "llm", "quality": "llm",
    "websocket": "websocket", "query": "database", "pool_wait": "database",
}  # fmt: skip
"""Section of the page that shows a group; the readings of machines stand in a section of their own."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: series of one unit that share an axis."""

    group: str
    unit: str
    title: str
    hint: str
    series: tuple[Series, ...]

    @property
    def page(self) -> str:
        """The section that it stands in: time, llm, websocket, database or machines."""
        return _PAGES.get(self.group, "machines")

    @property
    def id(self) -> str:
        """The element's id in the page."""
        return f"chart-{self.group}-{self.unit}".replace("/", "-per-").replace(" ", "-")


def charts(analysis: Analysis) -> list[Chart]:
    """Return the charts of a run from the load down to the machines, without the ones that have nothing to show."""
    timeline = analysis.timeline
    groups: list[tuple[str, Iterable[Series]]] = [
        ("load", timeline.load),
        ("latency", timeline.latency),
        ("failures", timeline.failures),
        ("in_flight", timeline.in_flight),
        *_families(timeline.llm),
        ("quality", timeline.quality),
        ("websocket", [replace(s, label=s.label.removeprefix("message latency ")) for s in timeline.websocket]),
        *_families(timeline.sql),
    ]
    groups += [(source, _of_source(timeline.resources, source)) for source in _SOURCES]
    found = [chart for group, series in groups for chart in _by_unit(group, series)]
    return _with_heat(analysis, found)


def _with_heat(analysis: Analysis, found: list[Chart]) -> list[Chart]:
    """Put the heat map under the latency, where there is any."""
    if not any(any(selection.heat.columns) for selection in analysis.selections[:1]):
        return found
    hint = "when which latency was how frequent; the darker, the more requests"
    place = next((i + 1 for i, chart in enumerate(found) if chart.group == "latency"), len(found))
    return [*found[:place], Chart("heat", "ms", "Latency heat map", hint, ()), *found[place:]]


def _families(series: Iterable[Series]) -> list[tuple[str, list[Series]]]:
    """Return the curves by family, the first word of their keys; the chart's title says it already."""
    found: dict[str, list[Series]] = {}
    for one in series:
        family = next((name for name in ("pool_wait", "query", "ttft", "icl", "tpot") if one.key.startswith(name)), "")
        label = one.key.rpartition("_")[2] if family else one.label
        found.setdefault(family or "llm", []).append(replace(one, label=label))
    return list(found.items())


def _of_source(resources: Iterable[Series], source: str) -> list[Series]:
    """Return the curves of one source, whose name the chart's title says already."""
    found = [series for series in resources if series.key.split(".")[0] == source]
    return [replace(series, label=series.label.removeprefix(f"{source} ")) for series in found]


def _by_unit(group: str, series: Iterable[Series]) -> list[Chart]:
    units: dict[str, list[Series]] = {}
    for one in series:
        if any(value is not None for value in one.values):
            units.setdefault(_UNITS.get(one.unit, one.unit), []).append(one)
    return [
        Chart(group, unit, _title(group, unit, found), _HINTS.get((group, unit), _STEADY.get(unit, "")), tuple(found))
        for unit, found in units.items()
    ]


def _title(group: str, unit: str, series: list[Series]) -> str:
    names = " and ".join(dict.fromkeys(one.label.partition(" (")[0].partition(",")[0] for one in series[:3]))
    return _TITLES.get((group, unit), f"{group.replace('_', ' ').capitalize()}: {_NOUNS.get(unit, names)}")


def chart_data(analysis: Analysis, drawn: list[Chart]) -> str:
    """Return everything that the page's script draws as JSON that may stand inside a script element."""
    timeline = analysis.timeline
    head = {
        "start": timeline.start_s,
        "step": timeline.step_s,
        "points": timeline.points,
        "spectrum": SPECTRUM,
        "percentiles": [
            {"at": _AT[result.criterion.metric], **_limit(analysis, result)}
            for result in analysis.criteria
            if result.criterion.metric in _AT
        ],
        "phases": [
            {"name": p.name, "load": p.load, "start": p.start_s, "end": p.end_s}
            for p in analysis.phases
            if p.reached and p.end_s > p.start_s
        ],
        "events": [
            {"t": e.t_s, "kind": e.kind.value, "text": one_line(e.text)}
            for e in analysis.events
            if e.kind is not EventKind.PHASE and math.isfinite(e.t_s)
        ],
    }
    body = ",\n".join(_chart_json(analysis, chart) for chart in drawn)
    chosen = ",\n".join(script_json(_selection(one)) for one in analysis.selections)
    return f'{{"head":{script_json(head)},"charts":[{body}],"selections":[{chosen}]}}'


def _selection(selection: Selection) -> dict[str, object]:
    heat = selection.heat
    return {
        "scenario": selection.scenario,
        "name": selection.name,
        "outcome": selection.outcome,
        "samples": selection.samples,
        "step": selection.step_s,
        "curves": {series.key: _rounded(series.values, 4) for series in selection.curves},
        "spectra": [
            {"label": one_line(one.label, 60), "samples": one.samples, "values": _rounded(one.values, 5)}
            for one in selection.spectra
        ],
        "heat": {"start": heat.start_s, "step": heat.step_s, "columns": heat.columns},
    }


def _rounded(values: Iterable[float | None], digits: int) -> list[float | int | None]:
    """Return the values to so many digits, whole numbers without the point: a page is mostly numbers."""
    found = (None if v is None or not math.isfinite(v) else float(f"{v:.{digits}g}") for v in values)
    return [int(v) if v is not None and v.is_integer() else v for v in found]


def script_json(value: object) -> str:
    """Return JSON in which no text can end the script element that holds it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _chart_json(analysis: Analysis, chart: Chart) -> str:
    head = {
        "id": chart.id,
        "unit": chart.unit,
        "tall": chart.group in {"load", "latency", "heat"},
        "flat": chart.group in _FLAT,
        "log": chart.unit == "ms",
        "heat": chart.group == "heat",
        "chosen": chart.group in _CHOSEN,
        "limits": [_limit(analysis, result) for result in analysis.criteria if _drawn(chart, result)],
    }
    series = ",".join(_series_json(one, index) for index, one in enumerate(chart.series))
    return f'{script_json(head)[:-1]},"series":[{series}]}}'


def _series_json(series: Series, index: int) -> str:
    style = _STYLES.get(series.key, (_TONES[index % len(_TONES)], () if index == 0 else (3 + 2 * (index % 5), 3), 1.5))
    if (end := series.key.rpartition("_")[2]) in _TAIL:
        style = _STYLES[end]
    if series.key.endswith(".max"):
        style = ("ink", (1, 3), 1.0)
    tone, dash, width = style
    head = {
        "key": series.key,
        "label": one_line(series.label, 60),
        "tone": tone,
        "dash": list(dash),
        "width": width,
        "fill": series.key in _SHADED,
    }
    values = ",".join("null" if v is None or not math.isfinite(v) else f"{v:.4g}" for v in series.values)
    return f'{script_json(head)[:-1]},"values":[{values}]}}'


def _drawn(chart: Chart, result: CriterionResult) -> bool:
    criterion = result.criterion
    everywhere = criterion.scenario is None and criterion.name is None and criterion.worse_at_most is None
    return (
        # The load and the latency can be those of one scenario or request: its limits are drawn then.
        (everywhere or chart.group in _CHOSEN)
        and criterion.metric in _LIMITED.get(chart.group, ())
        and METRICS[criterion.metric].unit == chart.unit
    )


def _limit(analysis: Analysis, result: CriterionResult) -> dict[str, float | str | bool | None]:
    criterion, timeline = result.criterion, analysis.timeline
    bounds = (timeline.start_s, timeline.start_s + timeline.points * timeline.step_s)
    for phase in analysis.phases:
        if phase.name == criterion.phase:
            bounds = (phase.start_s, phase.end_s)
    word = criterion.metric.removesuffix("_ms").removeprefix("latency_").removesuffix("_rps").replace("_", " ")
    return {
        "start": bounds[0],
        "end": bounds[1],
        "value": float(criterion.limit),
        "label": f"{word} {limit_text(criterion)}",
        "lower": criterion.operator in {">", ">="},
        "broken": result.state.value in {"fail", "warn"},
        "scenario": criterion.scenario,
        "name": criterion.name,
        "phase": criterion.phase,
    }
