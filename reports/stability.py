"""Metrics over windows of a phase: does it hold still, does it keep up, does it recover?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plans.phases import Shape
from plans.run import PhaseRecord
from plans.schema import Criterion
from reports.analysis import Measured
from reports.families import measured
from reports.frames import among, equals, numbers, only
from reports.limits import holds
from reports.statistics import Floats, nearest_rank, wilson
from reports.windows import RunData, Scope, Window
from samples.sample import RESPONSES, Outcome, Protocol

_WINDOW_S = 10.0
_KEPT_UP = 0.95
_STABLE = 0.95
_RECOVERY_WINDOW_S = 5.0
_RECOVERY_RUN = 3
_WINDOWED = ("latency_mean_ms", "success_rate", "error_rate")


def stability_score(window: Window) -> Measured:
    """Return the share of whole 10-second windows with arrivals in which every windowed limit held.

    A window holds when at least 95 % of its arrivals got a response, and its mean latency and its success rate are
    inside the plan's limits for this phase (the criteria without scenario or name; none: nothing to hold).
    """
    count = int(window.length_s / _WINDOW_S + 1e-9)
    if count == 0:
        return Measured(None, 0, f"the phase is shorter than a window of {_WINDOW_S:.0f} s")
    rows = window.requests
    places = np.floor((numbers(rows, "due_s") - window.start_s) / _WINDOW_S).astype(np.int64)
    inside = (places >= 0) & (places < count)
    answered = among(rows, RESPONSES)[inside]
    places, rows = places[inside], only(rows, inside)
    arrivals = np.bincount(places, minlength=count)
    responses = np.bincount(places[answered], minlength=count)
    latency = (numbers(rows, "done_s") - numbers(rows, "due_s")) * 1000
    sums = np.bincount(places[answered], weights=latency[answered], minlength=count)
    ok = np.bincount(places[equals(rows, "outcome", Outcome.OK)], minlength=count)
    limits = _windowed_limits(window)
    held = with_arrivals = 0
    for index in np.flatnonzero(arrivals):
        with_arrivals += 1
        values = {"success_rate": ok[index] / arrivals[index], "error_rate": 1 - ok[index] / arrivals[index]}
        if responses[index]:
            values["latency_mean_ms"] = sums[index] / responses[index]
        kept_up = responses[index] >= _KEPT_UP * arrivals[index] - 1e-9
        held += bool(kept_up and all(c.metric in values and holds(c, float(values[c.metric])) for c in limits))
    if with_arrivals == 0:
        return Measured(None, 0, "no arrivals were due")
    return Measured(held / with_arrivals, with_arrivals, interval=wilson(held, with_arrivals))


def _windowed_limits(window: Window) -> list[Criterion]:
    return [
        criterion
        for criterion in window.run.plan.criteria
        if criterion.metric in _WINDOWED
        and criterion.phase == window.scope.phase
        and criterion.scenario is None
        and criterion.name is None
    ]


def stable_performance(window: Window) -> Measured:
    """Return whether the phase was stable and left no queue behind.

    By Little's law rate x latency requests are in the system; latency is counted from the due time, so the requests
    are too, those that wait for a user included. Rate: arrivals of the last 10 s, or of the last tenth of
    a phase shorter than 100 s (a ramp is judged at its end); latency: the median of the phase.
    """
    score = stability_score(window)
    if score.value is None:
        return score
    median = measured(window, "latency", "p50")
    if median.value is None:
        return Measured(False, score.samples)
    rows = window.requests
    span = min(_WINDOW_S, window.length_s / 10)
    rate = float((numbers(rows, "due_s") >= window.end_s - span).sum()) / span
    everything = window.run.rows(Scope(None, window.scope.scenario, window.scope.name))
    everything = everything if window.scope.name is not None else _iterations(everything)
    in_system = int(
        ((numbers(everything, "due_s") <= window.end_s) & (numbers(everything, "done_s") > window.end_s)).sum()
    )
    allowed = 1.5 * rate * median.value / 1000 + 5
    return Measured(bool(score.value >= _STABLE and in_system <= allowed), score.samples)


def _iterations(rows: pd.DataFrame) -> pd.DataFrame:
    kept = rows["iteration"].to_numpy(dtype=np.bool_) & ~equals(rows, "protocol", Protocol.WEBSOCKET)
    return only(rows, kept)


@dataclass(frozen=True, slots=True)
class _Overload:
    """The end of an overload, and the stretch of normal load before it; seconds from the origin."""

    end_s: float
    before_start_s: float
    before_end_s: float


def recovery(window: Window) -> Measured:
    """Return the seconds from the end of the overload to the first of three good 5-second windows.

    A window is good when its p95 of latency is at most max(1.2 x, 10 ms more than) the p95 before the overload and
    its error rate at most 0.1 % higher. A run that never gets there has no value and is beyond every limit.
    """
    overload = _overload(window)
    if isinstance(overload, str):
        return Measured(None, 0, overload)
    rows = window.run.rows(Scope(None, window.scope.scenario, window.scope.name))
    rows = rows if window.scope.name is not None else _iterations(rows)
    before = _level(rows, overload.before_start_s, overload.before_end_s)
    if before is None:
        return Measured(None, 0, "there were no responses before the overload to compare with")
    p95, errors = before
    count = int((window.end_s - overload.end_s) / _RECOVERY_WINDOW_S + 1e-9)
    if count < _RECOVERY_RUN:
        return Measured(
            None, 0, f"fewer than {_RECOVERY_RUN} windows of {_RECOVERY_WINDOW_S:.0f} s follow the overload"
        )
    good = 0
    for index in range(count):
        start = overload.end_s + index * _RECOVERY_WINDOW_S
        level = _level(rows, start, start + _RECOVERY_WINDOW_S)
        recovered = level is not None and level[0] <= max(1.2 * p95, p95 + 10) and level[1] <= errors + 0.001
        good = good + 1 if recovered else 0
        if good == _RECOVERY_RUN:
            return Measured((index + 1 - _RECOVERY_RUN) * _RECOVERY_WINDOW_S, count)
    lasting = count * _RECOVERY_WINDOW_S
    return Measured(None, count, f"it had not recovered {lasting:.0f} s after the overload", unbounded=True)


def _level(rows: pd.DataFrame, start_s: float, end_s: float) -> tuple[float, float] | None:
    """Return (p95 of latency in ms, error rate) of the rows due in a stretch; None without responses."""
    due: Floats = numbers(rows, "due_s")
    first, last = np.searchsorted(due, [start_s, end_s])
    part = rows.iloc[int(first) : int(last)]
    answered = only(part, among(part, RESPONSES))
    if not len(answered):
        return None
    latency = np.sort((numbers(answered, "done_s") - numbers(answered, "due_s")) * 1000)
    return nearest_rank(latency, 950), 1 - float(equals(part, "outcome", Outcome.OK).mean())


def _overload(window: Window) -> _Overload | str:
    """Return the overload that a phase follows or holds, or why there is none."""
    run, phase = window.run, window.phase
    if phase is None:
        return "recovery is measured in a phase, not over the whole run"
    index = run.phases.index(phase)
    if _spike(run, phase) is None:
        if index == 0 or not _higher(run, run.phases[index - 1], phase):
            return "no phase of higher load comes before this one"
        index -= 1
    return _overload_in(run, index)


def _overload_in(run: RunData, index: int) -> _Overload | str:
    """Return the overload that the phase at `index` is, or in a spike phase the spike without the base around it."""
    phase = run.phases[index]
    rise_s, end_s = _spike(run, phase) or (phase.start_s, phase.end_s)
    if index > 0:
        before = run.phases[index - 1]
        return _Overload(end_s, before.start_s, before.end_s)
    if rise_s > phase.start_s:
        return _Overload(end_s, phase.start_s, rise_s)
    return "no load comes before the overload to compare with"


def _spike(run: RunData, phase: PhaseRecord) -> tuple[float, float] | None:
    """Return (begin of the rise, end of the fall) of a spike phase; as much base load comes before as after."""
    planned = run.planned(phase.name)
    if planned is None or planned.form is not Shape.SPIKE:
        return None
    rise, hold, fall = planned.spike_times()
    around = max((planned.duration - rise - hold - fall) / 2, 0.0)
    return phase.start_s + around, phase.start_s + around + rise + hold + fall


def _higher(run: RunData, one: PhaseRecord, other: PhaseRecord) -> bool:
    first, second = run.planned(one.name), run.planned(other.name)
    if first is None or second is None or first.closed != second.closed or first.trace or second.trace:
        return False
    return first.load.highest() > second.load.highest()
