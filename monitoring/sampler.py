"""The sampling loop: reads the probes at even times and puts the readings on disk, one batch a second."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from samples.sample import Reading
from samples.segments import SegmentWriter

BATCH_S = 1.0
_MOST_HELD = 100_000
_FILE = "resources-monitor{}.arrow"


class Probe(Protocol):
    """Something that is read once per interval; what cannot be read is absent from the result."""

    source: str

    def read(self) -> dict[str, float]:
        """Return the values by metric."""


class Feed(Protocol):
    """Something that reads by itself and is asked for what has come."""

    def take(self) -> list[Reading]:
        """Return the readings since the last call, at once."""


def segment_path(folder: Path) -> Path:
    """Return the file to write; a monitor that was started again leaves the first one's readings alone."""
    number, path = 1, folder / _FILE.format("")
    while path.exists():
        number += 1
        path = folder / _FILE.format(number)
    return path


class Sampler:
    """Reads `probes` at multiples of `interval` seconds of the run's clock; a time that was missed is left out.

    `feeds` read by themselves; what they have is taken at the same times.

    `clock` gives seconds from the run's origin. `wait` sleeps up to so many seconds and returns True when it is
    time to stop.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        writer: SegmentWriter,
        interval: float,
        clock: Callable[[], float],
        wait: Callable[[float], bool],
        feeds: Sequence[Feed] = (),
    ) -> None:
        self._feeds = feeds
        self.latest: dict[tuple[str, str], float] = {}
        """The newest value by source and metric."""
        self._probes, self._writer, self._interval = probes, writer, interval
        self._clock, self._wait = clock, wait
        self._held: list[Reading] = []
        self._written_at = -math.inf
        self.readings = 0
        self.write_errors = 0
        self._began, self._cpu = clock(), time.process_time()

    def run(self) -> None:
        """Sample until `wait` says stop, then write what is left."""
        # Rates over a sliver of an interval would be noise: the second reading comes at least half of one later.
        tick = math.ceil(self._clock() / self._interval + 0.5)
        while not self._wait(max(0.0, tick * self._interval - self._clock())):
            self.sample()
            tick = max(tick + 1, math.ceil(self._clock() / self._interval))
        self._take()
        self.flush()

    def sample(self) -> None:
        """Read every probe once, and write when a batch is due."""
        for probe in self._probes:
            t_s = self._clock()
            values = probe.read()
            self._keep([Reading(t_s, probe.source, metric, value) for metric, value in values.items()])
        self._take()
        # A hair less than a second, or every second batch of an even interval would wait for the next reading.
        if self._clock() - self._written_at >= BATCH_S - 0.5 * min(self._interval, BATCH_S):
            self.flush()

    def _take(self) -> None:
        for feed in self._feeds:
            self._keep(feed.take())

    def _keep(self, readings: list[Reading]) -> None:
        self._held += readings
        self.latest |= {(reading.source, reading.metric): reading.value for reading in readings}

    def flush(self) -> None:
        """Write the readings that are held; when the disk refuses them they are kept for the next time."""
        self._written_at = self._clock()
        if not self._held:
            return
        try:
            self._writer.append(self._held)
        except OSError:
            self.write_errors += 1
            del self._held[:-_MOST_HELD]
            return
        self.readings += len(self._held)
        self._held = []

    def cpu_cores(self) -> float:
        """Return the mean CPU of this process since it began to sample, in cores."""
        elapsed = self._clock() - self._began
        return (time.process_time() - self._cpu) / elapsed if elapsed > 0 else 0.0
