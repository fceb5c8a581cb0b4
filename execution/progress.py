"""Where a run is: its phase, the time that is left, and the rate at which arrivals come due."""

from collections import deque
from dataclasses import dataclass

from execution.load import Traffic
from samples.live import WINDOW_S
from scenarios.session import Session
from shapes.arrivals import PhaseSpan


@dataclass(frozen=True, slots=True)
class Place:
    """A moment of a run. `phase` is None before the origin and from the drain on; times are in seconds."""

    now_s: float
    phase: str | None
    draining: bool
    phase_left_s: float
    left_s: float
    """Until the last arrival may come due."""


class Progress:
    """Where one run is."""

    def __init__(self, session: Session, spans: tuple[PhaseSpan, ...], traffic: Traffic) -> None:
        self._session, self._traffic = session, traffic
        self.spans = spans
        self._offered: deque[tuple[float, int]] = deque([(0.0, 0)])

    def place(self) -> Place:
        """Return where the run is now."""
        now, end = self._session.clock(), self.spans[-1].end
        draining = now >= end or self._session.stopping.is_set()
        span = next((span for span in self.spans if span.start <= now < span.end), None)
        if draining or span is None:
            return Place(now, None, draining, 0.0, 0.0 if draining else end)
        return Place(now, span.name, False, span.end - now, end - now)

    def offered_rps(self) -> float:
        """Return the arrivals per second that came due since some `WINDOW_S` seconds ago, by the looks taken."""
        now, offered = self._session.clock(), self._traffic.offered
        self._offered.append((now, offered))
        while len(self._offered) > 2 and self._offered[1][0] <= now - WINDOW_S:
            self._offered.popleft()
        since, before = self._offered[0]
        return (offered - before) / max(now - since, 1e-3)
