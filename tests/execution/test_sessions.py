"""Chat sessions under load: every kind of user at work, nothing left behind, and what the server says of itself."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from plans.run import Ending
from tests.execution.harness import ENVIRONMENT, ROOT, certify, command, finished, plan_file
from tests.execution.test_alone import alone
from tests.services import until
from tests.target.process import Target

USERS = ("SessionUser", "SessionStressUser", "LongSessionUser", "SessionToolUser")
MIX = {"SessionUser": {}, "SessionStressUser": {}, "LongSessionUser": {"turns": 12}, "SessionToolUser": {"turns": 10}}


@pytest.fixture
def target() -> Iterator[Target]:
    running = Target("--seed-runs", "0")
    yield running
    running.stop()


def test_all_kinds_of_users_work_side_by_side_and_leave_nothing(tmp_path: Path, target: Target) -> None:
    phases = [
        {"name": "few", "users": 8, "duration": "4s", "think": "20ms"},
        {"name": "more", "users": 24, "duration": "4s", "think": "20ms"},
    ]
    criteria = [
        {"id": "ok", "metric": "success_rate", "at_least": 1},
        {"id": "sessions", "phase": "more", "metric": "sessions_max", "at_least": 10},
        {"id": "each", "phase": "more", "metric": "memory_per_session_bytes", "below": "50 MB"},
        {"id": "degradation", "phase": "more", "metric": "throughput_degradation", "at_most": 1},
        {"id": "first", "phase": "few", "metric": "throughput_degradation", "at_most": 1, "severity": "warn"},
    ]
    server = {"host": target.url, "process": {"pid": target.process.pid}, "prometheus": "/metrics"}
    run = certify(plan_file(tmp_path, target=server, mix=MIX, phases=phases, criteria=criteria))

    assert {row["outcome"] for row in run.samples} == {"ok"}, run.out
    assert {row["scenario"] for row in run.samples} == set(USERS)
    assert run.states() == {"ok": "pass", "sessions": "pass", "each": "pass", "degradation": "pass", "first": "no_data"}
    names = Counter(row["name"] for row in run.samples)
    assert names["create session"] >= 24
    assert {"message", "message (stream)", "message (turns 1 to 10)", "tool calculate", "delete session"} <= set(names)
    assert target.metric("sessions_open") == 0
    assert target.metric("sessions_created_total") == names["create session"]


def test_sessions_are_removed_after_ctrl_c_too(tmp_path: Path, target: Target) -> None:
    phases = [{"name": "long", "users": 10, "duration": "60s", "think": "50ms"}]
    plan = plan_file(tmp_path, target={"host": target.url}, mix={"LongSessionUser": {}}, phases=phases)
    process = subprocess.Popen(
        command(plan, tmp_path / "runs"),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: target.metric("sessions_open") == 10)
    process.send_signal(signal.SIGINT)
    process.wait(60)

    assert target.metric("sessions_open") == 0
    assert finished(process.returncode, "", "", tmp_path / "runs").record.ending is Ending.INTERRUPTED


@pytest.mark.parametrize("user", ["LongSessionUser", "SessionToolUser"])
def test_a_user_of_sessions_runs_alone_and_removes_its_session(tmp_path: Path, target: Target, user: str) -> None:
    plan = plan_file(tmp_path, mix={user: {"turns": 3}}, target={"host": target.url})
    done = alone(user, f"--plan={plan}", "--requests=8")

    assert done.returncode == 0, done.stderr
    assert "create session" in done.stdout
    assert target.metric("sessions_open") == 0


@pytest.mark.long
@pytest.mark.alone
def test_1000_closed_users_and_a_spike_to_1000_leave_the_generator_valid(tmp_path: Path) -> None:
    think = {"min": "2s", "max": "4s"}
    phases = [
        {"name": "arriving", "shape": "ramp", "users": {"from": 10, "to": 1000}, "duration": "6s", "think": think},
        {"name": "thousand", "users": 1000, "duration": "6s", "think": think},
        {"name": "few", "users": 100, "duration": "3s", "think": think},
        {"name": "spike", "shape": "spike", "users": {"base": 100, "peak": 1000}, "rise": "1s", "hold": "3s",
         "fall": "1s", "duration": "8s", "think": think},
    ]  # fmt: skip
    run = certify(plan_file(tmp_path, mix={"SessionUser": {}}, phases=phases, generator={}))

    assert [check for check in run.verdict["health"] if not check["passed"]] == [], run.out
    # Each of a thousand users came, and came again in the spike.
    by_phase = Counter(row["phase"] for row in run.iterations)
    assert by_phase["arriving"] + by_phase["thousand"] > 1500
    assert by_phase["spike"] > 900
