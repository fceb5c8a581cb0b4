"""Where a limit is crossed: a posterior over the capacity, from what the probes counted.

Near the crossing the log-odds of being outside a limit are taken to be a slightly bent line in the logarithm of the
load, as in a dose-response curve: logit(share) = logit(budget) + u + bend u^2 with u = slope x log(load / capacity).
The unknowns are the capacity, the slope, the bend, a floor (the share that is outside at any load), and how much more
than binomial the counts vary, because requests in a queue share their fate (overdispersion: McCullagh and Nelder,
Generalized Linear Models, 4.5). They are put on a grid with priors that say little; what is left after summing over all
but the capacity is its posterior. Probes far from the crossing weigh less, as in local regression (Loader 1999), and
what they lose counts as one vote, above or below. To place the next probes by such a posterior is the idea of adaptive
psychometric procedures (Kontsevich and Tyler 1999), as is the floor, which is their guess rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capacity.probes import Level, Reading, Share

Floats = NDArray[np.float64]

_SLOPES = np.geomspace(1.0, 40.0, 14)
_SLOPE, _SLOPE_SPREAD = 6.0, 0.5
"""Median and standard deviation (of the logarithm) of the prior of the slope: 95 % of it lie from 2.3 to 16."""
_BENDS = np.array([-0.25, 0.0, 0.25])
"""How much the line may bend: logit = u + bend x u^2, with u the slope times log(load / capacity)."""
_BEND_SPREAD = 0.15
_FLOORS = np.array([0.0, 0.25, 0.5])
"""Share that is outside at any load, in units of the budget: the slowest of exponential times need no queue."""
_NO_FLOOR = np.zeros(1)
_NOISE = np.geomspace(1.0, 64.0, 9)
"""Variance of the counts over that of independent ones."""
_POINTS = 121
_WIDE, _NARROW = 0.15, 0.06
"""The bandwidth, in the logarithm of the load: twice what the capacity may be off by, in these bounds. Probes within it
weigh 1, at twice the bandwidth nothing. The more is known, the nearer the line is fitted."""
_BANDWIDTHS = 2.0
_FEWEST = 6
"""The bandwidth reaches at least to so many probes."""
_LEVEL_NOISE = 0.02
"""Standard deviation of the logarithm of a level in the calmest case."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a limit is crossed: the median of the posterior, and the ends of its central 95 %."""

    load: float
    low: float
    high: float
    loads: Floats
    below: Floats
    """Posterior probability that the crossing is below each of `loads`."""

    def quantile(self, share: float) -> float:
        """Return the load below which the crossing lies with this probability."""
        return float(np.exp(np.interp(share, self.below, np.log(self.loads))))

    @property
    def precision(self) -> float:
        """How far the ends are from the median, as a share of it; the farther one."""
        return max(self.high / self.load - 1, 1 - self.low / self.load)


def crossing(loads: Sequence[float], readings: Sequence[Reading]) -> Crossing:
    """Return where the limit is crossed. Needs at least one probe; loads must be > 0."""
    x = np.log(np.asarray(loads, dtype=np.float64))
    grid = np.linspace(x.min() - math.log(4), x.max() + math.log(4), _POINTS)
    weights = np.ones(len(x))
    for _ in range(4):  # where the weights are highest depends on what they lead to
        mass = _posterior(grid, x, readings, weights)
        below = np.cumsum(mass)
        low, start, median, end, high = (float(np.interp(p, below, grid)) for p in (0.0005, 0.025, 0.5, 0.975, 0.9995))
        weights = _weights(x, median, min(max(_BANDWIDTHS * (end - start) / 2, _NARROW), _WIDE))
        step = grid[1] - grid[0]
        grid = np.linspace(low - 2 * step, high + 2 * step, _POINTS)
    below = np.cumsum(_posterior(grid, x, readings, weights))
    ends = [float(np.exp(np.interp(p, below, grid))) for p in (0.025, 0.5, 0.975)]
    return Crossing(ends[1], ends[0], ends[2], np.exp(grid), below)


def _weights(x: Floats, centre: float, bandwidth: float) -> Floats:
    distance = np.abs(x - centre)
    reach = max(bandwidth, float(np.sort(distance)[min(_FEWEST, len(x)) - 1]) * 1.1)
    result: Floats = np.clip(2 - distance / reach, 0.0, 1.0)
    return result


def _posterior(grid: Floats, x: Floats, readings: Sequence[Reading], weights: Floats) -> Floats:
    """Return the probability of each point of the grid, in the logarithm of the load; it sums to 1."""
    deviance = np.zeros((len(grid), len(_SLOPES), len(_BENDS), len(_FLOORS)))
    for at, reading, weight in zip(x, readings, weights, strict=True):
        distance = ((at - grid)[:, None] * _SLOPES[None, :])[:, :, None, None]
        if weight > 0:
            deviance += weight * _deviance(_bent(distance), reading, _FLOORS)
        if weight < 1:
            deviance += (1 - weight) * _deviance(distance, Share(float(reading.broken), 1, 0.5), _NO_FLOOR)
    scaled = -0.5 * deviance[..., None] / _NOISE - 0.5 * float(weights.sum()) * np.log(_NOISE)
    scaled -= 0.5 * (np.log(_SLOPES / _SLOPE)[None, :, None, None, None] / _SLOPE_SPREAD) ** 2
    scaled -= 0.5 * (_BENDS[None, None, :, None, None] / _BEND_SPREAD) ** 2
    likelihood: Floats = np.exp(scaled - scaled.max()).sum(axis=(1, 2, 3, 4))
    mass: Floats = likelihood / likelihood.sum()
    return mass


def _bent(distance: Floats) -> Floats:
    """Return the bent lines; each is level beyond its vertex, because more load never makes anything better."""
    bends = _BENDS[:, None]
    vertex = -1 / (2 * np.where(bends == 0, -1e-9, bends))
    inside = np.where(vertex > 0, np.minimum(distance, vertex), np.maximum(distance, vertex))
    bent: Floats = inside + bends * inside**2
    return bent


def _deviance(distance: Floats, reading: Reading, floors: Floats) -> Floats:
    """Return the deviance of one reading, where `distance` is the slope times log(load / capacity)."""
    if isinstance(reading, Level):
        result: Floats = ((math.log(max(reading.ratio, 1e-9)) - distance) / _LEVEL_NOISE) ** 2
        return result
    bad, good = reading.bad, reading.trials - reading.bad
    floor = floors * reading.budget
    rising = (reading.budget - floor) / (1 - floor)  # the logistic part of the share at the capacity
    odds = np.log(rising / (1 - rising)) + np.clip(distance, -300, 300)
    share = np.clip(floor + (1 - floor) / (1 + np.exp(-odds)), 1e-12, 1 - 1e-12)
    cost = -bad * np.log(share) - good * np.log1p(-share)
    best = sum(n * math.log(reading.trials / n) for n in (bad, good) if n > 0)
    deviance: Floats = 2 * (cost - best)
    return deviance
