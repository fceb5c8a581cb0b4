"""The data-quality box: what the figures rest on, and what asks for caution."""

import numpy as np

from reports.analysis import Accounting, DataFact, Measured, PhaseResult
from reports.axis import axis_of
from reports.figures import MISSING, figure, length, measured_text
from reports.rows import equals, only
from reports.windows import RunData
from samples.sample import Outcome, Protocol

_FEWEST = 1000
"""Samples of a phase under which a p99 rests on fewer than ten of them."""


def data_quality(run: RunData, phases: list[PhaseResult], total: PhaseResult) -> list[DataFact]:
    """Return the properties of the data, in the order in which a reader asks for them."""
    return [
        _lag(total.metrics),
        _drops(total.accounting),
        _rest(total.accounting),
        _windows(phases),
        _resolution(run),
        *_tokens(run, total.metrics),
        *_messages(run),
        *_readings(run),
        *(DataFact("unreadable", problem, True) for problem in run.frames.problems),
    ]


def _lag(metrics: dict[str, Measured]) -> DataFact:
    words = [
        f"{name} {measured_text(metrics[f'lag_{name}_ms'], f'lag_{name}_ms')}"
        for name in ("p50", "p99", "max")
        if f"lag_{name}_ms" in metrics
    ]
    return DataFact("start lag", f"{', '.join(words) or MISSING}; it is part of every latency here")


def _drops(accounting: Accounting) -> DataFact:
    dropped, cut = (accounting.outcomes.get(one.value, 0) for one in (Outcome.DROPPED, Outcome.CUT))
    text = f"{dropped:,} dropped (no free user), {cut:,} cut at the end, of {accounting.scheduled:,} arrivals"
    return DataFact("dropped arrivals", text, dropped > 0)


def _rest(accounting: Accounting) -> DataFact:
    text = "every arrival has an outcome" if not accounting.lost else f"{accounting.lost:,} arrivals have no outcome"
    return DataFact("accounting", text, accounting.lost != 0)


def _windows(phases: list[PhaseResult]) -> DataFact:
    few = [
        f"{phase.name} ({phase.accounting.scheduled:,})"
        for phase in phases
        if phase.reached and 0 < phase.accounting.scheduled < _FEWEST
    ]
    text = "arrivals belong to the phase in which they were due, also when they end after it; nothing is trimmed"
    if few:
        text += f". Fewer than {_FEWEST:,} arrivals, so a p99 rests on less than ten: {', '.join(few)}"
    return DataFact("windows", text, bool(few))


def _resolution(run: RunData) -> DataFact:
    axis = axis_of(run)
    text = (
        f"figures from all {len(run.frames.samples):,} raw samples, percentiles exact (nearest rank); "
        f"charts in steps of {length(axis.step_s)}, each with the exact percentiles and the maximum of its samples"
    )
    return DataFact("resolution", text if axis.points else "nothing was measured")


def _tokens(run: RunData, metrics: dict[str, Measured]) -> list[DataFact]:
    samples = run.frames.samples
    rows = only(samples, equals(samples, "protocol", Protocol.LLM))
    if not len(rows):
        return []
    counts = rows["token_source"].value_counts()
    usage, events = (int(counts.get(name, 0)) for name in ("usage", "events"))
    bundled = metrics.get("tokens_per_event")
    facts = [
        DataFact(
            "token source",
            f"{usage:,} answers counted by the server (usage), {events:,} by counted events, "
            f"{len(rows) - usage - events:,} without a count",
            events > 0,
        )
    ]
    if bundled is not None and bundled.value is not None:
        facts.append(DataFact("tokens per event", f"{figure(bundled.value, 'factor')} on average"))
    return facts


def _messages(run: RunData) -> list[DataFact]:
    counts = run.frames.samples["latency_source"].value_counts()
    words = {"shared_clock": "from the server's send stamp, on one clock", "echo": "half of an echoed round trip"}
    found = [f"{int(counts[key]):,} {text}" for key, text in words.items() if counts.get(key, 0)]
    return [DataFact("message latency", ", ".join(found))] if found else []


def _readings(run: RunData) -> list[DataFact]:
    readings = run.frames.readings
    sources = sorted(str(source) for source, count in readings["source"].value_counts().items() if count)
    if not sources:
        return [DataFact("readings", "no machine was watched", True)]
    times = np.unique(readings["t_s"].to_numpy(dtype=np.float64))
    hole = float(np.diff(times).max()) if len(times) > 1 else 0.0
    every = length(run.plan.monitors.interval)
    text = f"of {', '.join(sources)}, every {every}; the longest time without any was {length(hole)}"
    return [DataFact("readings", text)]
