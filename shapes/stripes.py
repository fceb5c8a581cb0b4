"""Who makes which arrival: the arrivals of a phase are divided among processes, and divided again when one is lost.

Nothing is kept of single arrivals. A part is said in a few numbers, and every process that has the schedule, which a
plan and a seed make, finds the same arrivals in it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapes.arrivals import Schedule


@dataclass(frozen=True, slots=True)
class Cut:
    """Of what is due from `from_s` on, every `of`-th arrival of each scenario; the shares of all places are even."""

    from_s: float
    place: int
    of: int

    def rows(self, rows: NDArray[np.int64], schedule: Schedule) -> NDArray[np.int64]:
        """Return those of the rows that are in this share."""
        rows = rows[np.searchsorted(schedule.times[rows], self.from_s) :]
        if self.of == 1:
            return rows
        scenarios = schedule.scenarios[rows]
        # By scenario: where two take turns, every second place would have one of them alone. Each begins elsewhere.
        mine = [
            rows[scenarios == scenario][(self.place + scenario) % self.of :: self.of]
            for scenario in range(len(schedule.names))
        ]
        return np.sort(np.concatenate(mine))


@dataclass(frozen=True, slots=True)
class Part:
    """Arrivals of one phase (its position in the plan): what the cuts leave, one after the other."""

    phase: int
    cuts: tuple[Cut, ...] = ()
    until_s: float = math.inf
    """Arrivals from here on belong to somebody else."""

    def of(self, schedule: Schedule) -> Schedule:
        """Return the arrivals of this part out of the whole schedule."""
        ends = (*schedule.firsts[1:], len(schedule))
        rows = np.arange(schedule.firsts[self.phase], ends[self.phase])
        for cut in self.cuts:
            rows = cut.rows(rows, schedule)
        return schedule.rows(rows[: np.searchsorted(schedule.times[rows], self.until_s)])

    def divided(self, from_s: float, among: int) -> list["Part"]:
        """Return what is due from a moment on, divided evenly."""
        return [replace(self, cuts=(*self.cuts, Cut(from_s, place, among))) for place in range(among)]

    def ended(self, at_s: float) -> "Part":
        """Return what is due before a moment."""
        return replace(self, until_s=min(self.until_s, at_s))


def counted(parts: Iterable[Part], schedule: Schedule) -> dict[str, dict[str, int]]:
    """Return how many arrivals are in some parts, by phase and scenario."""
    found: dict[str, dict[str, int]] = {}
    for part in parts:
        counts = np.bincount(part.of(schedule).scenarios, minlength=len(schedule.names))
        of_phase = found.setdefault(schedule.spans[part.phase].name, {})
        for name, count in zip(schedule.names, counts.tolist(), strict=True):
            if count:
                of_phase[name] = of_phase.get(name, 0) + count
    return found
