"""The load generator's own health, measured inside its process: event-loop lag, CPU, memory, gauges."""

import math
import mmap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from samples.sample import Reading

_SOURCE = "generator"
LATE_S = 0.005
"""A tick that is later than this is kept by itself, so that a percentile over the whole run is exact above it."""
_STATM = Path("/proc/self/statm")


class GeneratorHealth:
    """A ticker that measures how late the event loop wakes it up, and reports once a second.

    `clock` gives seconds from the run's origin, `sleep` gives way to the other greenlets, `gauges` returns
    figures of the caller's by name, such as users and in_flight; `tick` is in seconds. Nothing in here blocks:
    memory is one read from /proc.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        gauges: Callable[[], dict[str, float]] = dict,
        *,
        worker: str = "0",
        tick: float = 0.02,
        cpu_time: Callable[[], float] = time.process_time,
        rss: Callable[[], int | None] | None = None,
    ) -> None:
        self._clock, self._sleep, self._gauges = clock, sleep, gauges
        self._worker, self._tick = worker, tick
        self._cpu_time, self._rss = cpu_time, rss or own_rss
        self._stopped = False

    def stop(self) -> None:
        """Make `watch` end at its next tick, with the readings of the second that was begun."""
        self._stopped = True

    def watch(self) -> Iterator[list[Reading]]:
        """Yield the readings of each second, as soon as it is over; runs until `stop`.

        `cpu_cores` is over that second; `loop_lag_p99_ms` (nearest rank) and `loop_lag_max_ms` are over the
        `loop_ticks` that were due in it, and each tick that was late by more than `LATE_S` is a `loop_late_ms`. A
        loop that stood still is late for every tick of that time, not for one.
        """
        begin, cpu = self._clock(), self._cpu_time()
        due, lags = begin + self._tick, list[float]()
        while not self._stopped:
            self._sleep(max(0.0, due - self._clock()))
            now = self._clock()
            while due <= now:
                lags.append(now - due)
                due += self._tick
            if now - begin >= 1.0 or self._stopped:
                spent = self._cpu_time()
                yield self._readings(now, lags, (spent - cpu) / (now - begin) if now > begin else None)
                begin, cpu, lags = now, spent, []

    def _readings(self, now: float, lags: list[float], cores: float | None) -> list[Reading]:
        values: dict[str, float | None] = {"cpu_cores": cores, "rss_bytes": self._rss(), "loop_ticks": len(lags)}
        if lags:
            lags.sort()
            values["loop_lag_p99_ms"] = 1000 * lags[math.ceil(0.99 * len(lags)) - 1]
            values["loop_lag_max_ms"] = 1000 * lags[-1]
        values |= self._gauges()
        late = [("loop_late_ms", 1000 * lag) for lag in lags if lag > LATE_S]
        return [
            Reading(now, _SOURCE, metric, float(value), self._worker)
            for metric, value in (*values.items(), *late)
            if value is not None
        ]


def own_rss() -> int | None:
    """Return the resident memory of this process in bytes; None where there is no /proc."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError, AttributeError):
        return None
