"""Criteria and the verdict: what passes, what fails, and what cannot be told."""

import math
from pathlib import Path
from typing import Any

import pytest

from plans.run import Ending
from plans.schema import Criterion
from reports.analysis import Measured, State, Verdict
from reports.criteria import result_of
from samples.sample import Outcome
from tests.reports.builder import HOST, RunBuilder, failed, request, steady, target

TWO = [{"name": "first", "rate": 10, "duration": 30}, {"name": "second", "rate": 10, "duration": 30}]


def limit(metric: str = "latency_p95_ms", phase: str | None = "sustained", **fields: Any) -> dict[str, Any]:
    return {"metric": metric, "phase": phase} | fields


def criterion(**fields: Any) -> Criterion:
    return Criterion.model_validate({"metric": "throughput_rps"} | fields)


@pytest.mark.parametrize(
    ("bound", "value", "state"),
    [
        ({"at_least": 50}, 50.0, State.PASS),
        ({"at_least": 50}, 50.0 * (1 - 1e-12), State.PASS),
        ({"at_least": 50}, 49.99, State.FAIL),
        ({"at_most": 50}, 50.0 * (1 + 1e-12), State.PASS),
        ({"at_most": 50}, 50.01, State.FAIL),
        ({"below": 50}, 50.0, State.FAIL),
        ({"below": 50}, 50.0 * (1 - 1e-12), State.FAIL),
        ({"below": 50}, 49.99, State.PASS),
        ({"above": 50}, 50.0 * (1 + 1e-12), State.FAIL),
        ({"above": 50}, 50.01, State.PASS),
        ({"at_most": 0}, 0.0, State.PASS),
        ({"at_most": 0}, 0.001, State.FAIL),
    ],
)
def test_limits_are_compared_up_to_the_noise_of_floats(bound: dict[str, float], value: float, state: State) -> None:
    assert result_of(criterion(**bound), Measured(value, 10), "in x").state is state


@pytest.mark.parametrize(
    ("bound", "value", "margin"),
    [
        ({"below": 500}, 182.0, 0.636),
        ({"below": 500}, 600.0, -0.2),
        ({"at_least": 50}, 55.0, 0.1),
        ({"at_least": 50}, 45.0, -0.1),
        ({"at_most": 0}, 0.0, 0.0),
        ({"at_most": 0}, 1.0, None),
    ],
)
def test_the_margin_is_a_share_of_the_limit_and_negative_outside(
    bound: dict[str, float], value: float, margin: float | None
) -> None:
    found = result_of(criterion(**bound), Measured(value, 10), "in x").margin

    assert found == (None if margin is None else pytest.approx(margin))


def test_the_reason_names_value_limit_margin_and_samples() -> None:
    result = result_of(criterion(metric="latency_p95_ms", below=500), Measured(182.0, 3000), "in sustained")

    assert result.reason == "latency_p95_ms in sustained was 182 ms, limit < 500 ms (63 % inside), 3000 samples"


def test_a_limit_inside_the_interval_is_close() -> None:
    near = result_of(criterion(below=500), Measured(480.0, 9, interval=(450.0, 510.0)), "in x")
    far = result_of(criterion(below=500), Measured(480.0, 9, interval=(450.0, 490.0)), "in x")

    assert near.close
    assert near.state is State.PASS
    assert "close" in near.reason
    assert not far.close


def test_a_yes_or_no_metric_has_no_margin() -> None:
    leak = criterion(**{"metric": "memory_leak", "is": False})

    assert result_of(leak, Measured(False, 9), "in x").state is State.PASS
    assert result_of(leak, Measured(True, 9), "in x").state is State.FAIL
    assert result_of(leak, Measured(True, 9), "in x").margin is None


def test_no_value_is_no_data_unless_it_is_known_to_be_beyond_the_limit() -> None:
    unknown, beyond = Measured(None, 0, "nobody looked"), Measured(None, 9, "nothing answered", unbounded=True)

    assert result_of(criterion(below=5), unknown, "in x").state is State.NO_DATA
    assert "nobody looked" in result_of(criterion(below=5), unknown, "in x").reason
    assert result_of(criterion(below=5), beyond, "in x").state is State.FAIL
    assert result_of(criterion(at_least=5), beyond, "in x").state is State.NO_DATA
    assert result_of(criterion(below=5), Measured(math.nan, 1), "in x").state is State.NO_DATA


