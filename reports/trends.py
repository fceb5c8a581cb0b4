"""Trends over a long time: does something grow without end, and by how much does it drift? See docs/stress.md.

What a process holds goes up and down by itself: collectors of garbage free memory in a sawtooth, caches fill in steps
and then stay, pools breathe with the load. A leak raises what is left each time, so the question is put to the floor:
the lowest reading of each of twelve equal parts.
"""

from dataclasses import dataclass

import numpy as np

from reports.statistics import Floats, slope, trend_p

PARTS = 12
SETTLING = 0.1
"""Share of a phase in which a process still fills its caches; its growth says nothing about a leak."""
_P = 0.01
_LATER = 0.5
"""What is reached early and then held is no leak: the later half must grow at this share of the least rate or more."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The lowest reading of each part, at the time of its middle. Parts without a reading are left out."""

    times: Floats
    values: Floats

    @property
    def later(self) -> "Floor":
        """The half that comes later."""
        half = len(self.times) // 2
        return Floor(self.times[half:], self.values[half:])


def floor(times: Floats, values: Floats, start_s: float, end_s: float) -> Floor:
    """Return the floor of the readings from `start_s` to `end_s`, in twelve equal parts."""
    edges = np.linspace(start_s, end_s, PARTS + 1)
    places = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, PARTS - 1)
    lowest = np.full(PARTS, np.inf)
    np.minimum.at(lowest, places, values)
    there = np.isfinite(lowest)
    return Floor(((edges[:-1] + edges[1:]) / 2)[there], lowest[there])


def settled(times: Floats, values: Floats, start_s: float, end_s: float) -> tuple[Floats, Floats]:
    """Return the readings after the first tenth of a phase."""
    later = times >= start_s + SETTLING * (end_s - start_s)
    return times[later], values[later]


def leaks(times: Floats, values: Floats, start_s: float, end_s: float, least: float) -> bool:
    """Return whether the floor of a phase's settled readings rose by more than `least` over the phase, by no chance.

    The Theil-Sen slope of the floor x the length of the phase is above `least`, the Mann-Kendall p of the floor is
    below 0.01, and the slope of its later half alone comes to half of `least` or more.
    """
    length_s = end_s - start_s
    low = floor(*settled(times, values, start_s, end_s), start_s + SETTLING * length_s, end_s)
    if len(low.later.times) < 2:
        return False
    return bool(
        slope(low.times, low.values) * length_s > least
        and slope(low.later.times, low.later.values) * length_s >= _LATER * least
        and trend_p(low.times, low.values) < _P
    )
