"""The result as a page, as Markdown, and as lines for the terminal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from capacity.law import Scalability
from capacity.probes import Probe, Role
from capacity.result import Result, number
from plans.exits import Exit
from reports.figures import figure
from reports.markdown import safe
from reports.render import page

_STYLES = ("styles/theme.css", "styles/page.css", "styles/tables.css", "styles/print.css")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 620.0, 260.0, 56.0, 34.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A probe in a chart; `words` are its text for those who do not see it."""

    x: float
    y: float
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture in pixels: dots, one line, and ticks on both axes."""

    title: str
    label: str
    dots: list[Dot]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    band: tuple[float, float] | None
    line: list[tuple[float, float]] = field(default_factory=list)
    width: float = _WIDTH
    height: float = _HEIGHT


def to_html(result: Result) -> str:
    """Return the page: one file without scripts, everything escaped, nothing fetched."""
    drawn = [
        _chart(result, "served_rps", "Throughput against load", "RPS"),
        _chart(result, "latency_mean_ms", "Mean latency against load", "ms"),
        _law_chart(result),
    ]
    return page(
        "capacity.html.j2",
        _STYLES,
        result=result,
        verdict=Exit(result.exit_code).name,
        charts=[chart for chart in drawn if chart is not None],
        number=number,
        state=state,
        law=law_words(result.scalability),
        columns=_columns(result),
        told=told(result)[1:],
    )


def state(probe: Probe) -> str:
    """Return a probe's outcome in a word."""
    return "not valid" if probe.broken is None else "broken" if probe.broken else "held"


def law_words(law: Scalability | None) -> str:
    """Return the scalability law in a sentence."""
    if law is None:
        return "no Universal Scalability Law could be fitted: it needs five probes that differ"
    peak = law.peak_concurrency
    most = (
        f"the highest throughput is {number(float(law.throughput(np.array([peak]))[0]))} RPS at {number(peak)} inside"
        if peak is not None and peak < 1e6
        else "it has no peak"
    )
    return (
        f"Universal Scalability Law: gamma {law.gamma:.3g}/s, alpha {law.alpha:.3g} (contention), beta {law.beta:.2g} "
        f"(coherence), R² {law.r_squared:.3f} over {law.points} probes; {most}"
    )


def _columns(result: Result) -> list[tuple[str, str, str]]:
    """Return (name, heading, unit) of the figures that some probe has."""
    wanted = (
        ("served_rps", "Served", "rps"),
        ("success_rate", "Success", "ratio"),
        ("latency_mean_ms", "Mean", "ms"),
        ("latency_p95_ms", "p95", "ms"),
        ("concurrency", "Inside", "count"),
        ("ttft_due_p95_ms", "TTFT p95", "ms"),
        ("output_tokens_per_s", "Output", "tokens/s"),
    )
    return [one for one in wanted if any(one[0] in probe.figures for probe in result.probes)]


def _axis(values: Sequence[float]) -> tuple[float, list[float]]:
    """Return the end of an axis from 0, and its ticks."""
    most = max(values) or 1.0
    step = 10 ** math.floor(math.log10(most))
    step *= next(factor for factor in (0.2, 0.25, 0.5, 1.0, 2.0) if most / (step * factor) <= 6)
    count = math.ceil(most / step - 1e-9)
    return count * step, [n * step for n in range(count + 1)]


def _chart(result: Result, name: str, title: str, label: str) -> Chart | None:
    rows = [(p.load, p.figures[name], p) for p in result.probes if name in p.figures]
    band = None if result.low is None or result.high is None else (result.low, result.high)
    return _drawn(rows, title, label, lambda p: f"{number(p.load)} {result.unit}", band)


def _law_chart(result: Result) -> Chart | None:
    law = result.scalability
    rows = [
        (p.figures["concurrency"], p.figures["served_rps"], p)
        for p in result.probes
        if p.trouble is None and {"concurrency", "served_rps"} <= p.figures.keys()
    ]
    if law is None:
        return None
    at = np.linspace(0, max(row[0] for row in rows), 60)
    line = list(zip(at.tolist(), law.throughput(at).tolist(), strict=True))
    title = "Throughput against requests inside, with the Universal Scalability Law"
    return _drawn(rows, title, "RPS", lambda p: f"{p.figures['concurrency']:.3g} inside", None, line)