def test_a_criterion_for_a_scenario_takes_its_own_arrivals_as_the_denominator(tmp_path: Path) -> None:
    samples = [
        *steady(9, 0, 30),
        *steady(0.5, 0, 30, scenario="ReadOnlyUser"),
        *(failed(n * 2 + 1, Outcome.TIMEOUT, scenario="ReadOnlyUser", name="list") for n in range(15)),
    ]
    criteria = [
        limit("success_rate", scenario="ReadOnlyUser", at_least=0.9),
        limit("success_rate", scenario="ChatUser", at_least=0.9),
        limit("success_rate", name="list", at_least=0.9),
        limit("throughput_rps", scenario="ReadOnlyUser", at_least=0.5),
    ]
    mix: dict[str, Any] = {"ChatUser": {}, "ReadOnlyUser": {}}
    analysis = RunBuilder(criteria=criteria, mix=mix).samples(samples).analyze(tmp_path)

    assert [r.measured.value for r in analysis.criteria] == pytest.approx([0.5, 1.0, 0.0, 0.5])
    assert [r.measured.samples for r in analysis.criteria] == [30, 270, 15, 15]
    assert "for ReadOnlyUser" in analysis.criteria[0].reason


# -- the verdict --------------------------------------------------------------------------------------------------


def test_every_limit_held_is_a_pass_with_one_sentence(tmp_path: Path) -> None:
    analysis = (
        RunBuilder(criteria=[limit(below=500), limit("success_rate", at_least=0.9)])
        .samples(steady(10, 0, 30))
        .analyze(tmp_path)
    )

    assert analysis.verdict is Verdict.PASS
    assert analysis.reasons == ["all 2 criteria hold over 300 samples"]


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ([limit(below=500)], True),
        ([limit(below=500), limit("success_rate", at_least=0.5, severity="warn")], True),
        ([limit(below=500), limit("success_rate", at_least=0.5)], False),
        ([limit("error_rate", at_most=0.5)], False),
        ([limit("adj_p50_ms", below=500)], False),
    ],
)
def test_a_pass_of_a_plan_that_judges_no_failures_says_so(
    tmp_path: Path, limits: list[dict[str, Any]], told: bool
) -> None:
    samples = [*steady(9, 0, 30), *(failed(t, Outcome.HTTP_ERROR, status=500) for t in range(30))]
    analysis = RunBuilder(criteria=limits).samples(samples).analyze(tmp_path)

    assert analysis.verdict is Verdict.PASS
    words = "no criterion judges failures: 30 of 300 requests failed"
    assert (words in analysis.reasons[0]) is told
    assert any(words in note.lower() for note in analysis.notes) is told


def test_a_broken_limit_is_a_fail_with_its_figures(tmp_path: Path) -> None:
    analysis = (
        RunBuilder(criteria=[limit(below=50), limit("success_rate", at_least=0.9)])
        .samples(steady(10, 0, 30))
        .analyze(tmp_path)
    )

    assert analysis.verdict is Verdict.FAIL
    assert analysis.reasons == ["latency_p95_ms in sustained was 100 ms, limit < 50.0 ms (100 % outside), 300 samples"]


def test_a_broken_warning_fails_nothing(tmp_path: Path) -> None:
    criteria = [
        limit(below=50, severity="warn"),
        limit("memory_leak", severity="warn", is_=False),
        limit(below=500),
    ]
    analysis = RunBuilder(criteria=criteria).samples(steady(10, 0, 30)).analyze(tmp_path)

    assert [r.state for r in analysis.criteria] == [State.WARN, State.NO_DATA, State.PASS]
    assert analysis.verdict is Verdict.PASS
    assert "2 with a warning only" in analysis.reasons[0]


def test_missing_data_is_never_a_pass(tmp_path: Path) -> None:
    analysis = (
        RunBuilder(criteria=[limit(below=500), limit("ttft_p95_ms", below=9)])
        .samples(steady(10, 0, 30))
        .analyze(tmp_path)
    )

    assert analysis.verdict is Verdict.INVALID
    assert analysis.reasons == ["ttft_p95_ms in sustained has no data: there were no LLM requests; limit < 9.00 ms"]


