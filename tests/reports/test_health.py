"""The load generator's own health, and whether everything that was recorded is there."""

from pathlib import Path
from typing import Any

import pytest

from reports.analysis import HealthCheck, Verdict
from samples.sample import Outcome, Reading, Sample
from tests.reports.builder import RunBuilder, failed, request, steady

PHASES = [{"name": "warm", "rate": 10, "duration": 30}, {"name": "sustained", "rate": 10, "duration": 30}]


def check(tmp_path: Path, builder: RunBuilder, name: str) -> HealthCheck:
    analysis = builder.analyze(tmp_path)
    found = next(check for check in analysis.health if check.name.startswith(name))
    assert found.advice
    assert found.passed or analysis.verdict is Verdict.INVALID
    return found


def good() -> RunBuilder:
    return RunBuilder().samples(steady(10, 0, 30))


def generator(metric: str, values: list[float], worker: str = "0", start_s: float = 0.5) -> list[Reading]:
    return [Reading(start_s + second, "generator", metric, value, worker) for second, value in enumerate(values)]


def test_a_healthy_run_passes_every_check(tmp_path: Path) -> None:
    analysis = good().analyze(tmp_path)

    assert len(analysis.health) == 8
    assert [c.name for c in analysis.health if not c.passed] == []


@pytest.mark.parametrize("scheduled", [301, 299])
def test_an_arrival_without_an_outcome_or_counted_twice_is_found(tmp_path: Path, scheduled: int) -> None:
    found = check(tmp_path, good().phase("sustained", scheduled={"ChatUser": scheduled}), "accounting")

    assert not found.passed
    assert found.measured == f"{scheduled - 300} of {scheduled} in sustained"


def test_losses_of_two_phases_do_not_cancel_out(tmp_path: Path) -> None:
    samples = [*steady(10, 0, 30, phase="warm"), *steady(10, 30, 30)]
    builder = RunBuilder(phases=PHASES).samples(samples)
    builder.phase("warm", scheduled={"ChatUser": 290}).phase("sustained", scheduled={"ChatUser": 310})

    assert not check(tmp_path, builder, "accounting").passed


def test_samples_of_a_phase_that_nobody_knows_are_found(tmp_path: Path) -> None:
    found = check(tmp_path, good().samples([request(5.0, phase="stranger")]), "accounting")

    assert "1 samples of unknown phase 'stranger'" in found.measured


@pytest.mark.parametrize(
    "report", [{"begun": 301}, {"recorded": 301}, {"written": 299}, {"recorded": 301, "written": 301}]
)
def test_samples_that_were_recorded_and_are_not_on_disk_are_found(tmp_path: Path, report: dict[str, Any]) -> None:
    assert not check(tmp_path, good().process("0", **report), "samples on disk").passed


def test_dropped_arrivals_are_recorded_without_an_attempt(tmp_path: Path) -> None:
    assert check(tmp_path, good().process("0", begun=200), "samples on disk").passed


def test_a_write_error_is_shown(tmp_path: Path) -> None:
    found = check(tmp_path, good().process("0", write_errors=["no space left on device"]), "write errors")

    assert not found.passed
    assert "worker 0: no space left on device" in found.measured


def test_a_worker_that_left_samples_and_no_record_is_missed(tmp_path: Path) -> None:
    builder = good().samples(steady(10, 0, 30, worker="3")).record(processes=[])
    found = check(tmp_path / "a", builder, "processes")
    assert found.measured == "no record of worker 0, 3, which has samples"


def test_arrivals_that_were_neither_sent_nor_dropped_by_the_plans_limit_are_the_generators_fault(
    tmp_path: Path,
) -> None:
    def with_drops(error: str) -> RunBuilder:
        return RunBuilder().samples(
            [*steady(10, 0, 29), *(failed(29 + n / 10, Outcome.DROPPED, error) for n in range(10))]
        )

    allowed = check(tmp_path / "a", with_drops("pool at its maximum"), "arrivals sent")
    growing = check(tmp_path / "b", with_drops("the pool was still growing"), "arrivals sent")

    assert allowed.passed
    assert not growing.passed
    assert growing.measured == "96.67 % in sustained"


def lagging(lag_s: float, count: int = 300, **fields: Any) -> list[Sample]:
    return [request(n / 10, 1.0, lag_s=lag_s if n >= 300 - count else 0.0, **fields) for n in range(300)]


def test_starts_that_lag_although_a_user_was_free_are_the_generators_fault(tmp_path: Path) -> None:
    assert not check(tmp_path / "a", RunBuilder().samples(lagging(0.101)), "start lag").passed
    assert check(tmp_path / "b", RunBuilder().samples(lagging(0.099)), "start lag").passed
    assert check(
        tmp_path / "c", RunBuilder().samples(lagging(0.5, count=3)), "start lag"
    ).passed  # p99 of 300 is the 297th
    assert not check(tmp_path / "d", RunBuilder().samples(lagging(0.5, count=4)), "start lag").passed


