"""A run as it is compared with others: its figures with their intervals, its curves, and where it comes from.

A baseline is a snapshot in a file: small enough for version control, and with all that a comparison needs.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plans.metrics import METRICS
from plans.phases import Shape
from plans.schema import Plan
from reports.analysis import Analysis, GroupResult, Measured, PhaseResult, Series, Verdict
from reports.texts import one_line
from reports.windows import Scope

SCHEMA_VERSION = 2
POINTS = 200
"""Points of a curve: what an overlaid chart can show."""
PARTS = ("mix", "phases", "arrivals", "burstiness", "pool", "faults")
"""What of a plan makes the load."""

_PLAIN: dict[str, tuple[str, float]] = {
    "latency_ms": ("latency_mean_ms", 1),
    "throughput_rps": ("throughput_rps", 1),
    "quality": ("quality_mean", 1),
    "memory_gb": ("memory_max_bytes", 1e9),
    "cpu_cores": ("cpu_cores_max", 1),
}
"""Key of a plain baseline such as performance_baseline.json: the metric, and what one unit of it is in the metric's."""


class NoSnapshot(Exception):
    """What was read holds no figures; the message says why."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Kept):
    """One metric of one scope."""

    value: float | bool
    samples: int = 0
    interval: tuple[float, float] | None = Field(
        None, description="95 %; both ends the value: it is given, not measured"
    )


class Curve(_Kept):
    """One line over the length of the run, at equidistant moments."""

    group: str
    label: str
    unit: str
    values: list[float | None]


class Judged(_Kept):
    """A figure that the plan holds against its baseline, and by how much it may be worse."""

    phase: str | None = None
    scenario: str | None = None
    name: str | None = None
    metric: str
    tolerance: float

    @property
    def scope(self) -> Scope:
        """Where it is taken."""
        return Scope(self.phase, self.scenario, self.name)


class Scoped(_Kept):
    """The figures of one scope."""

    phase: str | None = None
    scenario: str | None = None
    name: str | None = None
    load: str = ""
    metrics: dict[str, Figure]

    @property
    def scope(self) -> Scope:
        """Where they were taken."""
        return Scope(self.phase, self.scenario, self.name)


class Snapshot(_Kept):
    """A run, or the figures that somebody wrote down."""

    schema_version: int = SCHEMA_VERSION
    name: str
    description: str = ""
    plan: str = ""
    phase: str | None = Field(None, description="the phase that stands for the run: constant load, held longest")
    run: str = ""
    verdict: str = ""
    rehearsal: bool = False
    started_at: str = ""
    length_s: float | None = None
    seed: int | None = None
    host: str = ""
    machine: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    parts: dict[str, str] = Field(
        default_factory=dict, description="a hash of each part of the plan that makes the load"
    )
    judged: list[Judged] = Field(default_factory=list)
    scopes: list[Scoped]
    curves: list[Curve] = Field(default_factory=list)

    def of(self, scope: Scope) -> Scoped | None:
        """Return the figures of a scope; None when there are none."""
        return next((one for one in self.scopes if one.scope == scope), None)

    @property
    def unfit(self) -> str | None:
        """Return why nothing should be compared with it; None when something may."""
        if self.verdict == Verdict.INVALID.value:
            return f"{self.name} is INVALID: its figures say nothing about the server"
        if not any(one.metrics for one in self.scopes):
            return f"{self.name} holds no figures"
        return None


def snapshot(analysis: Analysis, name: str = "", phases: Sequence[str] | None = None) -> Snapshot:
    """Return the snapshot of a run: all scopes and the curves, or only some phases."""
    run = analysis.run
    kept = [phase for phase in analysis.phases if phase.reached and (phases is None or phase.name in phases)]
    scopes = [_scoped(phase.metrics, Scope(phase.name), phase.load) for phase in kept]
    if phases is None:
        scopes.append(_scoped(analysis.total.metrics, Scope(), analysis.total.load))
        scopes += [_group(group) for group in (*analysis.scenarios, *analysis.requests)]
        scopes += _asked(analysis, {one.scope for one in scopes})
    return Snapshot(
        name=name or run.id,
        plan=run.plan.id,
        phase=_main(run.plan, kept),
        run=run.id,
        verdict=analysis.verdict.value,
        rehearsal=run.rehearsal,
        started_at=run.started_at,
        length_s=analysis.length_s,
        seed=run.seed,
        host=run.host,
        machine=dict(run.machine),
        versions=dict(run.versions),
        parts=_hashes(run.plan),
        judged=_judged(run.plan),
        scopes=scopes,
        curves=[] if phases is not None else _curves(analysis),
    )


def read_snapshot(document: object, name: str = "baseline") -> Snapshot:
    """Return the snapshot in a JSON document: a kept one, or a plain mapping of figures. Raises NoSnapshot."""
    if not isinstance(document, dict):
        raise NoSnapshot("it is no JSON object")
    if "schema_version" not in document:
        return _plain(document, name)
    if document["schema_version"] != SCHEMA_VERSION:
        version = document["schema_version"]
        raise NoSnapshot(f"its schema_version is {version!r}, not {SCHEMA_VERSION}: make it again (make baseline)")
    try:
        found = Snapshot.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise NoSnapshot(one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from None
    unknown = {metric for one in found.scopes for metric in one.metrics} - set(METRICS)
    if unknown:
        raise NoSnapshot(f"it has figures of no known metric: {one_line(', '.join(sorted(unknown)))}")
    return found


def to_json(kept: Snapshot) -> bytes:
    """Return the snapshot as a file for version control: one line per figure and curve."""
    plain = kept.model_dump(mode="json", exclude_defaults=True) | {"schema_version": SCHEMA_VERSION}
    scopes = ",\n".join(_scope_lines(one) for one in plain.pop("scopes"))
    curves = ",\n".join(f"  {_line(one)}" for one in plain.pop("curves", []))
    head = "".join(f' "{key}": {_line(plain[key])},\n' for key in Snapshot.model_fields if key in plain)
    tail = f',\n "curves": [\n{curves}\n ]' if curves else ""
    return f'{{\n{head} "scopes": [\n{scopes}\n ]{tail}\n}}\n'.encode()


def _scope_lines(scope: dict[str, object]) -> str:
    metrics = scope.pop("metrics")
    assert isinstance(metrics, dict)
    head = "".join(f'"{key}": {_line(value)}, ' for key, value in scope.items())
    figures = ",\n".join(f'   "{name}": {_line(figure)}' for name, figure in metrics.items())
    return f'  {{{head}"metrics": {{\n{figures}\n  }}}}'


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _plain(document: dict[str, object], name: str) -> Snapshot:
    """Return figures that somebody wrote down: targets, and no measurement."""
    found = {}
    for key, (metric, unit) in _PLAIN.items():
        value = document.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[metric] = Figure(value=value * unit, interval=(value * unit, value * unit))
    return Snapshot(
        name=str(document.get("name", name)),
        description=str(document.get("description", "")),
        scopes=[Scoped(metrics=found)],
    )


def figure_of(measured: Measured) -> Figure | None:
    """Return a measured figure to six digits; None when it has no value."""
    value = measured.value
    if value is None or not math.isfinite(value):
        return None
    ends = measured.interval
    interval = (_short(ends[0]), _short(ends[1])) if ends is not None and all(map(math.isfinite, ends)) else None
    return Figure(
        value=value if isinstance(value, bool) else _short(value), samples=measured.samples, interval=interval
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _scoped(metrics: dict[str, Measured], scope: Scope, load: str = "") -> Scoped:
    found = {name: figure for name, measured in metrics.items() if (figure := figure_of(measured)) is not None}
    return Scoped(phase=scope.phase, scenario=scope.scenario, name=scope.name, load=load, metrics=found)


def _group(group: GroupResult) -> Scoped:
    return _scoped(group.metrics, Scope(None, group.scenario, group.name))


def _asked(analysis: Analysis, there: set[Scope]) -> Iterable[Scoped]:
    """Yield the figures of scopes that only criteria look at: a scenario in a phase."""
    found: dict[Scope, dict[str, Measured]] = {}
    for result in analysis.criteria:
        scope = Scope(result.criterion.phase, result.criterion.scenario, result.criterion.name)
        if scope not in there:
            found.setdefault(scope, {})[result.criterion.metric] = result.measured
    for scope, metrics in found.items():
        yield _scoped(metrics, scope)


def _main(plan: Plan, phases: Sequence[PhaseResult]) -> str | None:
    """Return the phase that stands for the run: of constant load and held longest, else the longest."""
    constant = {phase.name for phase in plan.phases if phase.form is Shape.CONSTANT}
    order = sorted(phases, key=lambda phase: (phase.name in constant, phase.end_s - phase.start_s))
    return order[-1].name if order else None


def _hashes(plan: Plan) -> dict[str, str]:
    parts = plan.model_dump(mode="json", include=set(PARTS))
    return {name: hashlib.sha256(_line(parts[name]).encode()).hexdigest()[:12] for name in PARTS}


def _judged(plan: Plan) -> list[Judged]:
    return [
        Judged(phase=c.phase, scenario=c.scenario, name=c.name, metric=c.metric, tolerance=c.worse_at_most)
        for c in plan.criteria
        if c.worse_at_most is not None
    ]


def _curves(analysis: Analysis) -> list[Curve]:
    lines = analysis.timeline
    groups = (
        ("load", [one for one in lines.load if one.key in {"offered", "achieved", "failed"}]),
        ("latency", [one for one in lines.latency if one.key in {"p50", "p95", "p99"}]),
        ("in flight", [one for one in lines.in_flight if one.key == "in_flight"]),
        ("language model", [one for one in lines.llm if one.key in {"ttft_due_p95", "output_tokens_per_s"}]),
        ("WebSocket", [one for one in lines.websocket if one.key == "message_latency_p95"]),
    )
    return [
        Curve(group=group, label=one.label, unit=one.unit, values=_coarse(one)) for group, own in groups for one in own
    ]


def _coarse(series: Series) -> list[float | None]:
    """Return the means of at most 200 equal stretches; None where a stretch has no value."""
    count = len(series.values)
    ends = [round(count * index / min(POINTS, count)) for index in range(min(POINTS, count) + 1)] if count else []
    found: list[float | None] = []
    for first, last in pairwise(ends):
        values = [value for value in series.values[first:last] if value is not None]
        found.append(float(f"{fmean(values):.4g}") if values else None)
    return found
