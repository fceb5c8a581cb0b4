"""Live tallies: what the console, and Locust's own web UI, show while a run goes on.

They are for the eye; every verdict comes from the raw samples on disk.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from locust.env import Environment
from numpy.typing import NDArray

from samples import columns
from samples.sample import RESPONSES, Outcome, Protocol, Sample

WINDOW_S = 5.0
# Looked up once: a member of an enumeration, and its value, cost a call at every look.
_OK = Outcome.OK
_VALUES = {member: member.value for kind in (Outcome, Protocol) for member in kind}
_MOST_ERRORS = 500
"""Locust keeps an entry for each error text; those of a server that numbers its errors would fill the memory."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last `WINDOW_S` seconds, by the time of completion. None where nothing completed."""

    achieved_rps: float
    p95_ms: float | None
    failures: int
    """Since the start of the run."""
    completed: int
    """Since the start of the run."""


class LiveTallies:
    """Counts samples, batch by batch, as they go to disk about once a second; bounded memory."""

    def __init__(self) -> None:
        self.completed = 0
        self.failures = 0
        self._until = 0.0
        self._recent: deque[tuple[NDArray[np.float64], NDArray[np.float64]]] = deque()
        """When the responses of each batch came, and their latencies, both in seconds."""

    def take(self, batch: pa.RecordBatch, now: float) -> None:
        """Take what was recorded up to `now`, seconds from the origin; WebSocket traffic is not among the requests."""
        self._until = now
        asked = ~columns.among(batch, "protocol", {Protocol.WEBSOCKET})
        self.completed += int(asked.sum())
        self.failures += int((~columns.among(batch, "outcome", {Outcome.OK})).sum())
        answered = asked & columns.among(batch, "outcome", RESPONSES)
        done = columns.floats(batch, "done_s")[answered]
        self._recent.append((done, done - columns.floats(batch, "due_s")[answered]))
        while self._recent and not (self._recent[0][0] >= now - WINDOW_S).any():
            self._recent.popleft()

    def snapshot(self) -> Snapshot:
        """Return the tallies as of the last batch."""
        recent = [latency[done >= self._until - WINDOW_S] for done, latency in self._recent]
        latencies = np.sort(np.concatenate([*recent, np.empty(0)])) * 1000
        p95 = float(latencies[math.ceil(0.95 * len(latencies)) - 1]) if len(latencies) else None
        span = min(WINDOW_S, max(self._until, 1e-3))
        return Snapshot(len(latencies) / span, p95, self.failures, self.completed)


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
