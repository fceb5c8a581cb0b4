"""How long an overload is felt after its end: in latency, in errors, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from plans.phases import Shape
from plans.run import PhaseRecord
from reports.analysis import Measured
from reports.rows import Rows, among, equals, numbers, only
from reports.statistics import nearest_rank
from reports.windows import RunData, Scope, Window
from samples.sample import RESPONSES, Outcome, Protocol

_WINDOW_S = 5.0
_RUN = 3
_SLOWER, _SLOWER_MS = 1.2, 10.0
_MORE_ERRORS = 0.001
_MORE_MEMORY, _MORE_BYTES = 1.1, 10e6

ASPECTS = ("latency", "errors", "memory")

_Level = Callable[[float, float], float | None]
"""The level of an aspect from one moment to another; None when nothing was measured in between."""


@dataclass(frozen=True, slots=True)
class Overload:
    """The end of an overload, and the stretch of normal load before it; seconds from the origin."""

    end_s: float
    before_start_s: float
    before_end_s: float


def recovery(window: Window, aspects: Sequence[str] = ("latency", "errors")) -> Measured:
    """Return the seconds from the end of the overload to the first of three good 5-second windows.

    A window is good when every aspect is: latency, when its p95 is at most max(1.2 x, 10 ms more than) the p95 before
    the overload; errors, when their rate is at most 0.1 % higher; memory, when its median is at most max(1.1 x, 10 MB
    more than) that before. A run that never gets there has no value and is
    beyond every limit.
    """
    found = overload(window)
    if isinstance(found, str):
        return Measured(None, 0, found)
    limits = []
    for aspect in aspects:
        level, allowed = _look(window, aspect)
        before = level(found.before_start_s, found.before_end_s)
        if before is None:
            what = "readings of the target's memory" if aspect == "memory" else "responses"
            return Measured(None, 0, f"there were no {what} before the overload to compare with")
        limits.append((level, allowed(before)))
    return _first_good(found.end_s, window.end_s, limits)


def _first_good(start_s: float, end_s: float, limits: Sequence[tuple[_Level, float]]) -> Measured:
    count = int((end_s - start_s) / _WINDOW_S + 1e-9)
    if count < _RUN:
        return Measured(None, 0, f"fewer than {_RUN} windows of {_WINDOW_S:.0f} s follow the overload")
    good = 0
    for index in range(count):
        begin = start_s + index * _WINDOW_S
        found = [(level(begin, begin + _WINDOW_S), most) for level, most in limits]
        good = good + 1 if all(value is not None and value <= most for value, most in found) else 0
        if good == _RUN:
            return Measured((index + 1 - _RUN) * _WINDOW_S, count)
    why = f"it had not recovered {count * _WINDOW_S:.0f} s after the overload"
    return Measured(None, count, why, unbounded=True)


def _look(window: Window, aspect: str) -> tuple[_Level, Callable[[float], float]]:
    """Return the level of an aspect over a stretch of time, and what may come after a level before."""
    if aspect == "memory":
        return lambda a, b: _memory(window.run, a, b), lambda before: max(_MORE_MEMORY * before, before + _MORE_BYTES)
    rows = window.run.rows(Scope(None, window.scope.scenario, window.scope.name))
    if window.scope.name is None:
        kept = rows["iteration"].to_numpy(dtype=np.bool_) & ~equals(rows, "protocol", Protocol.WEBSOCKET)
        rows = only(rows, kept)
    if aspect == "latency":
        return lambda a, b: _p95(rows, a, b), lambda before: max(_SLOWER * before, before + _SLOWER_MS)
    return lambda a, b: _errors(rows, a, b), lambda before: before + _MORE_ERRORS


def _due(rows: Rows, start_s: float, end_s: float) -> Rows:
    first, last = np.searchsorted(numbers(rows, "due_s"), [start_s, end_s])
    return rows.between(int(first), int(last))


def _p95(rows: Rows, start_s: float, end_s: float) -> float | None:
    """Return the p95 of latency in ms of the rows due in a stretch."""
    part = _due(rows, start_s, end_s)
    answered = only(part, among(part, RESPONSES))
    if not len(answered):
        return None
    return nearest_rank(np.sort((numbers(answered, "done_s") - numbers(answered, "due_s")) * 1000), 950)


def _errors(rows: Rows, start_s: float, end_s: float) -> float | None:
    part = _due(rows, start_s, end_s)
    return 1 - float(equals(part, "outcome", Outcome.OK).mean()) if len(part) else None


def _memory(run: RunData, start_s: float, end_s: float) -> float | None:
    _, values = run.readings("rss_bytes", "target", start_s, np.nextafter(end_s, -np.inf))
    return float(np.median(values)) if len(values) else None


def overload(window: Window) -> Overload | str:
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


def _overload_in(run: RunData, index: int) -> Overload | str:
    """Return the overload that the phase at `index` is, or in a spike phase the spike without the base around it."""
    phase = run.phases[index]
    rise_s, end_s = _spike(run, phase) or (phase.start_s, phase.end_s)
    if index > 0:
        before = run.phases[index - 1]
        return Overload(end_s, before.start_s, before.end_s)
    if rise_s > phase.start_s:
        return Overload(end_s, phase.start_s, rise_s)
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
