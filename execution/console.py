"""Progress on the terminal: one line, renewed each second; on anything but a terminal a line every five."""

import sys
from typing import TextIO

import gevent

from execution.assessing import Assessing
from execution.load import Traffic
from execution.progress import Progress
from plans.durations import format_duration
from samples.live import WINDOW_S, LiveTallies

_TERMINAL_S, _PLAIN_S = 1.0, 5.0


class Console:
    """Shows phase, time left, offered and achieved rate, lag, in-flight, p95, failures, and limits that are broken."""

    def __init__(
        self, progress: Progress, tallies: LiveTallies, traffic: Traffic, assessing: Assessing, out: TextIO = sys.stdout
    ) -> None:
        self._progress, self._tallies, self._traffic, self._out = progress, tallies, traffic, out
        self._assessing = assessing
        self._terminal = out.isatty()
        self._line_is_open = False

    def run(self) -> None:
        """Show progress until nobody can read it any more; to be run in a greenlet."""
        while True:
            gevent.sleep(_TERMINAL_S if self._terminal else _PLAIN_S)
            line = self.line()
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

    def line(self) -> str:
        """Return the line of this moment."""
        live = self._tallies.window(WINDOW_S)
        parts = [
            self._where(),
            f"offered {self._progress.offered_rps():.1f}/s",
            f"achieved {live.rps:.1f}/s",
            f"lag {_milliseconds(live.lag_p99_ms)}",
            f"in flight {self._traffic.in_flight}",
            f"p95 {_milliseconds(live.p95_ms)}",
            f"failures {self._tallies.failures}",
        ]
        return "  ".join(parts + self._broken())

    def _broken(self) -> list[str]:
        """Return the limits that are broken so far, as far as they have been looked at."""
        judged = self._assessing.latest
        broken = [one for one in judged.criteria if one.state == "fail"] if judged else []
        if not broken:
            return []
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        return [f"broken: {broken[0].metric} {broken[0].measured} ({broken[0].limit}){more}"]

    def _where(self) -> str:
        place = self._progress.place()
        if place.draining:
            return f"{'drain':<12} {'':>8}     "
        return f"{place.phase or '':<12} {format_duration(round(place.left_s)):>8} left"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
