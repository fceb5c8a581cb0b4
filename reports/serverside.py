"""What the server counts about itself under the load, what its GPUs did, and whether its count agrees with ours."""

from dataclasses import dataclass

import numpy as np

from reports.analysis import Measured
from reports.resources import allowed_hole, longest_hole, mean_of_readings, memory_over_rest
from reports.rows import equals, numbers, only
from reports.statistics import Floats
from reports.windows import RunData, Scope, Window
from samples.sample import Protocol

RUNNING, WAITING = "requests_running", "requests_waiting"

_FEWEST_FOR_NOTE = 10
_PERSISTENT = 0.75
_NOTED_SHARE, _NOTED_REQUESTS = 0.2, 2.0
"""A difference is large from so large a share of the larger count on, and so many requests."""


def queue_mean(window: Window) -> Measured:
    """Return the mean of the server's waiting requests."""
    _, problem = _covered(window, WAITING, "server")
    return problem or mean_of_readings(window, WAITING, "server")


def queue_max(window: Window) -> Measured:
    """Return the highest reading of the server's waiting requests."""
    values, problem = _covered(window, WAITING, "server")
    return problem or Measured(float(values.max()), len(values))


def sessions_max(window: Window) -> Measured:
    """Return the highest reading of the server's open sessions."""
    values, problem = _covered(window, "sessions_open", "server")
    return problem or Measured(float(values.max()), len(values))


def memory_per_session(window: Window) -> Measured:
    """Return what the server's memory grew by, for each of the most sessions that it had."""
    memory, sessions = memory_over_rest(window), sessions_max(window)
    if memory.value is None or sessions.value is None:
        return memory if memory.value is None else sessions
    if sessions.value == 0:
        return Measured(None, sessions.samples, "the server had no session")
    return Measured(float(memory.value) / float(sessions.value), memory.samples)


def kv_cache_max(window: Window) -> Measured:
    """Return the highest use of the server's KV-cache, 0 to 1."""
    values, problem = _covered(window, "kv_cache_share", "server")
    return problem or Measured(float(values.max()), len(values))


def preemptions(window: Window) -> Measured:
    """Return how many requests were preempted between the last reading before the window and its last one."""
    values, problem = _covered(window, "preemptions", "server")
    if problem is not None:
        return problem
    _, before = window.run.readings("preemptions", "server", -np.inf, window.start_s)
    return Measured(float(values[-1] - (before[-1] if len(before) else values[0])), len(values))


def gpu_utilisation(window: Window) -> Measured:
    """Return the mean utilisation of the GPUs, 0 to 1."""
    each = _of_gpus(window, "utilisation_share")
    if isinstance(each, Measured):
        return each
    return Measured(sum(float(values.mean()) for values in each) / len(each), sum(map(len, each)))


def gpu_memory(window: Window) -> Measured:
    """Return the sum over the GPUs of the highest memory in use, in bytes."""
    each = _of_gpus(window, "memory_used_bytes")
    if isinstance(each, Measured):
        return each
    return Measured(sum(float(values.max()) for values in each), sum(map(len, each)))


def _of_gpus(window: Window, metric: str) -> list[Floats] | Measured:
    """Return the readings of each GPU, or why they tell nothing."""
    readings = window.run.frames.readings
    workers = only(readings, equals(readings, "source", "gpu"))["worker"].value_counts()
    each = [_covered(window, metric, "gpu", str(worker)) for worker, count in workers.items() if count]
    if not each:
        return _missing(metric, "gpu")
    return next((problem for _, problem in each if problem is not None), [values for values, _ in each])


def _missing(metric: str, source: str) -> Measured:
    return Measured(None, 0, f"there are no readings of the {source}'s {metric}")


def _covered(window: Window, metric: str, source: str, worker: str | None = None) -> tuple[Floats, Measured | None]:
    """Return the readings, and why they tell nothing: none at all, or a hole in which a peak could hide."""
    times, values = window.readings(metric, source, worker)
    if not len(values):
        return values, _missing(metric, source)
    hole = longest_hole(window, times)
    if hole <= allowed_hole(window):
        return values, None
    why = f"the readings of the {source}'s {metric} have a hole of {hole:.0f} s: it could not be read"
    return values, Measured(None, len(values), why)


@dataclass(frozen=True, slots=True)
class _Counts:
    """At each reading of the server's page: LLM requests that we had in flight, and requests that it knew of."""

    ours: Floats
    theirs: Floats


def _counts(window: Window) -> _Counts | Measured:
    times, running = window.readings(RUNNING, "server")
    if not len(times):
        return _missing(RUNNING, "server")
    hole = longest_hole(window, times)
    if hole > allowed_hole(window):
        why = f"the readings of the server's requests have a hole of {hole:.0f} s: it could not be read"
        return Measured(None, len(times), why)
    at, waiting = window.readings(WAITING, "server")
    # What one page told has one time; an engine without a queue has no count of it.
    places = np.searchsorted(at, times)
    queued = np.array([waiting[p] if p < len(at) and at[p] == t else 0.0 for p, t in zip(places, times, strict=True)])
    return _Counts(_in_flight(window.run, times), running + queued)


def _in_flight(run: RunData, times: Floats) -> Floats:
    """Return how many LLM requests of the whole run were sent and not yet done at each time."""
    rows = only(run.frames.samples, equals(run.frames.samples, "protocol", Protocol.LLM))
    sent, done = numbers(rows, "sent_s"), numbers(rows, "done_s")
    good = np.isfinite(sent)
    begun = np.searchsorted(np.sort(sent[good]), times, side="right")
    ended = np.searchsorted(np.sort(done[good]), times, side="right")
    return (begun - ended).astype(np.float64)


def in_flight_difference(window: Window) -> Measured:
    """Return the mean of our LLM requests in flight less the server's running and waiting ones."""
    counts = _counts(window)
    if isinstance(counts, Measured):
        return counts
    return Measured(float((counts.ours - counts.theirs).mean()), len(counts.ours))


def disagreements(run: RunData) -> list[str]:
    """Return a sentence for each phase in which the two counts differed much, and nearly always to the same side."""
    found = []
    for phase in run.phases:
        counts = _counts(run.window(Scope(phase.name))) if phase.reached else None
        if not isinstance(counts, _Counts) or len(counts.ours) < _FEWEST_FOR_NOTE:
            continue
        difference = counts.ours - counts.theirs
        least = np.maximum(_NOTED_REQUESTS, _NOTED_SHARE * np.maximum(counts.ours, counts.theirs))
        both = f"{counts.ours.mean():.1f} LLM requests in flight and the server counted {counts.theirs.mean():.1f}"
        if (difference > least).mean() >= _PERSISTENT:
            why = "the others waited in front of it (a proxy's queue, a limit on connections) or never reached it"
            found.append(f"In {phase.name} the load generator had {both}: {why}.")
        elif (-difference > least).mean() >= _PERSISTENT:
            why = "it serves somebody else too, or goes on with requests that were given up"
            found.append(f"In {phase.name} the load generator had {both}: {why}.")
    return found