def _drawn(
    rows: Sequence[tuple[float, float, Probe]],
    title: str,
    label: str,
    where: Callable[[Probe], str],
    band: tuple[float, float] | None,
    line: Sequence[tuple[float, float]] = (),
) -> Chart | None:
    if not rows:
        return None
    x_end, x_ticks = _axis([row[0] for row in rows])
    y_end, y_ticks = _axis([row[1] for row in rows])

    def x(value: float) -> float:
        return round(_LEFT + min(value / x_end, 1) * (_WIDTH - _LEFT - 12), 1)

    def y(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - min(value / y_end, 1) * (_HEIGHT - _BOTTOM - 12), 1)

    return Chart(
        title=title,
        label=label,
        dots=[Dot(x(a), y(b), state(p).replace(" ", "-"), f"{where(p)}: {b:.4g} {label}") for a, b, p in rows],
        x_ticks=[(x(tick), f"{tick:g}") for tick in x_ticks],
        y_ticks=[(y(tick), f"{tick:g}") for tick in y_ticks],
        band=None if band is None else (x(band[0]), x(band[1])),
        line=[(x(a), y(b)) for a, b in line],
    )


def to_markdown(result: Result) -> str:
    """Return the result as GitHub Markdown."""
    lines = [f"## Capacity of {safe(result.plan)}: {safe(result.sentence)}", ""]
    lines += [f"- {safe(text)}" for text in told(result)[1:]]
    lines += ["", "| Limit | Crossed at | 95 % interval |", "|---|---:|---|"]
    lines += [
        f"| {safe(one.text)}{' **limiting**' if one.limiting else ''} | {_or_dash(one.capacity)} "
        f"| {_or_dash(one.low)} to {_or_dash(one.high)} |"
        for one in result.limits
    ]
    columns = _columns(result)
    lines += ["", f"| At | Role | Load ({result.unit}) | {' | '.join(c[1] for c in columns)} | Limits |"]
    lines += ["|---:|---|---:|" + "---:|" * len(columns) + "---|"]
    for probe in result.probes:
        cells = [figure(probe.figures.get(name), unit) for name, _, unit in columns]
        lines.append(
            f"| {probe.at_s:.0f} s | {probe.role} | {number(probe.load)} | {' | '.join(cells)} | {state(probe)} |"
        )
    return "\n".join(lines) + "\n"


def _or_dash(value: float | None) -> str:
    return "–" if value is None else number(value)


def told(result: Result) -> list[str]:
    """Return what a reader must know, a sentence each, the answer first."""
    lines = [result.sentence]
    if result.capacity is not None:
        wanted = f"wanted ±{result.precision:.0%}" + (f", not reached: {result.ended}" if result.ended else "")
        lines.append(f"precision: {wanted}")
    if result.highest_held is not None and result.lowest_broken is not None:
        lines.append(
            f"highest load of a probe in which all limits held {number(result.highest_held)} {result.unit}, lowest in "
            f"which one was broken {number(result.lowest_broken)} {result.unit}"
        )
    figures = result.at_capacity
    if "concurrency" in figures:
        tokens = figures.get("output_tokens_per_s")
        lines.append(
            f"at the capacity: {number(figures['served_rps'])} RPS served, {figures['concurrency']:.3g} requests "
            "inside" + ("" if tokens is None else f", {tokens:,.0f} output tokens/s")
        )
    if result.knee is not None:
        lines.append(f"knee (highest throughput / latency) at {number(result.knee.load)} {result.unit}")
    lines.append(law_words(result.scalability))
    lines += [one.words for one in result.sizing]
    if result.drift:
        lines.append(result.drift)
    held = sum(probe.role is not Role.RUNG for probe in result.probes)
    lines.append(f"{len(result.probes)} loads held, {held} of them probes and anchors, in {result.seconds:.0f} s")
    return lines + list(result.notes)