def test_waiting_for_a_user_is_the_pools_lag_and_closed_phases_have_none(tmp_path: Path) -> None:
    closed = [{"name": "sustained", "users": 5, "duration": 30}]
    assert check(tmp_path / "a", RunBuilder().samples(lagging(0.5, waited=True)), "start lag").passed
    assert check(tmp_path / "b", RunBuilder(phases=closed).samples(lagging(0.5)), "start lag").passed


def test_lag_in_one_phase_is_not_thinned_out_by_a_long_healthy_one(tmp_path: Path) -> None:
    phases = [{"name": "warm", "rate": 100, "duration": 300}, {"name": "sustained", "rate": 10, "duration": 30}]
    samples = [*steady(100, 0, 300, phase="warm"), *(request(300 + n / 10, 1.0, lag_s=0.2) for n in range(300))]
    found = check(tmp_path, RunBuilder(phases=phases).samples(samples), "start lag")

    assert not found.passed
    assert found.measured == "200.0 ms in sustained"


def test_one_late_start_of_a_few_is_no_99th_percentile(tmp_path: Path) -> None:
    phases = [{"name": "warm", "rate": 10, "duration": 60}, {"name": "sustained", "rate": 10, "duration": 5}]
    samples = [*steady(10, 0, 60, phase="warm"), *steady(10, 60, 4.9), request(64.9, 1.0, lag_s=0.5)]

    assert check(tmp_path, RunBuilder(phases=phases).samples(samples), "start lag").passed


@pytest.mark.parametrize(("late", "passed"), [(1, True), (2, False)])
def test_a_short_run_is_judged_by_its_second_latest_start(tmp_path: Path, late: int, passed: bool) -> None:
    samples = [*steady(10, 0, 5), *(request(5 + n / 10, 1.0, lag_s=0.5) for n in range(late))]
    plan = {"phases": [{"name": "sustained", "rate": 10, "duration": 6}]}

    assert check(tmp_path, RunBuilder(plan).samples(samples), "start lag").passed is passed


def test_of_a_single_start_there_is_no_other_to_judge_by(tmp_path: Path) -> None:
    plan = {"phases": [{"name": "sustained", "rate": 1, "duration": 1}]}

    assert not check(tmp_path, RunBuilder(plan).samples([request(0.5, 1.0, lag_s=0.5)]), "start lag").passed


def test_a_busy_event_loop_is_found_in_any_process(tmp_path: Path) -> None:
    def loop(bad: int) -> RunBuilder:
        readings = generator("loop_late_ms", [150.0] * bad + [10.0] * 20, worker="1")
        plan = {"phases": [{"name": "sustained", "rate": 1, "duration": 300}]}
        return RunBuilder(plan).samples([*steady(1, 0, 300), *steady(1, 0, 300, worker="1")]).readings(readings)

    # The builder reports 50 ticks a second for 300 s: of 15,000, the p99 is the 151st from the top.
    calm = check(tmp_path / "a", loop(150), "event loop lag")
    assert calm.passed
    assert calm.measured == "10.0 ms in worker 1"
    found = check(tmp_path / "b", loop(151), "event loop lag")
    assert not found.passed
    assert found.measured == "150.0 ms in worker 1"


def test_an_event_loop_without_late_ticks_is_known_to_be_fast_enough(tmp_path: Path) -> None:
    found = check(tmp_path, RunBuilder().samples(steady(1, 0, 30)), "event loop lag")
    assert (found.passed, found.measured) == (True, "below 5 ms")


def test_a_generator_process_at_its_limit_in_a_judged_phase_is_found(tmp_path: Path) -> None:
    def cpu(start_s: float) -> RunBuilder:
        samples = [*steady(10, 0, 30, phase="warm"), *steady(10, 30, 30)]
        builder = RunBuilder(phases=PHASES).samples(samples).without_generator_readings()
        readings = generator("cpu_cores", [0.1] * 60, worker="1") + generator("loop_ticks", [50.0] * 60)
        calm = generator("cpu_cores", [0.1] * 30, start_s=30.5 - start_s)
        return builder.readings([*readings, *calm, *generator("cpu_cores", [0.99] * 30, start_s=start_s + 0.5)])

    judged = check(tmp_path / "a", cpu(30.0), "generator CPU")
    assert not judged.passed
    assert judged.measured == "0.99 cores of worker 0 in sustained"
    assert check(tmp_path / "b", cpu(0.0), "generator CPU").passed  # no criterion is about `warm`


def test_a_generator_that_nobody_watched_is_not_known_to_be_well(tmp_path: Path) -> None:
    analysis = good().without_generator_readings().analyze(tmp_path)

    assert [c.measured for c in analysis.health if not c.passed] == ["no readings", "no readings"]
    assert analysis.verdict is Verdict.INVALID
