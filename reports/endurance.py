"""What hours of load do to a server: handles that leak, answers that drift, connections that stay behind."""

from collections.abc import Callable

import numpy as np

from plans.run import SHORTEST_TREND_S
from reports.analysis import Measured
from reports.resources import FEWEST_FOR_LEAK, LEAK_GROWTH
from reports.rows import Rows, among, equals, numbers, only
from reports.statistics import Floats, nearest_rank, slope_interval
from reports.trends import leaks, settled
from reports.windows import Window
from samples.sample import RESPONSES, Outcome

_LEAST_HANDLES = 3.0
_MOST_WINDOWS, _LONGEST_S = 60, 60.0
_FEWEST_WINDOWS = 10
_AFTER_S = 0.2
"""The users of a run are gone, and their connections closed, so long after its end."""


def file_leak(window: Window) -> Measured:
    """Return whether open descriptors that are no sockets grew without end."""
    times, every = window.readings("open_files")
    at, sockets = window.readings("connections")
    if len(every) and len(sockets) == len(every) and np.array_equal(at, times):
        return _handles(window, times, every - sockets)
    # Where sockets cannot be told apart (no Linux), every descriptor counts.
    return _handles(window, times, every)


def thread_leak(window: Window) -> Measured:
    """Return whether the threads of the target grew without end."""
    return _handles(window, *window.readings("threads"))


def _handles(window: Window, times: Floats, values: Floats) -> Measured:
    if not len(values):
        return Measured(None, 0, "there are no readings of the target's handles")
    if len(values) < FEWEST_FOR_LEAK or window.length_s < SHORTEST_TREND_S:
        needed = f"{FEWEST_FOR_LEAK} and {SHORTEST_TREND_S:.0f} s are needed"
        return Measured(None, len(values), f"too short to tell: {len(values)} readings; {needed}")
    least = max(LEAK_GROWTH * float(np.median(values)), _LEAST_HANDLES)
    return Measured(leaks(times, values, window.start_s, window.end_s, least), len(values))


def connections_left(window: Window) -> Measured:
    """Return how many connections of the target are still open after the run, beyond those before the load."""
    run = window.run
    _, before = run.readings("connections", "target", -np.inf, np.nextafter(run.start_s, -np.inf))
    ended = np.inf if run.record.ended_s is None else run.record.ended_s
    _, after = run.readings("connections", "target", ended + _AFTER_S, np.inf)
    if not len(before) or not len(after):
        when = "before the load" if not len(before) else "after the users had gone"
        return Measured(None, 0, f"there is no reading of the target's connections {when}")
    return Measured(max(float(after[-1] - np.median(before)), 0.0), len(after))


def latency_drift(window: Window) -> Measured:
    """Return the change of the p95 of latency over the phase as a share of its median, with its 95 % interval."""
    times, p95 = _each_window(window, _p95)
    if (short := _too_few(times)) is not None:
        return short
    middle = float(np.median(p95))
    if not 0 < middle < np.inf:
        return Measured(None, len(p95), "the median p95 is 0" if middle == 0 else "most windows have no answer")
    return _change(window, times, p95 / middle)


def error_drift(window: Window) -> Measured:
    """Return the change of the error rate over the phase (0.01: one request of a hundred more), with its interval."""
    times, errors = _each_window(window, lambda rows: 1 - float(equals(rows, "outcome", Outcome.OK).mean()))
    return _too_few(times) or _change(window, times, errors)


def p95_throughout(window: Window) -> Measured:
    """Return the highest p95 of latency of any minute of the phase, in ms; of a sixtieth of it when that is shorter.

    A window in which nothing was answered is beyond every limit.
    """
    times, p95 = _each_window(window, _p95)
    if not len(times):
        return Measured(None, 0, "no arrivals were due")
    if np.isinf(p95).any():
        at = float(times[np.isinf(p95)][0])
        return Measured(None, len(p95), f"nothing was answered of what was due around {at:.0f} s", unbounded=True)
    return Measured(float(p95.max()), len(p95))


def _p95(rows: Rows) -> float:
    answered = only(rows, among(rows, RESPONSES))
    if not len(answered):
        return np.inf
    return nearest_rank(np.sort((numbers(answered, "done_s") - numbers(answered, "due_s")) * 1000), 950)


def _each_window(window: Window, value: Callable[[Rows], float]) -> tuple[Floats, Floats]:
    """Return (middles, values) of the windows with arrivals: sixty, or one for each minute when that makes more."""
    count = max(_MOST_WINDOWS, int(window.length_s / _LONGEST_S))
    edges = np.linspace(window.start_s, window.end_s, count + 1)
    rows = window.requests
    places = np.searchsorted(numbers(rows, "due_s"), edges)
    there = np.flatnonzero(np.diff(places))
    values = [value(rows.between(int(places[index]), int(places[index + 1]))) for index in there]
    return ((edges[:-1] + edges[1:]) / 2)[there], np.array(values)


def _too_few(times: Floats) -> Measured | None:
    if len(times) >= _FEWEST_WINDOWS:
        return None
    return Measured(
        None, len(times), f"too short to tell: {len(times)} windows with arrivals, {_FEWEST_WINDOWS} needed"
    )


def _change(window: Window, times: Floats, values: Floats) -> Measured:
    if window.length_s < SHORTEST_TREND_S:
        why = f"too short to tell: {window.length_s:.0f} s, {SHORTEST_TREND_S:.0f} s are needed"
        return Measured(None, len(times), why)
    known = np.isfinite(values)
    at, seen = settled(times[known], values[known], window.start_s, window.end_s)
    if len(at) < _FEWEST_WINDOWS:
        return Measured(None, len(at), "too few windows in which anything was answered")
    rate, low, high = slope_interval(at, seen)
    length = window.length_s
    return Measured(rate * length, len(at), interval=(low * length, high * length))
