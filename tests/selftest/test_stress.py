"""The stress test of the suite itself: its overloads are what their arithmetic says, and one is brought about."""

from pathlib import Path
from typing import Any

import pytest

from plans.schema import Plan
from selftest import stress
from selftest.overloads import BASE, OVERLOADS, STEPS, Overload, plan_of
from tests.execution.harness import certify, plan_file

BY_NAME = {overload.name: overload for overload in OVERLOADS}


@pytest.mark.parametrize("overload", OVERLOADS, ids=lambda overload: overload.name)
def test_every_overload_is_a_plan_with_room_for_the_recovery_that_it_asks_for(overload: Overload) -> None:
    plan = Plan.model_validate(plan_of(overload, 1))
    times = [value for value in overload.known.recovery.values() if isinstance(value, float | int)]

    after = plan.phases[-1].duration / (3 if overload.spike else 1)
    assert after >= max([0.0, *times]) + 15
    assert plan.faults[0].kind == "capacity"


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("name", ["queue of 20 s", "queue of 60 s"])
def test_what_queues_up_drains_within_the_window_that_must_be_found(name: str, seed: int) -> None:
    plan = plan_of(BY_NAME[name], seed)
    rate = plan["faults"][0]["params"]["rps"]
    step = plan["phases"][1]["duration"] / len(STEPS)
    queued = sum((load - rate) * step for load in STEPS if load > rate)
    found = BY_NAME[name].known.recovery["latency"]

    assert isinstance(found, float | int)
    assert found - 5 < queued / (rate - BASE) < found
    assert STEPS[0] < rate < STEPS[1]


def document(**changes: Any) -> dict[str, Any]:
    times = {aspect: {"value": 20.0, "unbounded": False} for aspect in ("latency", "errors", "memory")}
    times["errors"] = {"value": 0.0, "unbounded": False}
    found = {"pattern": "queueing", "breaking_point": 16.0, "recovery": {"times": times}, "evidence": ["seen"]}
    return {"verdict": "PASS", "reasons": [], "stress": [found | changes]}


@pytest.mark.parametrize(
    ("verdict", "wrong"),
    [
        (document(), []),
        (document(pattern="rejecting"), ["pattern rejecting, not queueing"]),
        (document(breaking_point=24.0), ["broke at 24.0, not 16"]),
        (
            document(recovery={"times": {"latency": {"value": None, "unbounded": True}}}),
            ["latency recovered after never, not 20", "errors recovered after None, not 0.0"],
        ),
        (document() | {"verdict": "INVALID", "reasons": ["late"]}, ["late"]),
        (None, ["there is no verdict"]),
    ],
)
def test_what_is_wrong_is_said(verdict: dict[str, Any] | None, wrong: list[str]) -> None:
    told = stress.tell(BY_NAME["queue of 20 s"], 1, verdict, "place", 1.0)

    assert told.wrong == wrong
    assert ("1 of 1 runs were named rightly" in stress.markdown([told])) is (not wrong)


def test_an_overload_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert stress.main(["--only", "flood", "--runs", str(tmp_path)]) == 2
    assert "no overload is called 'flood'" in capsys.readouterr().err


@pytest.mark.long
def test_a_platform_that_refuses_what_it_cannot_do_is_found_rejecting(tmp_path: Path) -> None:
    plan = plan_of(BY_NAME["refuses at once"], 1)
    lengths = (6, 8, 20)
    plan["phases"] = [phase | {"duration": length} for phase, length in zip(plan["phases"], lengths, strict=True)]
    run = certify(plan_file(tmp_path, **plan))

    (found,) = run.verdict["stress"]
    assert found["pattern"] == "rejecting", found
    # A busy machine may break the step before it, too: `make stresstest` is exact, and asks for a quiet one.
    assert 0 < found["breaking_point"] <= 16
    assert found["recovery"]["times"]["errors"]["value"] is not None
    (what,) = [finding["what"] for finding in run.verdict["findings"] if finding["kind"] == "degradation"]
    assert what.startswith("in stress the server degraded by rejecting, from ")
