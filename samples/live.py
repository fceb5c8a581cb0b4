"""Live tallies: what the console, and Locust's own web UI, show while a run goes on.

They are for the eye; every verdict comes from the raw samples on disk.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from locust.env import Environment
from numpy.typing import NDArray

from samples import columns
from samples.sample import RESPONSES, Outcome, Protocol, Sample

WINDOW_S, LONGEST_S = 5.0, 30.0
"""The windows that are shown, seconds."""
Floats = NDArray[np.float64]
# Looked up once: a member of an enumeration, and its value, cost a call at every look.
_OK = Outcome.OK
_VALUES = {member: member.value for kind in (Outcome, Protocol) for member in kind}
_MOST_ERRORS = 500
"""Locust keeps an entry for each error text; those of a server that numbers its errors would fill the memory."""


@dataclass(frozen=True, slots=True)
class Window:
    """The requests of arrivals and iterations, as the report counts them, that ended in the last seconds.

    Times are in milliseconds, None where there are none.
    """

    length_s: float
    """As asked for; shorter at the begin of a run."""
    answered: int
    rps: float
    """Responses per second."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    lag_p99_ms: float | None
    """Of all that were sent: from the due time to the begin."""


class LiveTallies:
    """Counts samples, batch by batch, as they go to disk about once a second; bounded memory."""

    def __init__(self) -> None:
        self.completed = 0
        """Requests that have ended since the start of the run."""
        self.failures = 0
        """Of every kind, since the start of the run."""
        self._until = 0.0
        self._recent: deque[tuple[Floats, Floats, Floats]] = deque()
        """When the requests of each batch ended; latency (NaN without an answer) and lag (NaN if not sent), seconds."""

    def take(self, batch: pa.RecordBatch, now: float) -> None:
        """Take what was recorded up to `now`, seconds from the origin; WebSocket traffic is not among the requests."""
        self._until = now
        asked = ~columns.among(batch, "protocol", {Protocol.WEBSOCKET})
        self.completed += int(asked.sum())
        self.failures += int((~columns.among(batch, "outcome", {Outcome.OK})).sum())
        counted = asked & columns.flags(batch, "iteration")
        due, done = columns.floats(batch, "due_s")[counted], columns.floats(batch, "done_s")[counted]
        answered = columns.among(batch, "outcome", RESPONSES)[counted]
        lag = columns.floats(batch, "sent_s")[counted] - due
        self._recent.append((done, np.where(answered, done - due, np.nan), lag))
        while self._recent and not (self._recent[0][0] >= now - LONGEST_S).any():
            self._recent.popleft()

    def window(self, length_s: float) -> Window:
        """Return the last `length_s` seconds before the last batch, up to `LONGEST_S`; percentiles are exact."""
        since = self._until - length_s
        recent = tuple(self._recent)  # another thread may add to it meanwhile
        ended = [(latency[done >= since], lag[done >= since]) for done, latency, lag in recent]
        latency, lag = (_ordered([pair[place] for pair in ended]) for place in (0, 1))
        span = min(length_s, max(self._until, 1e-3))
        return Window(
            length_s=span,
            answered=len(latency),
            rps=len(latency) / span,
            p50_ms=_percentile(latency, 500),
            p95_ms=_percentile(latency, 950),
            p99_ms=_percentile(latency, 990),
            max_ms=_percentile(latency, 1000),
            lag_p99_ms=_percentile(lag, 990),
        )


def _ordered(parts: list[Floats]) -> Floats:
    values = np.concatenate([*parts, np.empty(0)])
    return np.sort(values[~np.isnan(values)]) * 1000


def _percentile(ordered: Floats, permille: int) -> float | None:
    """Return the nearest rank, computed in integers; None of nothing."""
    count = len(ordered)
    return float(ordered[max(-(-count * permille // 1000), 1) - 1]) if count else None


class SampleContext(dict[str, str]):
    """The context of an event that was fired for a sample; by it the event is told from those of users' own code."""


class LocustStatistics:
    """Fires `events.request` for each sample, so that Locust's UI, CSV files and plugins see the same requests.

    Times are milliseconds from the intended start. Pushed messages stay out: they are nobody's request. Of very many
    different errors the later ones are told by their outcome alone.
    """

    def __init__(self, environment: Environment) -> None:
        self._fire = environment.events.request.fire
        self._errors: set[str] = set()

    def __call__(self, sample: Sample) -> None:
        """Fire the event of one sample."""
        if sample.message_type is not None:
            return
        self._fire(
            request_type=_VALUES[sample.protocol],
            name=sample.name,
            response_time=(sample.done_s - sample.due_s) * 1000,
            response_length=sample.bytes_in or 0,
            exception=None if sample.outcome is _OK else RuntimeError(self._error(sample)),
            response=None,  # listeners may ask for it, as Locust's own clients pass it
            context=SampleContext(phase=sample.phase, scenario=sample.scenario, outcome=_VALUES[sample.outcome]),
        )

    def _error(self, sample: Sample) -> str:
        text = f"{sample.outcome.value}: {sample.error}"
        if text not in self._errors:
            if len(self._errors) >= _MOST_ERRORS:
                return f"{sample.outcome.value}: one of very many different errors"
            self._errors.add(text)
        return text
