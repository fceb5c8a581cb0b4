"""The statistics of the report: exact percentiles, intervals, trends. Checked against numpy and scipy in tests."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Interval = tuple[float, float]

PERMILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}
"""Percentiles by the names that metrics use, in thousandths: integers keep the ranks exact."""

_Z95 = 1.959963984540054
_MOST_TREND_POINTS = 600

# scipy.stats is imported by what computes a trend: it takes half a second and 45 MB, which a short run need not pay.


def rank(count: int, permille: int) -> int:
    """Return the nearest rank (1 is the smallest value): ceil(count x q), computed in integers.

    numpy's `percentile(..., 99.9)` works with 0.9990000000000001 and is one rank too high at 1000 values.
    """
    return max(-(-count * permille // 1000), 1)


def nearest_rank(ordered: NDArray[np.generic], permille: int) -> float:
    """Return the percentile of ascending values as numpy's method `inverted_cdf` defines it. Needs one value."""
    return float(ordered[rank(len(ordered), permille) - 1])


def t_quantile(freedom: float, level: float = 0.95) -> float:
    """Return the half-width of a two-sided interval in standard errors: Student's t, the normal one for infinity."""
    return float(
        special.stdtrit(freedom, (1 + level) / 2) if math.isfinite(freedom) else special.ndtri((1 + level) / 2)
    )


def beta_ends(share: float, count: float, errors: float) -> Interval:
    """Return the shares between which that of `count` independent values lies, `errors` standard errors to each side.

    The beta distribution stands for the binomial one, which knows whole numbers only.
    """
    worth = count * (_Z95 / errors) ** 2
    low, high = special.betaincinv(worth * share, worth * (1 - share), [0.025, 0.975])
    return float(low), float(high)


def exact_ends(share: float, count: float, errors: float) -> Interval:
    """Return the ends of Clopper and Pearson's interval of a share of `count` values, which need be no whole number."""
    worth = count * (_Z95 / errors) ** 2
    hits, rest = worth * share, worth * (1 - share)
    return float(special.betaincinv(hits, rest + 1, 0.025)), float(special.betaincinv(hits + 1, rest, 0.975))


def wilson(successes: int, count: int) -> Interval | None:
    """Return the 95 % Wilson score interval of a share; None without trials. Source: Wilson 1927."""
    if count <= 0:
        return None
    share, z2 = min(max(successes / count, 0.0), 1.0), _Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    # At 0 and 1 the formula ends exactly there; rounding must not put the share outside its own interval.
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


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
    return slope_interval(times, values)[0]


def slope_interval(times: Floats, values: Floats) -> tuple[float, float, float]:
    """Return (Theil-Sen slope per second, and the ends of its 95 % interval). Source: Sen 1968."""
    from scipy import stats  # noqa: PLC0415  # see above

    found = stats.theilslopes(values, times, alpha=0.95)
    return float(found.slope), float(found.low_slope), float(found.high_slope)


def trend_p(times: Floats, values: Floats) -> float:
    """Return the two-sided p value of the Mann-Kendall trend test (Kendall's tau of value against time).

    Constant values have no trend: 1.0.
    """
    from scipy import stats  # noqa: PLC0415  # see above

    p = float(stats.kendalltau(times, values).pvalue)
    return 1.0 if math.isnan(p) else p
