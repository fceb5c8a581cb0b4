"""What a probe is: a load that was held for a while, and what every limit of the plan says of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Share:
    """A limit that counts: `bad` of `trials` were outside, and `budget` is the share that may be.

    A percentile limit is one: p95 < 300 ms says that fewer than 5 % take 300 ms or longer. What only holds or does
    not is one trial, and half of such trials may be broken at the capacity.
    """

    bad: float
    trials: float
    budget: float

    @property
    def broken(self) -> bool:
        """True when more were outside than may be."""
        return self.bad > self.budget * self.trials

    @property
    def clearly_broken(self) -> bool:
        """True when so many more were outside that chance does not explain it: three standard deviations."""
        if self.trials == 1:
            return self.broken
        expected = self.budget * self.trials
        return self.bad > expected + 3 * math.sqrt(expected * (1 - self.budget))


@dataclass(frozen=True, slots=True)
class Level:
    """A limit on a level, such as a mean: `ratio` is measured / limit, and above 1 it is broken."""

    ratio: float

    @property
    def broken(self) -> bool:
        """True when the level is beyond its limit."""
        return self.ratio > 1

    @property
    def clearly_broken(self) -> bool:
        """True when it is beyond its limit by a fifth."""
        return self.ratio > 1.2


Reading = Share | Level


class Role(StrEnum):
    """What a step of a batch is for."""

    RUNG = "rung"
    """A short look, to find about where the capacity lies."""
    ANCHOR = "anchor"
    """A load that is known to be good, again: has the server changed meanwhile?"""
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Step:
    """A load to hold: `settle_s` until the queues are as they stay, then `seconds` that count."""

    load: float
    seconds: float
    settle_s: float
    role: Role


@dataclass(frozen=True, slots=True)
class Batch:
    """Steps of one run, in order. `stop_when_broken` spares the server what lies above the first that breaks."""

    steps: tuple[Step, ...]
    stop_when_broken: bool

    @property
    def seconds(self) -> float:
        """How long the load lasts."""
        return sum(step.settle_s + step.seconds for step in self.steps)


@dataclass(frozen=True, slots=True)
class Probe:
    """A step as it was: `load` is what was really offered (arrivals/s, or users)."""

    role: Role
    asked: float
    load: float
    seconds: float
    at_s: float
    """Seconds from the begin of the search to its own."""
    readings: tuple[Reading | None, ...]
    """What each limit says, in the order of the limits; None: it has no data."""
    figures: dict[str, float] = field(default_factory=dict)
    """Catalogued metrics; `served_rps`, what ended well; `concurrency`, the mean number of requests inside; and the
    interval of the median latency, `latency_p50_low_ms` and `latency_p50_high_ms`."""
    trouble: str | None = None
    """Why this says nothing about the server: the generator was not well, or data is missing."""
    run: str = ""
    """Folder of the run, from that of the search."""

    @property
    def broken(self) -> bool | None:
        """True when a limit is broken; None when nothing can be said."""
        known = [reading.broken for reading in self.readings if reading is not None]
        return any(known) if known and self.trouble is None else None

    @property
    def clearly_broken(self) -> bool:
        """True when a limit is broken by more than chance: the search need not look at a higher load."""
        return any(reading is not None and reading.clearly_broken for reading in self.readings)


class Prober(Protocol):
    """What holds the loads: a real server under a real generator, or a simulated one."""

    def run(self, batch: Batch) -> Sequence[Probe]:
        """Hold the loads of a batch and return what was seen; fewer when it was stopped. Raises `Stopped`."""

    def elapsed(self) -> float:
        """Return the seconds since the search began."""


class Stopped(Exception):
    """The search cannot go on; the message says why. What was found so far stands.

    `usage`: nothing could be run at all, because what was asked for is wrong.
    """

    def __init__(self, why: str, *, usage: bool = False) -> None:
        super().__init__(why)
        self.usage = usage
