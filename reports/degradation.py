"""Does a server under more load than it can carry bend, or does it break?"""

from collections.abc import Callable

import numpy as np

from reports.analysis import Measured
from reports.recovery import recovery
from reports.rows import Mask, Rows, among, numbers, only
from reports.statistics import Floats
from reports.windows import Scope, Window
from samples.sample import Outcome

_LONGEST_WINDOW_S, _FEWEST_WINDOWS = 10.0, 12
_KEPT = 0.8
_HIGHEST = 0.95
"""Windows whose load is at least this share of the highest are the ones at the highest load."""
_REFUSALS = 0.95
_REFUSED = (429, 503)


def graceful(window: Window, good: Callable[[Rows], Mask]) -> Measured:
    """Return whether an overload was borne well: useful work went on, what failed was refused, and it recovered.

    `good` tells which requests were ok and inside the plan's limits for a request. The windows are 10 seconds long,
    in phases that are shorter than 12 of them a twelfth of the phase.
    """
    if window.phase is None:
        return Measured(None, 0, "is measured in the phase of the overload, not over the whole run")
    phases = window.run.phases
    following = phases[phases.index(window.phase) + 1 :][:1]
    if not following or not following[0].reached:
        return Measured(None, 0, "no phase follows the overload in which it could recover")
    samples = len(window.requests)
    if not samples:
        return Measured(None, 0, "no arrivals were due")
    recovered = recovery(window.run.window(Scope(following[0].name)))
    if recovered.value is None and not recovered.unbounded:
        return Measured(None, samples, f"recovery cannot be told: {recovered.why}")
    kept = _goodput_kept(window, good) >= _KEPT
    return Measured(bool(kept and _refused(window) > _REFUSALS and recovered.value is not None), samples)


def of_throughput(window: Window, throughput: Callable[[Window], Measured]) -> Measured:
    """Return the share of the best throughput so far that a phase does not reach, 0 to 1."""
    if window.phase is None:
        return Measured(None, 0, "is measured in a phase, not over the whole run")
    phases, here = window.run.phases, throughput(window)
    before = [phase for phase in phases[: phases.index(window.phase)] if phase.closed is window.phase.closed]
    earlier = [throughput(window.run.window(Scope(phase.name))).value for phase in before if phase.reached]
    best = max((float(value) for value in earlier if value is not None), default=0.0)
    if here.value is None or best == 0:
        return here if here.value is None else Measured(None, here.samples, "no phase of its kind comes before it")
    return Measured(max(0.0, 1 - float(here.value) / best), here.samples)


def _goodput_kept(window: Window, good: Callable[[Rows], Mask]) -> float:
    """Return goodput at the highest load of the phase / the best goodput of any window of the run."""
    loads, rates = _rates(window, good)
    reached = [phase.name for phase in window.run.phases if phase.reached]
    best = max(float(_rates(window.run.window(Scope(name)), good)[1].max(initial=0.0)) for name in reached)
    at_highest = rates[loads >= _HIGHEST * loads.max(initial=0.0)]
    return float(at_highest.mean()) / best if best > 0 and len(at_highest) else 0.0


def _rates(window: Window, good: Callable[[Rows], Mask]) -> tuple[Floats, Floats]:
    """Return (arrivals per second, goodput per second) of the whole windows of a phase, by due time."""
    length = min(_LONGEST_WINDOW_S, window.length_s / _FEWEST_WINDOWS)
    if length <= 0:
        return np.zeros(0), np.zeros(0)
    edges = np.arange(window.start_s, window.end_s + length * 1e-6, length)
    rows = window.requests
    due = numbers(rows, "due_s")
    return np.histogram(due, edges)[0] / length, np.histogram(due[good(rows)], edges)[0] / length


def _refused(window: Window) -> float:
    """Return the share of the failures that are refusals; 1 without failures."""
    failures = only(window.requests, ~among(window.requests, (Outcome.OK,)))
    if not len(failures):
        return 1.0
    return float(refusals(failures).mean())


def refusals(rows: Rows) -> Mask:
    """Return which requests the server refused: it said so, at once, instead of failing."""
    return among(rows, (Outcome.HTTP_ERROR,)) & np.isin(numbers(rows, "status"), _REFUSED)