def test_a_broken_limit_weighs_more_than_missing_data(tmp_path: Path) -> None:
    criteria = [limit("ttft_p95_ms", below=9), limit(below=50)]
    analysis = RunBuilder(criteria=criteria).samples(steady(10, 0, 30)).analyze(tmp_path)

    assert analysis.verdict is Verdict.FAIL
    assert "latency_p95_ms" in analysis.reasons[0]


def test_a_plan_without_criteria_has_nothing_to_judge(tmp_path: Path) -> None:
    analysis = RunBuilder(criteria=[]).samples(steady(10, 0, 30)).analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert "nothing to judge" in analysis.reasons[0]


def test_a_sick_generator_makes_a_run_invalid_although_a_limit_is_broken(tmp_path: Path) -> None:
    late = [request(n / 10, 0.5, lag_s=0.3) for n in range(300)]
    analysis = RunBuilder(criteria=[limit(below=50)]).samples(late).analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert "start lag p99" in analysis.reasons[0]
    assert any("latency_p95_ms" in reason for reason in analysis.reasons)


@pytest.mark.parametrize(
    "criteria", [[limit(below=500)], [limit("success_rate", at_least=0.99)], [limit("throughput_rps", at_least=1)]]
)
@pytest.mark.parametrize("sent", [0.0, None])
def test_a_dead_server_is_a_failure_in_words(
    tmp_path: Path, criteria: list[dict[str, Any]], sent: float | None
) -> None:
    samples = [
        failed(n / 30, Outcome.CONNECT_ERROR, "connection refused", sent_s=None if sent is None else n / 30)
        for n in range(900)
    ]
    analysis = RunBuilder(criteria=criteria).samples(samples).analyze(tmp_path)

    assert analysis.verdict is Verdict.FAIL
    assert analysis.reasons[0] == (
        f"nothing answered at {HOST}: 900 of 900 requests ended as connect_error (connection refused)"
    )


def test_a_server_that_answers_no_more_in_one_phase_fails_that_phases_latency(tmp_path: Path) -> None:
    samples = [
        *steady(10, 0, 30, phase="first"),
        *(failed(30 + n / 10, Outcome.TIMEOUT, phase="second") for n in range(300)),
    ]
    criteria = [limit(phase="second", below=500)]
    analysis = RunBuilder(criteria=criteria, phases=TWO).samples(samples).analyze(tmp_path)

    assert analysis.verdict is Verdict.FAIL
    assert "none of 300 requests got a response (300 ended as timeout)" in analysis.reasons[0]


def test_nothing_measured_is_invalid(tmp_path: Path) -> None:
    analysis = RunBuilder().analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert analysis.reasons == ["nothing was measured: there are no samples"]


def test_a_run_that_crashed_is_invalid_and_shows_what_was_saved(tmp_path: Path) -> None:
    builder = RunBuilder(phases=TWO, criteria=[limit(phase="first", below=500)])
    builder.samples(steady(10, 0, 20, phase="first")).record(ending=Ending.RUNNING, phases=[], ended_s=None)
    analysis = builder.analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert "the run did not end" in analysis.reasons[0]
    assert "second" in analysis.reasons[0]
    assert [(p.name, p.reached) for p in analysis.phases] == [("first", True), ("second", False)]
    assert analysis.phases[0].metrics["throughput_rps"].value == pytest.approx(10, rel=0.02)
    assert analysis.phases[0].accounting.lost == 0


def test_an_interrupted_run_is_invalid_and_says_so(tmp_path: Path) -> None:
    analysis = interrupted([limit(phase="second", below=50)]).analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert analysis.reasons[:2] == [
        "interrupted at 40.0 s: the plan was not run to its end",
        "on the 40.0 s of 1m 0s that were run, 0 of 1 criteria hold",
    ]
    assert analysis.criteria[0].reason.endswith("; judged on 10.0 s of 30.0 s")


