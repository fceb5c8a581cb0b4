"""`abort_on_fail`: a run that cannot pass any more is ended early, in order, with a verdict."""

import re
from pathlib import Path
from typing import Any

import pytest

from execution.hopeless import Hopeless
from plans.assessment import TOO_EARLY, Assessment, LiveCriterion
from plans.loading import load
from plans.problems import PlanError
from plans.run import Ending, scaled
from tests.execution.harness import certify, plan_file

SLOW = {"metric": "latency_p50_ms", "phase": "long", "below": 150, "abort_on_fail": {"after": "6s"}, "id": "fast"}
PHASES = [{"name": "calm", "rate": 20, "duration": "3s"}, {"name": "long", "rate": 20, "duration": "90s"}]


def test_a_limit_that_stays_broken_ends_the_run_with_fail_and_says_why(tmp_path: Path) -> None:
    plan = plan_file(
        tmp_path,
        phases=[*PHASES, {"name": "never", "rate": 20, "duration": "60s"}],
        criteria=[SLOW, {"metric": "success_rate", "at_least": 0.99, "id": "ok"}],
        faults=[{"at": "3s", "kind": "latency", "params": {"ms": 400}}],
    )
    done = certify(plan)

    record, verdict = done.record, done.verdict
    assert done.code == 1, done.out + done.err
    assert record.ending is Ending.ABORTED
    assert verdict["verdict"] == "FAIL"
    # Drained and not cut: what was due before the end has its answer, and nothing else was broken by the end.
    assert done.states() == {"fast": "fail", "ok": "pass"}
    assert {row["outcome"] for row in done.iterations} == {"ok"}
    assert [phase.reached for phase in record.phases] == [True, True, False]
    assert 6 < record.phases[1].end_s < 93
    assert sum(sum(phase.scheduled.values()) for phase in record.phases) == len(done.iterations)
    why = next(reason for reason in verdict["reasons"] if reason.startswith("ended early"))
    assert "latency_p50_ms in long stayed broken for" in why
    assert "not reached: never" in why
    assert "ended early: latency_p50_ms in long" in done.out
    # The line of progress, which is written each five seconds when nobody watches, named it before.
    assert re.search(r"long +\S+ left  offered \S+/s  achieved \S+/s  lag \d+ ms .*broken: latency_p50_ms", done.out)
    assert any(event["kind"] == "stop" and "ended early" in event["text"] for event in verdict["events"])


def test_a_limit_that_holds_and_one_without_data_end_nothing(tmp_path: Path) -> None:
    at_once = {"abort_on_fail": {"after": 0}}
    criteria = [
        {"metric": "success_rate", "at_least": 0.99, **at_once},
        {"metric": "ttft_p95_ms", "below": 1, **at_once},  # there is no text: no data
        {"metric": "latency_p95_ms", "below": 1e-3, "severity": "warn"},
    ]
    plan = plan_file(tmp_path, phases=[{"name": "only", "rate": 20, "duration": "8s"}], criteria=criteria)
    done = certify(plan)

    assert done.record.ending is Ending.COMPLETED
    assert done.record.phases[0].end_s == 8.0
    assert (done.code, done.verdict["verdict"]) == (3, "INVALID")  # for want of data
    assert (done.folder / "live.log").read_text(encoding="utf-8") == ""


def plan_of(tmp_path: Path, *delays: float) -> Any:
    criteria = [
        {"metric": "latency_p95_ms", "phase": phase, "below": 100, "abort_on_fail": {"after": delay}}
        for delay in delays
        for phase in ("calm",)
    ]
    return load(plan_file(tmp_path, phases=PHASES, criteria=criteria))


def stands(*states: str, final: bool = False) -> Assessment:
    return Assessment(
        settled_s=1.0,
        criteria=tuple(
            LiveCriterion(
                index=index, metric="m", where="w", limit="l", measured="v", value=1.0, limit_value=1.0, state=state,
                final=final, reason="because",
            )
            for index, state in enumerate(states)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("between", ["pass", "no_data", TOO_EARLY])
def test_the_delay_begins_anew_when_the_limit_held_or_had_no_data_between(tmp_path: Path, between: str) -> None:
    hopeless = Hopeless(plan_of(tmp_path, 10.0))
    assert hopeless.possible
    assert hopeless.why(stands("fail"), 5.0) is None
    assert hopeless.why(stands(between), 12.0) is None
    assert hopeless.why(stands("fail"), 14.0) is None
    assert hopeless.why(stands("fail"), 23.9) is None
    assert hopeless.why(stands("fail"), 24.0) == "ended early: m w stayed broken for 10 s: because"


def test_what_could_not_be_judged_neither_breaks_a_limit_nor_mends_it(tmp_path: Path) -> None:
    hopeless = Hopeless(plan_of(tmp_path, 10.0))
    assert hopeless.why(stands("fail"), 5.0) is None
    assert hopeless.why(Assessment(settled_s=1.0, problem="no answer"), 30.0) is None
    assert hopeless.why(stands("fail"), 31.0) is not None


def test_each_limit_has_its_own_delay_and_one_whose_phase_is_over_waits_for_nothing(tmp_path: Path) -> None:
    hopeless = Hopeless(plan_of(tmp_path, 100.0, 1.0))
    assert hopeless.why(stands("fail", "pass"), 5.0) is None
    assert hopeless.why(stands("fail", "fail"), 6.0) is None
    assert hopeless.why(stands("fail", "fail"), 7.0) is not None
    over = Hopeless(plan_of(tmp_path, 100.0)).why(stands("fail", final=True), 5.0)
    assert over == "ended early: m w stayed broken at the end of its phase: because"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"abort_on_fail": True, "severity": "warn"}, "abort_on_fail must not stand beside severity: warn"),
        ({"metric": "memory_leak", "is": False, "abort_on_fail": True}, "on memory_leak, which is known at the end"),
        ({"abort_on_fail": {"after": "soon"}}, "abort_on_fail.after must be a duration"),
        ({"abort_on_fail": {"delay": "3s"}}, "abort_on_fail.delay is not a known key"),
        ({"abort_on_fail": 3}, "abort_on_fail must be a mapping"),
    ],
)
def test_a_wrong_key_is_told_with_its_place(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    limit = {} if "is" in keys else {"below": 100}
    plan = plan_file(tmp_path, criteria=[{"metric": "latency_p95_ms", **limit, **keys}])
    with pytest.raises(PlanError) as error:
        load(plan)
    assert [
        f"criteria[0]{'.' if words.startswith('abort') else ' '}{words}" in str(one) for one in error.value.problems
    ]
    assert words in str(error.value.problems[0])


def test_true_stands_for_the_default_delay_and_a_rehearsal_shortens_it(tmp_path: Path) -> None:
    plan = load(plan_file(tmp_path, criteria=[{"metric": "latency_p95_ms", "below": 100, "abort_on_fail": True}]))
    (criterion,) = plan.criteria
    assert criterion.abort_on_fail is not None
    assert criterion.abort_on_fail.after == 30.0
    (shorter,) = scaled(plan, 0.1).criteria
    assert shorter.abort_on_fail is not None
    assert shorter.abort_on_fail.after == pytest.approx(3.0)
