"""Confidence intervals against arithmetic where values are independent, and against known truths where they are not."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated import Workload, failures, many_servers, one_server, wavy
from reports.intervals import Blocks, Mask, amount_interval, mean_interval, percentile_intervals, share_interval
from reports.statistics import Floats, Interval, wilson

RUNS, SECONDS = 240, 120.0
MISSED_AT_MOST = 24
"""Of 240 intervals 12 should miss; 25 or more do by chance in one of 4000 times."""


def blocks(times: Floats, seconds: float = SECONDS) -> Blocks:
    return Blocks.of(times, [(0.0, seconds)])


def missed(ends: list[Interval | None], truth: float) -> int:
    return sum(end is None or not end[0] <= truth <= end[1] for end in ends)


@pytest.mark.parametrize(
    "workload", [wavy(0, 1), wavy(0.2, 2), wavy(0.5, 1), one_server(0.4), many_servers(0.6)], ids=lambda w: w.name
)
def test_intervals_of_latencies_hold_the_truth_however_they_hang_together(workload: Workload) -> None:
    due, latencies = workload.draw(np.random.default_rng(4), RUNS, int(SECONDS * 50))
    means, percentiles = [], []
    for times, values in zip(due, latencies, strict=True):
        bins = blocks(times, float(times[-1]))
        means.append(mean_interval(values, bins))
        percentiles.append(percentile_intervals(values, np.sort(values), bins))

    assert missed(means, workload.truth.mean) <= MISSED_AT_MOST
    for permille in (500, 950, 990):
        assert missed([one[permille] for one in percentiles], workload.truth.percentiles[permille]) <= MISSED_AT_MOST


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_intervals_of_rates_hold_the_truth_when_failures_come_in_bursts(share: float) -> None:
    rng = np.random.default_rng(5)
    count = int(SECONDS * 50)
    bins = blocks(np.arange(count) / 50)
    failed = failures(rng, RUNS, count, 0.05, share, 1.0)

    assert missed([share_interval(run, bins) for run in failed], 0.05) <= MISSED_AT_MOST
    naive = missed([wilson(int(run.sum()), count) for run in failed], 0.05)
    assert naive <= MISSED_AT_MOST if share == 0 else naive > 2 * MISSED_AT_MOST


def test_what_neighbours_share_widens_every_interval_and_a_shuffle_narrows_it_again() -> None:
    rng = np.random.default_rng(6)
    _, (values,) = wavy(0.5, 2).draw(rng, 1, 15_000)
    bins = blocks(np.arange(15_000) / 50, 300.0)

    def widths(series: Floats) -> list[float]:
        ends = [mean_interval(series, bins), *percentile_intervals(series, np.sort(series), bins).values()]
        return [end[1] - end[0] for end in ends if end is not None]

    together, apart = widths(values), widths(rng.permutation(values))

    assert len(together) == len(apart) == 6
    assert all(wide > 1.5 * narrow for wide, narrow in zip(together[:4], apart[:4], strict=True))
    independent = 2 * stats.t.ppf(0.975, 8) * values.std() / math.sqrt(len(values))
    assert 0.4 * independent < apart[0] < 2 * independent


def test_phases_that_differ_do_not_widen_the_interval_of_the_whole_run() -> None:
    rng = np.random.default_rng(7)
    times = np.arange(6000) / 50
    values = np.where(times < 60, 100.0, 300.0) + rng.normal(0, 10, 6000)
    one, two = Blocks.of(times, [(0, 120)]), Blocks.of(times, [(0, 60), (60, 120)])

    def width(bins: Blocks) -> float:
        low, high = mean_interval(values, bins) or (math.nan, math.nan)
        assert low < values.mean() < high
        return high - low

    assert width(one) > 20.0
    assert width(two) < 2.0


def test_few_values_have_students_interval_and_one_has_none() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))

    assert mean_interval(values, blocks(np.arange(4.0))) == pytest.approx(expected)
    assert mean_interval(values[:1], blocks(np.zeros(1))) is None
    assert amount_interval(values, blocks(np.arange(4.0))) is None


def test_a_high_percentile_of_few_values_has_no_interval() -> None:
    values = np.arange(100.0)
    found = percentile_intervals(values, values, blocks(values, 100.0))

    assert found[990] is None
    assert found[500] is not None


def test_an_interval_that_reaches_among_failures_has_no_end() -> None:
    values = np.where(np.arange(1000) % 100 < 94, np.random.default_rng(9).exponential(size=1000), np.inf)
    found = percentile_intervals(values, np.sort(values), blocks(np.arange(1000) / 10, 100.0))

    assert found[500] is not None
    assert found[900] is not None
    assert found[990] is None


@pytest.mark.parametrize("hits", [0, 200])
def test_none_and_all_have_wilsons_interval(hits: int) -> None:
    every: Mask = np.arange(200) < hits

    assert share_interval(every, blocks(np.arange(200) / 2, 100.0)) == wilson(hits, 200)


def test_values_of_no_spread_have_an_interval_of_no_width() -> None:
    values = np.full(1000, 7.0)
    bins = blocks(np.arange(1000) / 10, 100.0)

    assert mean_interval(values, bins) == (7.0, 7.0)
    assert percentile_intervals(values, values, bins)[950] == (7.0, 7.0)


def test_an_amount_over_time_varies_with_the_number_of_requests() -> None:
    rng = np.random.default_rng(8)
    found = []
    for _ in range(RUNS):
        times = np.sort(rng.uniform(0, SECONDS, rng.poisson(2000)))
        found.append(amount_interval(np.ones(len(times)), blocks(times)))

    assert missed(found, 2000.0) <= MISSED_AT_MOST
