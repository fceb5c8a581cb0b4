"""Leaks and drift over a long time: what grows is told from what only moves."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.leaks import KINDS, Memory, found, simulated
from reports.analysis import Measured
from reports.statistics import Floats, slope_interval
from reports.trends import PARTS, floor
from samples.sample import Outcome, Reading
from tests.reports.builder import RunBuilder, failed, steady, target

MB = 1e6


def measured(folder: Path, readings: list[Reading], metric: str, length: int = 600) -> Measured:
    phases = [{"name": "soak", "rate": 1, "duration": length}]
    built = RunBuilder({"criteria": []}, phases=phases).samples(steady(1, 0, length, phase="soak"))
    return built.readings(readings).analyze(folder).phases[0].metrics[metric]


def test_the_floor_is_the_lowest_reading_of_each_twelfth() -> None:
    rng = np.random.default_rng(3)
    times, values = np.sort(rng.uniform(0, 120, 500)), rng.normal(0, 1, 500)
    low = floor(times, values, 0, 120)

    assert low.times.tolist() == [5 + 10 * n for n in range(PARTS)]
    for middle, value in zip(low.times, low.values, strict=True):
        inside = (times >= middle - 5) & (times < middle + 5)
        assert value == values[inside].min()


def test_parts_without_readings_are_left_out() -> None:
    low = floor(np.array([1.0, 2.0, 119.0]), np.array([5.0, 4.0, 6.0]), 0, 120)

    assert low.times.tolist() == [5, 115]
    assert low.values.tolist() == [4, 6]


def test_the_interval_of_a_slope_is_that_of_scipy() -> None:
    rng = np.random.default_rng(5)
    times = np.arange(12.0)
    values = 3 * times + rng.normal(0, 4, 12)
    expected = stats.theilslopes(values, times, 0.95)

    assert slope_interval(times, values) == pytest.approx((expected.slope, expected.low_slope, expected.high_slope))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_healthy_memory_is_hardly_ever_called_a_leak_and_a_leak_always(kind: Memory) -> None:
    rng = np.random.default_rng(7)

    def alarms(rate: float) -> int:
        return sum(found(row, 600)[0] for row in simulated(kind, 600, rate, 30, rng))

    assert alarms(0) <= 2
    assert alarms(50) == 30


def sawtooth(length: int, tooth: float, period: float) -> Floats:
    result: Floats = 300 * MB + tooth * MB * ((np.arange(length) / period) % 1)
    return result


def test_a_sawtooth_is_no_leak_and_one_whose_floor_rises_is(tmp_path: Path) -> None:
    # A good three teeth, and the first was half grown: the slope over every reading is 18 % of the median.
    teeth = sawtooth(726, 120, 180)[126:]
    rising = teeth + 20 / 60 * MB * np.arange(600)

    assert (measured(tmp_path / "a", target("rss_bytes", teeth), "memory_growth").value or 0) > 0.1
    assert measured(tmp_path / "b", target("rss_bytes", teeth), "memory_leak").value is False
    assert measured(tmp_path / "c", target("rss_bytes", rising), "memory_leak").value is True


def test_a_cache_that_fills_and_then_stays_is_no_leak(tmp_path: Path) -> None:
    filled = 300 * MB + 150 * MB * (1 - np.exp(-np.arange(600) / 90)) + np.random.default_rng(2).normal(0, 1e5, 600)

    assert (measured(tmp_path / "a", target("rss_bytes", filled), "memory_growth").value or 0) > 0.02
    assert measured(tmp_path / "b", target("rss_bytes", filled), "memory_leak").value is False


@pytest.mark.parametrize("rate", [0.0, 1.0, 5.0, 50.0])
def test_the_trend_is_the_rate_of_the_leak_beneath_the_teeth(rate: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(8).normal(0, 0.2 * MB, 600)
    memory = sawtooth(600, 30, 14) + rate / 60 * MB * np.arange(600) + noise
    trend = measured(tmp_path, target("rss_bytes", memory), "memory_trend_bytes_per_min")

    assert trend.value == pytest.approx(rate * MB, abs=0.3 * MB)
    assert trend.interval is not None
    assert trend.interval[0] - 0.1 * MB <= rate * MB <= trend.interval[1] + 0.1 * MB


@pytest.mark.parametrize(("per_minute", "leak"), [(0.0, False), (0.1, False), (2.0, True)])
def test_handles_that_grow_without_end_are_named_by_their_kind(per_minute: float, leak: bool, tmp_path: Path) -> None:
    grown = [20 + int(per_minute * n / 60) + n % 3 for n in range(600)]
    sockets = [10.0 + n % 5 for n in range(600)]
    files = [a + b for a, b in zip(grown, sockets, strict=True)]
    readings = [*target("open_files", files), *target("connections", sockets), *target("threads", grown)]

    assert measured(tmp_path / "a", readings, "file_leak").value is leak
    assert measured(tmp_path / "b", readings, "thread_leak").value is leak
    assert measured(tmp_path / "c", readings, "connection_leak").value is False


@pytest.mark.parametrize(("metric", "kind"), [("open_files", "file_leak"), ("threads", "thread_leak")])
def test_a_leak_of_handles_is_a_finding(metric: str, kind: str, tmp_path: Path) -> None:
    phases = [{"name": "soak", "rate": 1, "duration": 300}]
    built = RunBuilder({"criteria": []}, phases=phases).samples(steady(1, 0, 300, phase="soak"))
    found = built.readings(target(metric, (20 + n / 5 for n in range(300)))).analyze(tmp_path).findings

    assert [one.kind for one in found] == [kind]
    assert found[0].evidence == ("in soak, from 0 s to 300 s",)


def test_sockets_that_leak_are_no_leak_of_files(tmp_path: Path) -> None:
    sockets = [10.0 + n / 20 for n in range(600)]
    readings = [*target("open_files", [20 + n for n in sockets]), *target("connections", sockets)]

    assert measured(tmp_path / "a", readings, "file_leak").value is False
    assert measured(tmp_path / "b", readings, "connection_leak").value is True


def soaked(folder: Path, latency: list[float], errors: list[int], metric: str) -> Measured:
    """One request a second with these latencies; those in `errors` fail."""
    phases = [{"name": "soak", "rate": 1, "duration": len(latency)}]
    samples = [
        failed(n, Outcome.HTTP_ERROR, phase="soak", status=500)
        if n in errors
        else steady(1, n, 1, seconds, phase="soak")[0]
        for n, seconds in enumerate(latency)
    ]
    built = RunBuilder({"criteria": []}, phases=phases).samples(samples)
    return built.analyze(folder).phases[0].metrics[metric]


@pytest.mark.parametrize(("slower", "expected"), [(0.0, 0.0), (0.3, 0.26), (-0.3, -0.35)])
def test_drift_of_latency_is_its_change_over_the_phase_as_a_share(
    slower: float, expected: float, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    latency = [0.1 * (1 + slower * n / 1200) * float(rng.uniform(0.98, 1.02)) for n in range(1200)]
    drift = soaked(tmp_path, latency, [], "latency_drift")

    assert drift.value == pytest.approx(expected, abs=0.03)
    assert drift.interval is not None
    assert drift.interval[0] < float(drift.value or 0) < drift.interval[1]


def test_drift_of_errors_is_the_change_of_their_rate(tmp_path: Path) -> None:
    # None at the begin, one of ten at the end.
    rng = np.random.default_rng(1)
    errors = [n for n in range(2400) if rng.random() < 0.1 * n / 2400]

    assert soaked(tmp_path / "a", [0.1] * 2400, errors, "error_drift").value == pytest.approx(0.1, abs=0.03)
    assert soaked(tmp_path / "b", [0.1] * 2400, [], "error_drift").value == 0


def test_one_bad_minute_shows_in_the_p95_throughout_and_not_in_that_of_the_phase(tmp_path: Path) -> None:
    latency = [0.9 if 600 <= n < 620 else 0.1 for n in range(1200)]

    assert soaked(tmp_path / "a", latency, [], "latency_p95_throughout_ms").value == pytest.approx(900)
    assert soaked(tmp_path / "b", latency, [], "latency_p95_ms").value == pytest.approx(100)


def test_a_phase_below_a_minute_has_no_drift(tmp_path: Path) -> None:
    assert "too short to tell" in str(soaked(tmp_path, [0.1] * 50, [], "latency_drift").why)


@pytest.mark.parametrize(("left", "expected"), [(4.0, 0), (9.0, 5)])
def test_connections_that_stay_after_the_users_have_gone_are_counted(
    left: float, expected: int, tmp_path: Path
) -> None:
    built = RunBuilder().samples(steady(10, 0, 30)).record(ended_s=32.0)
    built.readings([Reading(-1.0, "target", "connections", 4.0), Reading(10.0, "target", "connections", 50.0)])
    built.readings([Reading(32.1, "target", "connections", 30.0), Reading(33.5, "target", "connections", left)])

    assert built.analyze(tmp_path).total.metrics["connections_left"].value == expected


def test_without_a_reading_after_the_users_nothing_is_said_of_what_is_left(tmp_path: Path) -> None:
    built = RunBuilder().samples(steady(10, 0, 30)).record(ended_s=32.0)
    built.readings([Reading(-1.0, "target", "connections", 4.0), Reading(31.0, "target", "connections", 4.0)])

    why = built.analyze(tmp_path).total.metrics["connections_left"].why
    assert why == "there is no reading of the target's connections after the users had gone"


def test_cpu_is_a_share_of_the_cores_that_the_target_may_use(tmp_path: Path) -> None:
    readings = [*target("cpu_cores", [1.0, 2.0] * 300), *target("cores_available", [2.0] * 600)]

    assert measured(tmp_path / "a", readings, "cpu_share_mean").value == pytest.approx(0.75)
    assert measured(tmp_path / "b", readings[:600], "cpu_share_mean").value is None
