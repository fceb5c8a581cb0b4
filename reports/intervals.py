"""Confidence intervals that hold for requests that are not independent: what one waits for, its neighbours wait for.

The time of each phase is cut into equal bins, and what a bin adds beyond its share is a series whose spectrum at
frequency zero is the variance of the sum. It is estimated from the series' lowest cosines, after the series was
whitened by its first autocorrelation, and has as many degrees of freedom as there are cosines: no length of a block
has to be guessed. Phases are strata: that they differ from each other widens nothing. Sources: Lazarus, Lewis, Stock
and Watson, HAR Inference: Recommendations for Practice, 2018 (cosines); Andrews and Monahan, Econometrica 60, 1992
(whitening); Cochran, Sampling Techniques, 5 and 6.4 (strata, ratios). How often these intervals hold the true value:
docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.statistics import PERMILLE, Floats, Interval, beta_ends, exact_ends, nearest_rank, t_quantile, wilson

Bins = NDArray[np.int32]
Mask = NDArray[np.bool_]

COSINES = 8
"""Degrees of freedom of a variance: more follow a slow wave less, fewer make every interval wider."""
_BINS = 256
_MOST_ALIKE = 0.97
_FEWEST = 30
"""Fewer values are taken as independent: nothing can be told of how they hang together."""
_TRUST = 10.0
"""Independent values beyond a percentile from which on its own dependence is believed rather than its neighbour's."""

_CENTRES = (np.arange(_BINS - 1) + 0.5) / (_BINS - 1)
_BASIS = math.sqrt(2 / (_BINS - 1)) * np.cos(np.pi * np.outer(_CENTRES, np.arange(1, COSINES + 1)))