@pytest.mark.parametrize("ending", [Ending.INTERRUPTED, Ending.RUNNING])
@pytest.mark.parametrize("leaks", [False, True])
def test_a_soak_that_ended_after_three_of_four_hours_says_what_three_hours_show(
    leaks: bool, ending: Ending, tmp_path: Path
) -> None:
    ran = 3 * 3600
    criteria = [
        {"phase": "soak", "metric": "memory_leak", "is": False},
        {"phase": "soak", "metric": "latency_drift", "below": 0.2},
    ]
    phases = [{"name": "soak", "rate": 0.2, "duration": "4h"}]
    builder = RunBuilder(phases=phases, criteria=criteria, monitors={"interval": "10s"})
    builder.samples(steady(0.2, 0, ran, 5.0, phase="soak")).phase("soak", end_s=float(ran))
    memory = (3e8 + (2e5 * n if leaks else 0) for n in range(ran // 10))
    builder.readings(target("rss_bytes", memory, step_s=10)).record(ending=ending, ended_s=float(ran))
    if ending is Ending.RUNNING:
        builder.record(phases=[], ended_s=None)
    analysis = builder.analyze(tmp_path)
    leak, drift = analysis.criteria

    assert analysis.verdict is Verdict.INVALID
    assert (leak.state, drift.state) == (State.FAIL if leaks else State.PASS, State.PASS)
    assert leak.reason.endswith("; judged on 3h 0m of 4h 0m")
    held = f"on the 3h 0m of 4h 0m that were run, {1 if leaks else 2} of 2 criteria hold"
    assert held in analysis.reasons


def test_an_interrupted_run_fails_when_a_limit_was_broken_in_a_phase_that_was_complete(tmp_path: Path) -> None:
    analysis = interrupted([limit(phase="first", below=50), limit(phase="second", below=500)]).analyze(tmp_path)

    assert analysis.verdict is Verdict.FAIL
    assert "latency_p95_ms in first" in analysis.reasons[0]
    assert "interrupted" in analysis.reasons[1]


def interrupted(criteria: list[dict[str, Any]]) -> RunBuilder:
    samples = [*steady(10, 0, 30, phase="first"), *steady(10, 30, 10, phase="second")]
    builder = RunBuilder(phases=TWO, criteria=criteria).samples(samples).phase("second", end_s=40.0)
    return builder.record(ending=Ending.INTERRUPTED, ended_s=40.0)


@pytest.mark.parametrize(
    ("below", "sick", "verdict", "words"),
    [
        (50, False, Verdict.FAIL, "latency_p95_ms in second was 100 ms"),
        (500, False, Verdict.INVALID, "the limit that ended the run holds over all that was measured"),
        (50, True, Verdict.INVALID, "accounting"),
    ],
)
def test_a_run_that_a_limit_ended_fails_when_the_limit_is_broken_and_the_generator_was_well(
    tmp_path: Path, below: float, sick: bool, verdict: Verdict, words: str
) -> None:
    builder = interrupted([limit(phase="second", below=below, abort_on_fail=True), limit(phase="first", below=500)])
    builder.record(ending=Ending.ABORTED, notes=["ended early: latency_p95_ms in second stayed broken for 30 s"])
    if sick:
        builder.phase("first", scheduled={"ChatUser": 301})
    analysis = builder.analyze(tmp_path)

    assert analysis.verdict is verdict
    assert any(words in reason for reason in analysis.reasons)
    assert "ended early: latency_p95_ms in second stayed broken for 30 s at 40.0 s" in analysis.reasons
    assert any("ended the run early" in note for note in analysis.notes)


def test_another_broken_limit_does_not_stand_in_for_the_one_that_ended_the_run(tmp_path: Path) -> None:
    builder = interrupted([limit(phase="second", below=500, abort_on_fail=True), limit(phase="first", below=50)])
    analysis = builder.record(ending=Ending.ABORTED).analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID


def test_a_run_that_failed_to_start_says_why(tmp_path: Path) -> None:
    builder = RunBuilder().record(ending=Ending.FAILED_TO_START, phases=[], processes=[], notes=["port 80 is taken"])
    analysis = builder.analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert analysis.reasons == ["port 80 is taken"]


def test_a_phase_that_was_not_run_makes_a_completed_run_invalid(tmp_path: Path) -> None:
    builder = RunBuilder(phases=TWO, criteria=[limit(phase="first", below=500)])
    analysis = builder.samples(steady(10, 0, 30, phase="first")).phase("second", reached=False).analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert "not reached: second" in analysis.reasons[0]


def test_a_sick_generator_cannot_prove_a_failure_in_an_interrupted_run_either(tmp_path: Path) -> None:
    builder = interrupted([limit(phase="first", below=50)]).phase("first", scheduled={"ChatUser": 301})
    analysis = builder.analyze(tmp_path)

    assert analysis.verdict is Verdict.INVALID
    assert "interrupted" in analysis.reasons[0]
    assert "accounting" in analysis.reasons[1]
