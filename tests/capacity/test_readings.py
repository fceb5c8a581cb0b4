"""What a run folder says of a probe: the counts behind each limit, from the same formulas as the report's."""

from pathlib import Path

import pytest

from capacity.limits import limits_of, plan_of
from capacity.probes import Level, Probe, Reading, Role, Share, Step
from capacity.readings import probes_of, read_run
from plans.run import Ending
from plans.schema import Plan
from samples.sample import Outcome, Sample
from tests.reports.builder import PLAN, RunBuilder, failed, steady

CRITERIA = [
    {"metric": "success_rate", "at_least": 0.9},
    {"metric": "latency_p95_ms", "below": 200},
    {"metric": "adj_p95_ms", "below": 200},
    {"metric": "latency_mean_ms", "below": 250},
    {"metric": "throughput_rps", "at_least": 9.8},
    {"metric": "success_rate", "at_least": 1.0},
    {"metric": "ttft_p95_ms", "below": 100},
]
STEPS = [Step(10, 6, 2, Role.ANCHOR), Step(20, 15, 2, Role.PROBE)]


def probes(
    tmp_path: Path, samples: list[Sample], steps: list[Step] = STEPS, ending: Ending = Ending.COMPLETED
) -> list[Probe]:
    plan = Plan.model_validate(
        PLAN | {"phases": [{"name": "held", "rate": 10, "duration": "1m"}], "criteria": CRITERIA}
    )
    limits = limits_of(plan, "p.yaml", 15.0)
    document = plan_of(limits, STEPS).model_dump(mode="json", by_alias=True, exclude_none=True)
    folder = RunBuilder(document).samples(samples).record(ending=ending).write(tmp_path)
    return probes_of(read_run(folder), folder, steps, limits, 100.0)


def load(slow: int = 0, bad: int = 0) -> list[Sample]:
    """Return the samples of both steps; of the 300 of the second some are slow, and some fail."""
    quick = [*steady(10, 0, 2, phase="settle-1"), *steady(10, 2, 6, phase="probe-1")]
    quick += steady(20, 8, 2, phase="settle-2")
    due = [10 + number / 20 for number in range(300)]
    late = [sample for at in due[:slow] for sample in steady(1, at, 1, 0.4, phase="probe-2")]
    broken = [failed(at, Outcome.HTTP_ERROR, phase="probe-2", status=503) for at in due[slow : slow + bad]]
    rest = [sample for at in due[slow + bad :] for sample in steady(1, at, 1, phase="probe-2")]
    return [*quick, *late, *broken, *rest]


def counted(reading: Reading | None) -> tuple[float, float, float]:
    assert isinstance(reading, Share)
    return reading.bad, reading.trials, reading.budget


def test_each_limit_is_counted_as_its_formula_counts(tmp_path: Path) -> None:
    anchor, probe = probes(tmp_path, load(slow=12, bad=18))
    assert anchor.broken is None or anchor.role is Role.ANCHOR
    success, p95, adjusted, mean, throughput, always, ttft = probe.readings
    assert counted(success) == pytest.approx((18, 300, 0.1))
    assert counted(p95) == pytest.approx((12, 300, 0.05))
    assert counted(adjusted) == pytest.approx((30, 300, 0.05))
    assert isinstance(mean, Level)
    assert 0.4 < mean.ratio < 0.6
    assert throughput == Share(0, 1, 0.5)
    assert always == Share(1, 1, 0.5)
    assert ttft is None
    assert (probe.asked, probe.load, probe.seconds, probe.at_s) == (20, 20, 15, 110)
    assert probe.figures["served_rps"] == pytest.approx(20 * 282 / 300)


def test_figures_are_of_the_probe_alone_and_not_of_the_settling_before_it(tmp_path: Path) -> None:
    anchor, probe = probes(tmp_path, load(slow=300))
    assert anchor.figures["latency_p50_ms"] == pytest.approx(100)
    assert probe.figures["latency_p50_ms"] == pytest.approx(400)
    assert probe.figures["concurrency"] == pytest.approx(20 * 0.4)


def test_a_probe_that_was_not_held_to_its_end_is_none(tmp_path: Path) -> None:
    longer = [STEPS[0], Step(20, 30, 2, Role.PROBE)]
    assert [probe.role for probe in probes(tmp_path, load(), longer)] == [Role.ANCHOR]


def test_a_late_generator_spoils_the_probe_and_not_the_others(tmp_path: Path) -> None:
    late = [*load()[: 20 + 60 + 40]]
    late += [
        sample for number in range(300) for sample in steady(1, 10 + number / 20, 1, 0.9, lag_s=0.5, phase="probe-2")
    ]
    anchor, probe = probes(tmp_path, late)
    assert anchor.trouble is None
    assert probe.trouble is not None
    assert "start lag p99" in probe.trouble
    assert probe.broken is None


@pytest.mark.parametrize("ending", [Ending.COMPLETED, Ending.INTERRUPTED])
def test_who_still_waited_for_a_user_when_a_broken_rung_was_ended_is_no_failure_of_the_generator(
    tmp_path: Path, ending: Ending
) -> None:
    waiting = [failed(10 + number / 20, Outcome.DROPPED, phase="probe-2") for number in range(280, 300)]
    served = [sample for number in range(280) for sample in steady(1, 10 + number / 20, 1, 0.9, phase="probe-2")]
    _, probe = probes(tmp_path, [*load()[:120], *served, *waiting], ending=ending)
    if ending is Ending.COMPLETED:
        assert probe.trouble is not None
        assert "arrivals sent" in probe.trouble
    else:
        assert probe.trouble is None
        assert probe.clearly_broken
