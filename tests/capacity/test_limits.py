"""What of a plan a search takes, and what it sets aside."""

from typing import Any

import pytest

from capacity.limits import By, Limits, limits_of, names_of, plan_of
from capacity.probes import Role, Step
from plans.problems import PlanError
from plans.schema import Plan

PLAN: dict[str, Any] = {
    "id": "P",
    "title": "a plan",
    "mix": {"ReadOnlyUser": {}},
    "phases": [
        {"name": "low", "rate": 5, "duration": "10s"},
        {"name": "held", "rate": 50, "duration": "1m"},
        {"name": "ramp", "shape": "ramp", "rate": {"from": 5, "to": 90}, "duration": "5m"},
        {"name": "crowd", "users": 20, "think": "2s", "duration": "30s"},
    ],
    "criteria": [
        {"phase": "held", "metric": "throughput_rps", "at_least": 49},
        {"phase": "held", "metric": "latency_p95_ms", "below": 300},
        {"phase": "low", "metric": "latency_p95_ms", "below": 100},
        {"metric": "success_rate", "above": 0.99},
        {"metric": "memory_leak", "is": False},
        {"metric": "latency_p99_ms", "below": 900, "severity": "warn"},
        {"phase": "crowd", "metric": "latency_mean_ms", "below": 250},
    ],
    "faults": [{"kind": "latency", "params": {"ms": 5}}, {"kind": "errors", "at": "5s"}],
}


def taken(**changes: Any) -> Limits:
    options = {key: changes.pop(key) for key in ("phase", "by") if key in changes}
    return limits_of(Plan.model_validate(PLAN | changes), "p.yaml", 15.0, **options)


def test_the_limits_are_those_of_the_longest_constant_phase_and_of_the_whole_run() -> None:
    limits = taken()
    assert (limits.phase.name, limits.by, limits.nominal) == ("held", By.RATE, 50)
    assert [c.metric for c in limits.criteria] == ["throughput_rps", "latency_p95_ms", "success_rate"]
    assert limits.criteria[1].below == 300


def test_what_is_set_aside_is_named() -> None:
    notes = "; ".join(taken().notes)
    assert "memory_leak is not searched by: it needs 60 s" in notes
    assert "latency_p99_ms is not searched by: it only warns" in notes
    assert "limits of other phases are not searched by: crowd, low" in notes
    assert "faults that do not last the whole run" in notes


def test_a_closed_phase_is_searched_by_users_with_its_think_time() -> None:
    limits = taken(phase="crowd")
    plan = plan_of(limits, [Step(40, 15, 2, Role.PROBE)])
    assert limits.by is By.USERS
    assert {c.metric for c in limits.criteria} == {"latency_mean_ms", "success_rate"}
    assert {(phase.users.value, phase.think.max) for phase in plan.phases if phase.users} == {(40, 2)}


def test_a_limit_on_a_rate_is_in_proportion_to_the_load() -> None:
    limits = taken()
    assert limits.at(100)[0].at_least == pytest.approx(98)
    assert limits.at(100)[1].below == 300
    assert taken(by=By.USERS).nominal is None


def test_a_batch_is_a_plan_with_two_phases_for_each_load() -> None:
    steps = [Step(20, 6, 2, Role.ANCHOR), Step(70, 15, 3, Role.PROBE)]
    plan = plan_of(taken(), steps)
    assert [(p.name, p.rate.value if p.rate else 0, p.duration) for p in plan.phases] == [
        ("settle-1", 20, 2), ("probe-1", 20, 6), ("settle-2", 70, 3), ("probe-2", 70, 15),
    ]  # fmt: skip
    judged = {(c.phase, c.metric): c.limit for c in plan.criteria}
    assert judged[names_of(2)[1], "throughput_rps"] == pytest.approx(68.6)
    assert len(judged) == 6
    assert plan.id == "P-CAPACITY"
    assert [fault.kind for fault in plan.faults] == ["latency"]
    assert Plan.model_validate(plan.model_dump(by_alias=True, exclude_none=True)) == plan


def test_a_phase_that_does_not_exist_and_a_plan_without_limits_are_refused() -> None:
    with pytest.raises(PlanError, match=r"--phase must be a phase of p.yaml \(low, held, ramp, crowd\), got 'x'"):
        taken(phase="x")
    with pytest.raises(PlanError, match="criteria must have a limit for a probe of 15 s"):
        taken(criteria=[{"metric": "memory_leak", "is": False}])
