"""Where a limit is crossed: a posterior over the capacity, from what the probes counted.

Near the crossing the log-odds of being outside a limit are taken to be a slightly bent line in the logarithm of the
load, as in a dose-response curve: logit(share) = logit(budget) + u + bend u^2 with u = slope x log(load / capacity).
The unknowns are the capacity, the slope, the bend, a floor (the share that is outside at any load), and how much more
than binomial the counts vary. Requests in a queue share their fate, so those that the load puts outside come in
clusters, and their variance is the size of a cluster times that of independent ones (overdispersion: McCullagh and
Nelder, Generalized Linear Models, 4.5); those of the floor have nothing to do with each other. So what is counted at a
low load is more certain than what is counted at a high one. The unknowns are put on a grid with priors that say
little; what is left after summing over all but the capacity is its posterior. Probes far from the crossing weigh less,
as in local regression (Loader 1999), and what they lose counts as one vote, above or below. To place the next probes
by such a posterior is the idea of adaptive psychometric procedures (Kontsevich and Tyler 1999), as is the floor, which
is their guess rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capacity.probes import Level, Reading, Share

Floats = NDArray[np.float64]

_SLOPES = np.geomspace(1.5, 40.0, 12)
_SLOPE, _SLOPE_SPREAD = 8.0, 0.7
"""Median and standard deviation (of the logarithm) of the prior of the slope: 95 % of it lie from 2 to 32."""
_BENDS = np.array([-0.25, -0.1, 0.05])
"""How much the line may bend: logit = u + bend x u^2, with u the slope times log(load / capacity)."""
_BEND, _BEND_SPREAD = -0.1, 0.12
"""Mean and standard deviation of its prior: what a queue of few places refuses rises ever more slowly (M/M/c/K: -0.25
to 0), what takes too long in an endless one ever faster (M/M/1: up to 0.1)."""
_FLOORS = np.array([0.0, 0.15, 0.3, 0.45, 0.6])
"""Share that is outside at any load, in units of the budget: the slowest of exponential times need no queue."""
_NO_FLOOR = np.zeros(1)
_CLUSTERS = np.geomspace(1.0, 64.0, 7)
"""How many requests are outside together: variance of the counts over that of independent ones, without the floor."""
_CLUSTER, _CLUSTER_SPREAD = 8.0, 0.7
"""Median and standard deviation (of the logarithm) of its prior: 95 % of it lie from 2 to 32. A dozen probes may by
chance look far more alike than they are."""
_POINTS = 81
_WIDE, _NARROW = 0.15, 0.06
"""The bandwidth, in the logarithm of the load: twice what the capacity may be off by, in these bounds. Probes within it
weigh 1, at twice the bandwidth nothing. The more is known, the nearer the line is fitted."""
_BANDWIDTHS = 2.0
_FEWEST = 6
"""The bandwidth reaches at least to so many probes."""
_LEVEL_NOISE = 0.02
"""Standard deviation of the logarithm of a level in the calmest case."""
_ALLOWANCE = 0.01
"""Standard deviation of the logarithm of the capacity that no number of probes takes away: the line is not quite the
truth (of M/M/c/K it misses the crossing by up to 0.5 %), and no server is quite the same for minutes."""


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


def crossing(loads: Sequence[float], readings: Sequence[Reading], asked: Sequence[float] | None = None) -> Crossing:
    """Return where the limit is crossed. Needs at least one probe; loads must be > 0.

    `loads` were really offered, `asked` was asked for (default: the same): random arrivals differ, and the limit is to
    be kept on average over their chance.
    """
    x = np.log(np.asarray(loads, dtype=np.float64))
    chance = np.zeros(len(x)) if asked is None else (x - np.log(np.asarray(asked, dtype=np.float64))) ** 2
    grid = np.linspace(x.min() - math.log(4), x.max() + math.log(4), _POINTS)
    weights = np.ones(len(x))
    for _ in range(4):  # where the weights are highest depends on what they lead to
        mass = _posterior(grid, x, readings, weights, _mean(chance, weights))
        below = np.cumsum(mass)
        low, start, median, end, high = (float(np.interp(p, below, grid)) for p in (0.0005, 0.025, 0.5, 0.975, 0.9995))
        weights = _weights(x, median, min(max(_BANDWIDTHS * (end - start) / 2, _NARROW), _WIDE))
        step = grid[1] - grid[0]
        more = 2 * step + 3 * _ALLOWANCE
        grid = np.linspace(low - more, high + more, _POINTS)
    below = np.cumsum(_blurred(_posterior(grid, x, readings, weights, _mean(chance, weights)), grid))
    ends = [float(np.exp(np.interp(p, below, grid))) for p in (0.025, 0.5, 0.975)]
    return Crossing(ends[1], ends[0], ends[2], np.exp(grid), below)


def _weights(x: Floats, centre: float, bandwidth: float) -> Floats:
    distance = np.abs(x - centre)
    reach = max(bandwidth, float(np.sort(distance)[min(_FEWEST, len(x)) - 1]) * 1.1)
    result: Floats = np.clip(2 - distance / reach, 0.0, 1.0)
    return result


def _blurred(mass: Floats, grid: Floats) -> Floats:
    """Return the probabilities of the points with the allowance added."""
    kernel = np.exp(-0.5 * ((grid - grid.mean()) / _ALLOWANCE) ** 2)
    blurred = np.convolve(mass, kernel, "same")
    result: Floats = blurred / blurred.sum()
    return result


def _mean(values: Floats, weights: Floats) -> float:
    return float((values * weights).sum() / max(weights.sum(), 1e-9))


def _posterior(grid: Floats, x: Floats, readings: Sequence[Reading], weights: Floats, variance: float) -> Floats:
    """Return the probability of each point of the grid, in the logarithm of the load; it sums to 1.

    `variance`: of the logarithm of the load that was offered about the one that was asked for.
    """
    terms = np.zeros((len(grid), len(_SLOPES), len(_BENDS), len(_FLOORS), len(_CLUSTERS)), dtype=np.float32)
    for at, reading, weight in zip(x, readings, weights, strict=True):
        distance = ((at - grid)[:, None] * _SLOPES[None, :])[:, :, None, None]
        if weight > 0:
            terms += weight * _terms(_bent(distance - _lifted(reading, variance)), reading, _FLOORS)
        if weight < 1:
            terms += (1 - weight) * _terms(distance, Share(float(reading.broken), 1, 0.5), _NO_FLOOR)
            terms += (1 - weight) * _too_high(_FLOORS, reading)[:, None]
    scaled = -0.5 * terms
    scaled -= 0.5 * (np.log(_SLOPES / _SLOPE)[None, :, None, None, None] / _SLOPE_SPREAD) ** 2
    scaled -= 0.5 * ((_BENDS[None, None, :, None, None] - _BEND) / _BEND_SPREAD) ** 2
    scaled -= 0.5 * (np.log(_CLUSTERS / _CLUSTER) / _CLUSTER_SPREAD) ** 2
    likelihood: Floats = np.exp(scaled - scaled.max()).sum(axis=(1, 2, 3, 4), dtype=np.float64)
    mass: Floats = likelihood / likelihood.sum()
    return mass


def _lifted(reading: Reading, variance: float) -> Floats:
    """Return by how much the line is lower than the share on average, as a distance, for each slope and bend.

    The line says what is outside when so many arrivals come. Of random arrivals sometimes more come and sometimes
    fewer, and because the line s(x) rises ever more steeply, those make up for less than these cost. On average over
    all arrivals it is s + (s' + s'') variance / 2, by Taylor's theorem.
    """
    budget = 0.0 if isinstance(reading, Level) else reading.budget
    curved = 1 + _SLOPES[:, None] * (1 - 2 * budget + 2 * _BENDS[None, :])
    lifted: Floats = (_SLOPES[:, None] * curved * variance / 2)[None, :, :, None]
    return lifted


def _bent(distance: Floats) -> Floats:
    """Return the bent lines; each is level beyond its vertex, because more load never makes anything better."""
    bends = _BENDS[:, None]
    vertex = -1 / (2 * np.where(bends == 0, -1e-9, bends))
    inside = np.where(vertex > 0, np.minimum(distance, vertex), np.maximum(distance, vertex))
    bent: Floats = inside + bends * inside**2
    return bent


def _terms(distance: Floats, reading: Reading, floors: Floats) -> Floats:
    """Return -2 log(quasi-likelihood) of one reading for each size of clusters, along a last axis of its own.

    `distance` is the slope times log(load / capacity).
    """
    if isinstance(reading, Level):
        deviance: Floats = ((math.log(max(reading.ratio, 1e-9)) - distance) / _LEVEL_NOISE) ** 2
        return _scaled(deviance, _CLUSTERS)
    bad, good = reading.bad, reading.trials - reading.bad
    floor = floors * reading.budget
    rising = (reading.budget - floor) / (1 - floor)  # the logistic part of the share at the capacity
    odds = np.log(rising / (1 - rising)) + np.clip(distance, -300, 300)
    share = np.clip(floor + (1 - floor) / (1 + np.exp(-odds)), 1e-12, 1 - 1e-12)
    cost = -bad * np.log(share) - good * np.log1p(-share)
    best = sum(n * math.log(reading.trials / n) for n in (bad, good) if n > 0)
    largest = np.minimum(_CLUSTERS, reading.trials)  # a single vote is no cluster
    by_load = np.clip(1 - floor / share, 0.0, 1.0)[..., None]
    return _scaled(2 * (cost - best), 1 + (largest - 1) * by_load)


def _too_high(floors: Floats, reading: Reading) -> Floats:
    """Return -2 log(likelihood) of each floor that is above the share of one reading, as it cannot be; else 0."""
    if isinstance(reading, Level):
        return np.zeros(len(floors))
    bad, good = reading.bad, reading.trials - reading.bad
    share = np.clip(np.maximum(floors * reading.budget, bad / reading.trials), 1e-12, 1 - 1e-12)
    best = sum(n * math.log(n / reading.trials) for n in (bad, good) if n > 0)
    cost: Floats = 2 * (best - bad * np.log(share) - good * np.log1p(-share))
    return cost


def _scaled(deviance: Floats, variance: Floats) -> Floats:
    scaled: Floats = np.float32(deviance[..., None]) / np.float32(variance) + np.log(np.float32(variance))
    return scaled
