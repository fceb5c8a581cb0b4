"""Progress on the terminal: one line, renewed each second; on anything but a terminal a line every five."""

import sys
from collections import deque
from typing import TextIO

import gevent

from execution.load import Traffic
from plans.durations import format_duration
from samples.live import WINDOW_S, LiveTallies
from scenarios.session import Session
from shapes.arrivals import PhaseSpan

_TERMINAL_S, _PLAIN_S = 1.0, 5.0


class Console:
    """Shows phase, time left, offered and achieved rate, in-flight, p95 and failures."""

    def __init__(
        self,
        session: Session,
        spans: tuple[PhaseSpan, ...],
        tallies: LiveTallies,
        traffic: Traffic,
        out: TextIO = sys.stdout,
    ) -> None:
        self._session, self._spans, self._tallies, self._traffic, self._out = session, spans, tallies, traffic, out
        self._offered: deque[tuple[float, int]] = deque([(0.0, 0)])
        self._terminal = out.isatty()
        self._line_is_open = False

    def run(self) -> None:
        """Show progress until nobody can read it any more; to be run in a greenlet."""
        while True:
            gevent.sleep(_TERMINAL_S if self._terminal else _PLAIN_S)
            line = self.line(self._session.clock())
            # By a thread: a terminal that was paused, or a full pipe, must not stop the event loop.
            if not gevent.get_hub().threadpool.apply(self._show, (line,)):
                return

    def close(self) -> None:
        """End the line that was renewed, when there is one."""
        if self._line_is_open:
            self._write("\n")

    def _show(self, line: str) -> bool:
        self._line_is_open = self._terminal
        return self._write(f"\r\x1b[2K{line}" if self._terminal else line + "\n")

    def _write(self, text: str) -> bool:
        """Return False when nobody reads it any more."""
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            return False
        return True

    def line(self, now: float) -> str:
        """Return the line at `now` seconds from the origin."""
        live = self._tallies.snapshot()
        p95 = "–" if live.p95_ms is None else f"{live.p95_ms:.0f} ms"
        return (
            f"{self._where(now)}  offered {self._offered_rps(now):.1f}/s  achieved {live.achieved_rps:.1f}/s  "
            f"in flight {self._traffic.in_flight}  p95 {p95}  failures {live.failures}"
        )

    def _where(self, now: float) -> str:
        end = self._spans[-1].end
        span = next((span for span in self._spans if now < span.end), None)
        if span is None or self._session.stopping.is_set():
            return f"{'drain':<12} {'':>8}     "
        return f"{span.name:<12} {format_duration(round(end - now)):>8} left"

    def _offered_rps(self, now: float) -> float:
        self._offered.append((now, self._traffic.offered))
        while len(self._offered) > 2 and self._offered[1][0] <= now - WINDOW_S:
            self._offered.popleft()
        (since, before), (_, offered) = self._offered[0], self._offered[-1]
        return (offered - before) / max(now - since, 1e-3)
