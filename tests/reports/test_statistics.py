"""Percentiles, intervals and trends against numpy and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics import (
    PERMILLE,
    nearest_rank,
    rank,
    slope,
    thinned,
    trend_p,
    wilson,
)

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=400), st.sampled_from(sorted(PERMILLE.values())))
@settings(max_examples=300, deadline=None)
def test_a_percentile_is_numpys_inverted_cdf_of_the_raw_values(values: list[float], permille: int) -> None:
    expected = np.quantile(values, permille / 1000, method="inverted_cdf")

    assert nearest_rank(np.sort(np.array(values)), permille) == expected


def test_ranks_are_exact_where_floats_are_not() -> None:
    assert rank(1000, 999) == 999
    assert np.percentile(np.arange(1, 1001), 99.9, method="inverted_cdf") == 1000  # one too high
    assert [rank(n, 950) for n in (1, 19, 20, 21, 100)] == [1, 19, 19, 20, 95]


@given(st.integers(1, 5000), st.data())
@settings(max_examples=100, deadline=None)
def test_the_wilson_interval_is_scipys(count: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, count))
    expected = stats.binomtest(successes, count).proportion_ci(method="wilson")

    low, high = wilson(successes, count) or (math.nan, math.nan)

    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert low <= successes / count <= high


def test_a_share_of_nothing_has_no_interval() -> None:
    assert wilson(0, 0) is None


def test_a_trend_is_told_from_noise_and_a_constant_has_none() -> None:
    times = np.arange(200.0)
    noise = np.random.default_rng(3).normal(size=200)

    assert slope(times, 5 + 0.3 * times) == pytest.approx(0.3)
    assert trend_p(times, 0.1 * times + noise) < 0.01
    assert trend_p(times, noise) > 0.01
    assert trend_p(times, np.ones(200)) == 1.0


def test_a_long_series_is_thinned_evenly_with_both_ends_kept() -> None:
    times = np.arange(14_400.0)
    short, values = thinned(times, times * 2)

    assert len(short) == 600
    assert (short[0], short[-1]) == (0.0, 14_399.0)
    assert np.array_equal(values, short * 2)
    assert np.diff(short).max() - np.diff(short).min() <= 1
