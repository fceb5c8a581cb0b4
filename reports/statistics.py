"""The statistics of the report: exact percentiles, intervals, trends. Checked against numpy and scipy in tests."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Interval = tuple[float, float]

PERMILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}
"""Percentiles by the names that metrics use, in thousandths: integers keep the ranks exact."""

_Z95 = 1.959963984540054
_FEWEST_BLOCKS = 10
_MOST_TREND_POINTS = 600


def rank(count: int, permille: int) -> int:
    """Return the nearest rank (1 is the smallest value): ceil(count x q), computed in integers.

    numpy's `percentile(..., 99.9)` works with 0.9990000000000001 and is one rank too high at 1000 values.
    """
    return max(-(-count * permille // 1000), 1)


def nearest_rank(ordered: NDArray[np.generic], permille: int) -> float:
    """Return the percentile of ascending values as numpy's method `inverted_cdf` defines it. Needs one value."""
    return float(ordered[rank(len(ordered), permille) - 1])


@lru_cache(maxsize=256)
def interval_ranks(count: int) -> dict[int, tuple[int, int]]:
    """Return the ranks between which each percentile lies with 95 % confidence, by permille.

    Order statistics: the number of values below the true percentile is binomial (count, q). A rank above `count`
    means that there are too few values for an upper end. Source: Conover, Practical Nonparametric Statistics, 3.2.
    """
    shares = np.array(list(PERMILLE.values())) / 1000
    lower = stats.binom.ppf(0.025, count, shares)
    upper = stats.binom.ppf(0.975, count, shares) + 1
    return {p: (int(a), int(b)) for p, a, b in zip(PERMILLE.values(), lower, upper, strict=True)}


def percentile_interval(ordered: NDArray[np.generic], permille: int, count: int | None = None) -> Interval | None:
    """Return the 95 % interval of a percentile, or None when there are too few values for both ends.

    `count` is the number of values when the largest of them are infinite and not in `ordered`.
    """
    lower, upper = interval_ranks(len(ordered) if count is None else count)[permille]
    if lower < 1 or upper > len(ordered):
        return None
    return float(ordered[lower - 1]), float(ordered[upper - 1])


def wilson(successes: int, count: int) -> Interval | None:
    """Return the 95 % Wilson score interval of a share; None without trials. Source: Wilson 1927."""
    if count <= 0:
        return None
    share, z2 = min(max(successes / count, 0.0), 1.0), _Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    # At 0 and 1 the formula ends exactly there; rounding must not put the share outside its own interval.
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def mean_interval(values: Floats, times: Floats, block_s: float = 10.0) -> Interval | None:
    """Return the 95 % interval of the mean of `values` that were due at `times` (seconds).

    Requests within a few seconds are not independent, so blocks of time are the units and the mean is the ratio of
    their sums to their counts. Source: Cochran, Sampling Techniques, 6.4. With fewer than 10 blocks the values are
    taken as independent, which makes the interval too narrow, and is all that can be said.
    """
    if len(values) < 2:
        return None
    _, block, counts = np.unique(np.floor((times - times.min()) / block_s), return_inverse=True, return_counts=True)
    sums = np.bincount(block, weights=values)
    mean = float(values.mean())
    if (units := len(counts)) < _FEWEST_BLOCKS:
        half = _Z95 * float(values.std(ddof=1)) / math.sqrt(len(values))
    else:
        rest = sums - mean * counts
        deviation = math.sqrt(units / (units - 1) * float(rest @ rest)) / len(values)
        half = float(stats.t.ppf(0.975, units - 1)) * deviation
    return mean - half, mean + half


def thinned(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return at most 600 of the points, evenly chosen, the first and the last among them.

    Theil-Sen looks at every pair (4 h at 1/s are 10^8 of them), and neighbouring readings of a memory are so alike
    that more of them would only make the p value of a trend small without telling more.
    """
    if len(times) <= _MOST_TREND_POINTS:
        return times, values
    chosen = np.linspace(0, len(times) - 1, _MOST_TREND_POINTS).round().astype(np.int64)
    return times[chosen], values[chosen]


def slope(times: Floats, values: Floats) -> float:
    """Return the Theil-Sen slope per second: the median of the slopes of all pairs. Needs two different times."""
    return float(stats.theilslopes(values, times).slope)


def trend_p(times: Floats, values: Floats) -> float:
    """Return the two-sided p value of the Mann-Kendall trend test (Kendall's tau of value against time).

    Constant values have no trend: 1.0.
    """
    p = float(stats.kendalltau(times, values).pvalue)
    return 1.0 if math.isnan(p) else p
