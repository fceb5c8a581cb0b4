"""The evaluation platform's API under its three users: from the plan to the verdict, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from scipy import stats

from plans.loading import load
from plans.mix import Operations
from plans.run import Ending
from tests.execution.harness import ENVIRONMENT, ROOT, Finished, certify, plan_file
from tests.services import until
from tests.target.process import RUNS, Target

PLAN = ROOT / "plans" / "eval" / "api.yaml"


@pytest.fixture
def target() -> Iterator[Target]:
    running = Target("--seed-runs", "30")
    yield running
    running.stop()


def total(target: Target) -> int:
    count: int = target.ask("GET", f"{RUNS}?limit=1").json()["total"]
    return count


def test_the_plan_has_the_numbers_of_the_platform() -> None:
    plan = load(PLAN, {})
    assert set(plan.mix.arriving()) == {"EvaluationRunUser", "HighVolumeUser", "ReadOnlyUser"}
    limits = {(c.metric, c.name, c.operator, c.limit) for c in plan.criteria}
    assert {("latency_p95_ms", name, "<", 500) for name in Operations.model_fields} <= limits
    assert {("success_rate", None, ">", 0.99), ("availability", None, ">", 0.999)} <= limits
    assert [(phase.name, phase.closed) for phase in plan.phases] == [("rate", False), ("users", True)]
    assert [phase.load.highest() for phase in plan.phases] == [50, 120]


@pytest.mark.clock
def test_the_three_users_pass_and_leave_the_platform_as_it_was(tmp_path: Path, target: Target) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        f"extends: {PLAN}\ntarget: {{host: '{target.url}'}}\n"
        "generator: {lag_p99_ms: 2000, loop_lag_p99_ms: 2000}\n"
        "phases:\n  - {name: rate, rate: 60, duration: 6s}\n"
        "  - {name: users, users: 20, duration: 3s, think: {min: 200ms, max: 400ms}}\n",
        encoding="utf-8",
    )
    run = certify(path)

    assert run.code == 0, run.out + run.err
    for user in ("EvaluationRunUser", "HighVolumeUser", "ReadOnlyUser"):
        assert {row["outcome"] for row in run.samples if row["scenario"] == user} == {"ok"}
    regular = Counter(row["name"] for row in run.iterations if row["scenario"] == "EvaluationRunUser")
    weights = Operations().model_dump()
    expected = [weight * regular.total() for weight in weights.values()]
    assert stats.chisquare([regular[name] for name in weights], expected).pvalue > 0.0001
    names = Counter(row["name"] for row in run.samples)
    assert names["update (read back)"] == names["update"] > 5
    assert total(target) == 30
    assert not any("could not be removed" in note for note in run.record.notes)


def test_what_was_created_is_removed_after_ctrl_c_too(tmp_path: Path, target: Target) -> None:
    plan = plan_file(
        tmp_path,
        target={"host": target.url},
        mix={"HighVolumeUser": {}},
        phases=[{"name": "long", "rate": 40, "duration": 60}],
    )
    command = [sys.executable, str(ROOT / "certify.py"), str(plan), f"--runs={tmp_path / 'runs'}"]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    until(lambda: total(target) > 60)
    process.send_signal(signal.SIGINT)
    process.wait(30)

    assert total(target) == 30
    run = Finished(process.returncode, "", "", next((tmp_path / "runs").iterdir()))
    assert run.record.ending is Ending.INTERRUPTED
    assert sum(row["name"] == "create" for row in run.samples) >= 30
