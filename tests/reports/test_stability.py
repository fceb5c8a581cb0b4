"""Metrics over windows of a phase, and of the target's resources, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.analysis import Measured
from samples.sample import Outcome, Reading, Sample
from tests.reports.builder import RunBuilder, failed, steady, target


def phase_metric(
    tmp_path: Path, phases: list[dict[str, Any]], samples: list[Sample], metric: str, phase: str, **plan: Any
) -> Measured:
    analysis = RunBuilder({"criteria": []}, phases=phases, **plan).samples(samples).analyze(tmp_path)
    return next(result for result in analysis.phases if result.name == phase).metrics[metric]


def only(duration: float = 60, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "only", "rate": 10, "duration": duration} | more]


def test_a_window_in_which_fewer_than_95_percent_got_a_response_is_not_stable(tmp_path: Path) -> None:
    samples = [
        *steady(10, 0, 20, phase="only"),
        *steady(10, 20, 9, phase="only"),
        *(failed(29 + n / 10, Outcome.TIMEOUT, phase="only") for n in range(10)),
        *steady(10, 30, 30, phase="only"),
    ]
    found = phase_metric(tmp_path, only(), samples, "stability_score", "only")

    assert found.value == pytest.approx(5 / 6)
    assert found.samples == 6


def test_a_window_outside_the_phases_own_limits_is_not_stable(tmp_path: Path) -> None:
    samples = [*steady(10, 0, 40, phase="only"), *steady(10, 40, 20, 0.3, phase="only")]
    limits = [
        {"metric": "latency_mean_ms", "phase": "only", "below": 200},
        {"metric": "latency_mean_ms", "below": 1},  # of the whole run, not of the phase
        {"metric": "latency_mean_ms", "phase": "only", "scenario": "ChatUser", "below": 1},
    ]
    found = phase_metric(tmp_path, only(), samples, "stability_score", "only", criteria=limits)

    assert found.value == pytest.approx(4 / 6)


def test_success_inside_the_limit_is_asked_of_every_window(tmp_path: Path) -> None:
    samples = [
        *(s for s in steady(10, 0, 60, phase="only") if s.due_s >= 0.35),
        *(failed(n / 10, Outcome.HTTP_ERROR, phase="only") for n in range(4)),
    ]
    limits = [{"metric": "success_rate", "phase": "only", "at_least": 0.97}]
    with_limit = phase_metric(tmp_path / "a", only(), samples, "stability_score", "only", criteria=limits)
    without = phase_metric(tmp_path / "b", only(), samples, "stability_score", "only")

    assert with_limit.value == pytest.approx(5 / 6)
    assert without.value == 1.0


def test_a_phase_below_ten_seconds_has_no_stability(tmp_path: Path) -> None:
    found = phase_metric(tmp_path, only(9), steady(10, 0, 9, phase="only"), "stability_score", "only")

    assert found.value is None
    assert found.why == "the phase is shorter than a window of 10 s"


def test_a_ramp_that_leaves_a_queue_behind_is_no_stable_performance(tmp_path: Path) -> None:
    calm = steady(10, 0, 60, 0.1, phase="only")
    # From second 52 on nothing is answered before second 70; the median stays 100 ms: 1.5 x 10/s x 0.1 s + 5 = 6.5.
    queue = [s for s in calm if s.due_s < 52] + [
        s for n in range(80) for s in steady(10, 52 + n / 10, 0.1, 18 - n / 10, phase="only")
    ]
    assert phase_metric(tmp_path / "a", only(), calm, "stable_performance", "only").value is True
    assert phase_metric(tmp_path / "b", only(), queue, "stable_performance", "only").value is False


@pytest.mark.parametrize(("waiting", "stable"), [(10, True), (11, False)])
def test_the_allowed_queue_is_half_more_than_littles_law_and_five(tmp_path: Path, waiting: int, stable: bool) -> None:
    # 1.5 x 10/s x 0.34 s + 5 = 10.1; only the last `waiting` of 600 are not done at second 60.
    samples = [
        *steady(10, 0, 60 - waiting / 10, 0.34, phase="only"),
        *steady(10, 60 - waiting / 10, waiting / 10, 5.0, phase="only"),
    ]
    found = phase_metric(tmp_path, only(), samples, "stable_performance", "only")

    assert found.value is stable


THREE = [
    {"name": "before", "rate": 10, "duration": 60},
    {"name": "overload", "rate": 20, "duration": 60},
    {"name": "after", "rate": 10, "duration": 60},
]


def recovering(slow_s: float) -> list[Sample]:
    return [
        *steady(10, 0, 60, 0.1, phase="before"),
        *steady(20, 60, 60, 2.0, phase="overload"),
        *steady(10, 120, slow_s, 1.0, phase="after"),
        *steady(10, 120 + slow_s, 60 - slow_s, 0.119, phase="after"),
    ]


@pytest.mark.parametrize(("slow_s", "expected"), [(0, 0.0), (12, 15.0), (20, 20.0), (45, 45.0)])
def test_recovery_is_the_begin_of_three_good_windows_in_a_row(tmp_path: Path, slow_s: float, expected: float) -> None:
    found = phase_metric(tmp_path, THREE, recovering(slow_s), "recovery_s", "after")

    assert found.value == expected


def test_a_phase_that_never_recovers_is_beyond_every_limit(tmp_path: Path) -> None:
    found = phase_metric(tmp_path, THREE, recovering(50), "recovery_s", "after")

    assert found.value is None
    assert found.unbounded
    assert found.why == "it had not recovered 60 s after the overload"


def test_errors_hold_recovery_up_as_slowness_does(tmp_path: Path) -> None:
    samples = [s for s in recovering(0) if not 120 <= s.due_s < 130]
    samples += [failed(120 + n / 10, Outcome.HTTP_ERROR, phase="after", latency_s=0.1) for n in range(100)]

    assert phase_metric(tmp_path, THREE, samples, "recovery_s", "after").value == 10


def test_two_good_windows_and_a_bad_one_are_no_recovery(tmp_path: Path) -> None:
    samples = [s for s in recovering(0) if not 130 <= s.due_s < 135]
    samples += steady(10, 130, 5, 1.0, phase="after")

    assert phase_metric(tmp_path, THREE, samples, "recovery_s", "after").value == 15


def test_a_spike_phase_recovers_from_the_end_of_its_fall(tmp_path: Path) -> None:
    # 100 s: base to 20, rise to 30, hold to 70, fall to 80, base to 100
    phases = [
        {"name": "calm", "rate": 10, "duration": 20},
        {"name": "spike", "shape": "spike", "rate": {"base": 10, "peak": 100}, "duration": 100},
    ]
    samples = [
        *steady(10, 0, 20, phase="calm"),
        *steady(10, 20, 20, phase="spike"),
        *steady(50, 40, 65, 3.0, phase="spike"),  # until 5 s after the fall
        *steady(10, 105, 15, phase="spike"),
    ]
    assert phase_metric(tmp_path / "a", phases, samples, "recovery_s", "spike").value == 5

    alone = [sample for sample in samples if sample.phase == "spike"]
    for sample in alone:
        sample.due_s, sample.done_s = sample.due_s - 20, sample.done_s - 20
    assert phase_metric(tmp_path / "b", phases[1:], alone, "recovery_s", "spike").value == 5


def test_a_phase_after_a_lower_one_has_nothing_to_recover_from(tmp_path: Path) -> None:
    found = phase_metric(tmp_path, THREE, recovering(0), "recovery_s", "overload")

    assert found.value is None
    assert not found.unbounded


# -- the target's resources ---------------------------------------------------------------------------------------


def resources(tmp_path: Path, readings: list[Reading], metric: str, duration: float = 200) -> Measured:
    plan = {"phases": only(duration, rate=1), "criteria": []}
    analysis = RunBuilder(plan).samples(steady(1, 0, duration, phase="only")).readings(readings).analyze(tmp_path)
    return analysis.phases[0].metrics[metric]


def test_cpu_and_memory_are_those_of_the_target_inside_the_phase(tmp_path: Path) -> None:
    readings = [
        *target("cpu_cores", [1.0, 2.0, 6.0] * 67),
        *target("rss_bytes", [1e9, 3e9, 2e9] * 67),
        Reading(500.0, "target", "cpu_cores", 99.0),
        Reading(1.0, "host", "cpu_cores", 50.0),
    ]
    assert resources(tmp_path / "a", readings, "cpu_cores_mean").value == pytest.approx(3)
    assert resources(tmp_path / "b", readings, "cpu_cores_max").value == 6
    assert resources(tmp_path / "c", readings, "memory_max_bytes").value == 3e9


@pytest.mark.parametrize("metric", ["cpu_cores_max", "memory_max_bytes", "memory_growth"])
def test_a_hole_in_the_readings_could_hide_a_peak_and_tells_nothing(tmp_path: Path, metric: str) -> None:
    readings = [*target("cpu_cores", [1.0] * 120), *target("rss_bytes", [1e9] * 120)]
    found = resources(tmp_path, readings, metric)

    assert found.value is None
    assert "hole of 81 s" in (found.why or "")


def test_memory_growth_is_the_slope_after_the_first_tenth_over_the_median(tmp_path: Path) -> None:
    # The first 20 of 200 s fill a cache; then 1 MB/s from 1 GB at 20 s; median at 110 s (readings at 20 … 199).
    values = [1e8 * n if n < 20 else 1e9 + 1e6 * (n - 20) for n in range(200)]
    found = resources(tmp_path, target("rss_bytes", values), "memory_growth")

    assert found.value == pytest.approx(1e6 * 200 / (1e9 + 1e6 * 89.5))
    assert found.samples == 180


@pytest.mark.parametrize(
    ("growth", "noise", "expected"),
    [(0.2, 0.001, True), (0.05, 0.0001, False), (0.0, 0.2, False), (-0.5, 0.001, False)],
)
def test_a_leak_grows_by_more_than_a_tenth_and_not_by_chance(
    tmp_path: Path, growth: float, noise: float, expected: bool
) -> None:
    rng = np.random.default_rng(4)
    values = 1e9 * (1 + growth * np.arange(200) / 200 + rng.normal(0, noise, 200))

    assert resources(tmp_path, target("rss_bytes", values.tolist()), "memory_leak").value is expected


def test_growth_that_may_be_chance_is_no_leak(tmp_path: Path) -> None:
    values = 1e9 * (1 + np.random.default_rng(1).normal(0, 0.6, 200))
    values[:60] -= 1e8
    readings = target("rss_bytes", values.tolist())

    assert (resources(tmp_path / "a", readings, "memory_growth").value or 0) > 0.1
    assert resources(tmp_path / "b", readings, "memory_leak").value is False


@pytest.mark.parametrize(("readings", "told"), [(59, False), (60, True)])
def test_fewer_than_60_readings_are_too_short_to_tell_a_leak(tmp_path: Path, readings: int, told: bool) -> None:
    rare = target("rss_bytes", [1e9] * readings, step_s=200 / readings)
    found = resources(tmp_path, rare, "memory_leak")

    assert (found.value is not None) is told
    assert told or found.why == f"too short to tell: {readings} readings, 60 are needed"


def test_a_phase_below_a_minute_has_no_trend(tmp_path: Path) -> None:
    found = resources(tmp_path, target("rss_bytes", [1e9] * 100, step_s=0.5), "memory_growth", duration=50)

    assert found.value is None
    assert "too short to tell" in str(found.why)


def test_four_hours_of_readings_are_judged_as_their_thinned_series(tmp_path: Path) -> None:
    values = 1e9 * (1 + 0.3 * np.arange(14_400) / 14_400)
    found = resources(tmp_path, target("rss_bytes", values.tolist()), "memory_growth", duration=14_400)

    assert found.value == pytest.approx(0.3 / (1 + 0.3 * 0.55), rel=1e-3)


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ([2.0] * 200, True),
        ([1.0] * 100 + [3.0] * 100, False),
        ([0.01] * 100 + [0.09] * 100, True),  # idle: how it varies says nothing
    ],
)
def test_utilisation_is_stable_when_30_second_means_of_cpu_hardly_vary(
    tmp_path: Path, cpu: list[float], expected: bool
) -> None:
    readings = [*target("cpu_cores", cpu), *target("rss_bytes", [1e9] * 200)]

    assert resources(tmp_path, readings, "stable_utilisation").value is expected


def test_a_leak_is_no_stable_utilisation(tmp_path: Path) -> None:
    readings = [*target("cpu_cores", [2.0] * 200), *target("rss_bytes", [1e9 * (1 + n / 500) for n in range(200)])]

    assert resources(tmp_path, readings, "stable_utilisation").value is False


def test_without_readings_of_the_target_nothing_is_said_of_it(tmp_path: Path) -> None:
    for metric in ("cpu_cores_mean", "memory_max_bytes", "memory_growth", "memory_leak", "stable_utilisation"):
        found = resources(tmp_path / metric, [], metric)
        assert found.value is None
        assert "there are no readings of the target's" in str(found.why)
