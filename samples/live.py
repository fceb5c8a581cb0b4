"""Live tallies: what the console, and Locust's own web UI, show while a run goes on.

They are for the eye; every verdict comes from the raw samples on disk.
"""

import math
from collections import deque
from dataclasses import dataclass

from locust.env import Environment

from samples.sample import RESPONSES, Outcome, Protocol, Sample

WINDOW_S = 5.0
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
    """Counts samples as they are recorded; bounded memory."""

    def __init__(self) -> None:
        self.completed = 0
        self.failures = 0
        self._recent: deque[tuple[float, float | None]] = deque()

    def __call__(self, sample: Sample) -> None:
        """Take one sample; WebSocket traffic is not counted among the requests."""
        if sample.protocol is Protocol.WEBSOCKET:
            self.failures += sample.outcome is not Outcome.OK
            return
        self.completed += 1
        self.failures += sample.outcome is not Outcome.OK
        answered = sample.outcome in RESPONSES
        self._forget(sample.done_s)  # here too: nobody may be looking
        self._recent.append((sample.done_s, (sample.done_s - sample.due_s) * 1000 if answered else None))

    def snapshot(self, now: float) -> Snapshot:
        """Return the tallies at `now` seconds from the run's origin."""
        self._forget(now)
        latencies = sorted(latency for _, latency in self._recent if latency is not None)
        p95 = latencies[math.ceil(0.95 * len(latencies)) - 1] if latencies else None
        span = min(WINDOW_S, max(now, 1e-3))
        return Snapshot(len(latencies) / span, p95, self.failures, self.completed)

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - WINDOW_S:
            self._recent.popleft()


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
            request_type=sample.protocol.value,
            name=sample.name,
            response_time=(sample.done_s - sample.due_s) * 1000,
            response_length=sample.bytes_in or 0,
            exception=None if sample.outcome is Outcome.OK else RuntimeError(self._error(sample)),
            context={"phase": sample.phase, "scenario": sample.scenario, "outcome": sample.outcome.value},
        )

    def _error(self, sample: Sample) -> str:
        text = f"{sample.outcome.value}: {sample.error}"
        if text not in self._errors:
            if len(self._errors) >= _MOST_ERRORS:
                return f"{sample.outcome.value}: one of very many different errors"
            self._errors.add(text)
        return text
