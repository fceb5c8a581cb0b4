"""From the folder of a run to its probes: the same formulas as in every report, held against the plan's limits."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capacity.limits import By, Limits, names_of
from capacity.probes import Level, Probe, Reading, Share, Step
from plans.run import Ending, PhaseRecord, RunRecord
from plans.schema import Criterion
from reports.analysis import Measured, State
from reports.criteria import result_of
from reports.families import FAMILIES
from reports.frames import Frames, load_frames
from reports.health import generator_checks
from reports.limits import upper
from reports.metrics import measure
from reports.rows import equals, numbers, only
from reports.statistics import PERMILLE, Floats
from reports.windows import RunData, Scope, Window
from samples.sample import Outcome

_PERCENTILE = re.compile(r"(\w+)_(p\d+)_ms")
_SHARES = frozenset({"success_rate", "error_rate", "refused_rate", "availability", "ws_success_rate"})
_LEVELS = re.compile(r"\w+_mean_ms|cpu_cores_mean")
_SENT = "arrivals sent"
FIGURES = (
    "offered_rps", "throughput_rps", "goodput_rps", "success_rate", "latency_mean_ms", "latency_p50_ms",
    "latency_p95_ms", "latency_p99_ms", "ttft_due_p95_ms", "output_tokens_per_s", "input_tokens_per_s",
)  # fmt: skip
"""What is kept of each probe beside its readings, where it has a value."""


def read_run(folder: Path) -> RunData:
    """Return a run as it is on disk, also one that is under way. Raises FileNotFoundError or ValueError."""
    return RunData(RunRecord.read(folder), load_frames(folder))


def probes_of(run: RunData, folder: Path, steps: Sequence[Step], limits: Limits, at_s: float) -> list[Probe]:
    """Return the probes of those steps that were held to their end; `at_s` is when the run's second 0 was."""
    found = []
    for number, step in enumerate(steps, 1):
        phase = run.phase(names_of(number)[1])
        if phase is None or not phase.reached or phase.end_s - phase.start_s < step.seconds * (1 - 1e-6):
            break
        found.append(_probe(run, folder, step, phase, limits, at_s))
    return found


def _probe(run: RunData, folder: Path, step: Step, phase: PhaseRecord, limits: Limits, at_s: float) -> Probe:
    alone = _alone(run, phase)
    window = alone.window(Scope(phase.name))
    offered = window.accounting.scheduled / window.length_s
    load = offered if limits.by is By.RATE else step.load
    criteria = [c.model_copy(update={"phase": phase.name}) for c in limits.at(load or step.load)]
    return Probe(
        role=step.role,
        asked=step.load,
        load=load,
        seconds=step.seconds,
        at_s=at_s + phase.start_s,
        readings=tuple(reading_of(criterion, alone) for criterion in criteria),
        figures=_figures(window),
        trouble=_trouble(alone, window, stopped=run.record.ending is Ending.INTERRUPTED),
        run=str(folder),
    )


def _alone(run: RunData, phase: PhaseRecord) -> RunData:
    """Return the run as if it had had this phase only."""
    plan = run.plan
    criteria = tuple(c for c in plan.criteria if c.phase == phase.name)
    record = run.record.model_copy(
        # However the whole run ended: this phase was held to its end.
        update={
            "phases": [phase],
            "plan": plan.model_copy(update={"criteria": criteria}),
            "ending": Ending.COMPLETED,
        }
    )
    rows = only(run.frames.samples, equals(run.frames.samples, "phase", phase.name))
    return RunData(record, Frames(rows, run.frames.readings, run.frames.gaps, run.frames.problems))


def reading_of(criterion: Criterion, run: RunData) -> Reading | None:
    """Return what a criterion says of its phase in the form that the search can count with; None without data."""
    window = run.window(Scope(criterion.phase, criterion.scenario, criterion.name))
    percentile = _PERCENTILE.fullmatch(criterion.metric)
    if percentile and upper(criterion) and percentile[2] in PERMILLE:
        return _percentile(criterion, window, percentile[1], percentile[2])
    measured = measure(criterion.metric, window)
    if criterion.metric in _SHARES and measured.value is not None:
        share = _share(criterion, measured)
        if 0 < share.budget < 1:
            return share
    if _LEVELS.fullmatch(criterion.metric) and upper(criterion) and measured.value and criterion.limit > 0:
        return Level(float(measured.value) / float(criterion.limit))
    state = result_of(criterion, measured, "").state
    return None if state is State.NO_DATA else Share(float(state is not State.PASS), 1, 0.5)


def _percentile(criterion: Criterion, window: Window, family: str, statistic: str) -> Share | None:
    """Return how many times were outside: p95 < 300 ms says that fewer than 5 % are 300 ms or more."""
    budget = 1 - PERMILLE[statistic] / 1000
    if family == "adj":
        ok = only(window.requests, equals(window.requests, "outcome", Outcome.OK))
        values = (numbers(ok, "done_s") - numbers(ok, "due_s")) * 1000
        failed = len(window.requests) - len(ok)
        count = len(window.requests)
        return Share(_outside(criterion, values) + failed, count, budget) if count else None
    times = FAMILIES[family](window)
    count = len(times.values)
    if count:
        milliseconds = np.asarray(times.values, dtype=np.float64) * times.scale
        return Share(_outside(criterion, milliseconds), count, budget)
    scheduled = window.accounting.scheduled
    return Share(scheduled, scheduled, budget) if times.unbounded and scheduled else None


def _outside(criterion: Criterion, values: Floats) -> int:
    limit = float(criterion.limit)
    return int((values >= limit).sum() if criterion.operator == "<" else (values > limit).sum())


def _share(criterion: Criterion, measured: Measured) -> Share:
    value, limit = float(measured.value or 0.0), float(criterion.limit)
    if upper(criterion):
        return Share(value * measured.samples, measured.samples, limit)
    return Share((1 - value) * measured.samples, measured.samples, 1 - limit)


def _figures(window: Window) -> dict[str, float]:
    found = {name: measure(name, window) for name in FIGURES}
    figures = {name: float(one.value) for name, one in found.items() if one.value is not None}
    if "success_rate" in figures and "offered_rps" in figures:
        figures["served_rps"] = figures["offered_rps"] * figures["success_rate"]
    if "latency_mean_ms" in figures and "throughput_rps" in figures:
        # Little's law: the mean number of requests inside is their rate times the mean time of each.
        figures["concurrency"] = figures["throughput_rps"] * figures["latency_mean_ms"] / 1000
    rest = found["latency_p50_ms"].interval
    if rest is not None:
        figures["latency_p50_low_ms"], figures["latency_p50_high_ms"] = rest
    return figures


def _trouble(alone: RunData, window: Window, *, stopped: bool) -> str | None:
    """Return why the probe says nothing about the server; None when it does.

    A run that is `stopped` because a rung broke drops who still waited for a free user: that the server was too slow to
    have one is what broke the rung, and no failure of the generator.
    """
    if window.accounting.lost:
        return f"{window.accounting.lost} of {window.accounting.scheduled} arrivals have no outcome"
    if alone.frames.problems:
        return alone.frames.problems[0]
    broken = [check for check in generator_checks(alone) if not check.passed and not (stopped and check.name == _SENT)]
    return f"{broken[0].name}: {broken[0].measured} (limit {broken[0].limit})" if broken else None