@dataclass(frozen=True, slots=True)
class Spread:
    """The variance of a sum over all values, and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Blocks:
    """In which bin of time each value lies: bin `index % 256` of stratum `index // 256`; they ascend."""

    index: Bins
    strata: int

    @classmethod
    def of(cls, times: Floats, bounds: Sequence[tuple[float, float]]) -> "Blocks":
        """Return the bins of values that were due at `times` (s, ascending) in strata with these bounds, in order."""
        if not bounds:
            bounds = [(float(times[0]), float(times[-1]))] if len(times) else [(0.0, 1.0)]
        index = np.zeros(len(times), np.int32)
        firsts = [0, *np.searchsorted(times, [start for start, _ in bounds[1:]]), len(times)]
        for number, (start, end) in enumerate(bounds):
            part = slice(firsts[number], firsts[number + 1])
            places = (times[part] - start) * (_BINS / max(end - start, 1e-9))
            index[part] = number * _BINS + np.clip(places, 0, _BINS - 1).astype(np.int32)
        return cls(index, len(bounds))

    def only(self, chosen: Mask) -> "Blocks":
        """Return the bins of some of the values."""
        return self if chosen.all() else Blocks(self.index[chosen], self.strata)

    def repeated(self, times: NDArray[np.int64]) -> "Blocks":
        """Return the bins of values that occur `times` each."""
        return Blocks(np.repeat(self.index, times), self.strata)

    def sums(self, weights: Floats | None = None, chosen: Mask | None = None) -> Floats:
        """Return the sum of weights (without: the number of values) in each bin; shape (strata, bins)."""
        # The bins ascend, so each is one stretch of the values: where it begins is found without looking at them all.
        edges = np.searchsorted(self.index, np.arange(self.strata * _BINS + 1, dtype=np.int32))
        found: Floats = np.diff(edges).astype(np.float64)
        if weights is not None or chosen is not None:
            every = np.asarray(1.0 if weights is None else weights)
            values = every if chosen is None else chosen if weights is None else np.where(chosen, every, 0.0)
            filled = found > 0
            found[filled] = np.add.reduceat(values, edges[:-1][filled], dtype=np.float64)
        return found.reshape(self.strata, _BINS)

    def spread(self, sums: Floats, over: Floats | None = None) -> Spread:
        """Return the spread of the total of `sums`, each stratum's share of it held against `over`.

        `over` is what a bin's share is expected to be proportional to: the number of its values (`sums()`, the
        default), so that the total is a ratio's numerator, or ones for a total over time.
        """
        over = self.sums() if over is None else over
        whole = over.sum(axis=1, keepdims=True)
        rest = sums - over * (sums.sum(axis=1, keepdims=True) / np.maximum(whole, 1.0))
        power = (rest**2).sum(axis=1)
        alike = np.clip((rest[:, 1:] * rest[:, :-1]).sum(axis=1) / np.maximum(power, 1e-300), 0.0, _MOST_ALIKE)
        white = rest[:, 1:] - alike[:, None] * rest[:, :-1]
        waves = (white @ _BASIS) ** 2
        variances = waves.mean(axis=1) / (1 - alike) ** 2 * _BINS
        total = float(variances.sum())
        squares = float((variances**2).sum())
        return Spread(total, COSINES * total**2 / squares if squares > 0 else float(COSINES))


def mean_interval(values: Floats, blocks: Blocks) -> Interval | None:
    """Return the 95 % interval of the mean of `values`; None for a single one."""
    count = len(values)
    if count < 2:
        return None
    mean = float(values.mean())
    if count < _FEWEST:
        half = t_quantile(count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
    else:
        spread = blocks.spread(blocks.sums(values))
        half = t_quantile(spread.freedom) * math.sqrt(spread.variance) / count
    return mean - half, mean + half


def amount_interval(values: Floats, blocks: Blocks) -> Interval | None:
    """Return the 95 % interval of the sum of `values` where time, and no number of arrivals, is what was given."""
    if len(values) < _FEWEST:
        return None
    sums = blocks.sums(values)
    spread = blocks.spread(sums, np.ones_like(sums))
    total, half = float(values.sum()), t_quantile(spread.freedom) * math.sqrt(spread.variance)
    return total - half, total + half


def share_interval(hits: Mask, blocks: Blocks) -> Interval | None:
    """Return the 95 % interval of the share of `hits`; Wilson's when they are few, all or none.

    Failures come in bursts, so that many of them are worth few: the interval is the exact one of as many values as
    these are worth. Source: Korn and Graubard, Survey Methodology 24, 1998.
    """
    count, found = len(hits), int(hits.sum())
    if count < _FEWEST or found in {0, count}:
        return wilson(found, count)
    spread = blocks.spread(blocks.sums(chosen=hits))
    share = found / count
    own = max(spread.variance / (count * share * (1 - share)), 1e-6)
    worth = count / _trusted(own, 1.0, min(share, 1 - share) * count / own)
    return exact_ends(share, worth, t_quantile(spread.freedom))


def percentile_intervals(
    values: NDArray[np.generic], ordered: NDArray[np.generic], blocks: Blocks
) -> dict[int, Interval | None]:
    """Return the 95 % interval of each percentile of `PERMILLE`, by permille; None when there are too few values.

    `ordered` are the values, ascending; infinite ones make an end that lies among them None. The ends are order
    statistics, at the ranks between which the percentile's share lies (Woodruff, JASA 47, 1952; the beta
    distribution for it: Korn and Graubard 1998) if as many values are drawn as these are worth. High percentiles are
    passed in few bursts, so their dependence is estimated badly; it is drawn towards that of the percentile below.
    """
    count, below = len(ordered), 1.0
    found: dict[int, Interval | None] = {}
    for permille in PERMILLE.values():
        share = permille / 1000
        if not count or share**count > 0.025:
            found[permille] = None
            continue
        dependence, freedom = _dependence(values, ordered, blocks, permille, below)
        below = dependence
        low, high = beta_ends(share, count / dependence, t_quantile(freedom))
        ends = (
            float(ordered[min(max(math.floor(count * low), 1), count) - 1]),
            float(ordered[min(max(math.ceil(count * high), 1), count) - 1]),
        )
        found[permille] = ends if all(map(math.isfinite, ends)) else None
    return found


def _dependence(
    values: NDArray[np.generic], ordered: NDArray[np.generic], blocks: Blocks, permille: int, below: float
) -> tuple[float, float]:
    """Return (how many values are worth one independent one, degrees of freedom) at a percentile."""
    count = len(ordered)
    above = np.asarray(np.greater(values, nearest_rank(ordered, permille)), dtype=np.bool_)
    share = 1 - float(above.mean())
    if count < _FEWEST or not 0 < share < 1:
        return 1.0, math.inf
    spread = blocks.spread(blocks.sums(chosen=above))
    own = max(spread.variance / (count * share * (1 - share)), 1e-6)
    return _trusted(own, below, (1 - share) * count / own), spread.freedom


def _trusted(own: float, other: float, beyond: float) -> float:
    """Return the dependence between two figures of it, nearer to its own the more independent values lie `beyond`."""
    if other <= own:
        return own
    return math.exp((beyond * math.log(own) + _TRUST * math.log(other)) / (beyond + _TRUST))
