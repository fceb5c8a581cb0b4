"""Metrics over windows of a phase: does it hold still, does it keep up?"""

import numpy as np

from plans.schema import Criterion
from reports.analysis import Measured
from reports.families import measured
from reports.limits import holds
from reports.rows import Rows, among, equals, numbers, only
from reports.statistics import wilson
from reports.windows import Scope, Window
from samples.sample import RESPONSES, Outcome, Protocol

_WINDOW_S = 10.0
_KEPT_UP = 0.95
_STABLE = 0.95
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
        and criterion.worse_at_most is None
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


def _iterations(rows: Rows) -> Rows:
    kept = rows["iteration"].to_numpy(dtype=np.bool_) & ~equals(rows, "protocol", Protocol.WEBSOCKET)
    return only(rows, kept)
