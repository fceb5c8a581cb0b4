"""A run from one command to its verdict, on real traffic."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.harness import ENVIRONMENT, LOCUST, ROOT, certify, plan_file, pushing, serving


def test_plain_locust_runs_a_plan_without_make_or_certify(tmp_path: Path) -> None:
    plan = plan_file(tmp_path)
    done = subprocess.run(
        [*LOCUST, "--headless", f"--plan={plan}", f"--runs={tmp_path / 'runs'}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout


def test_a_run_that_only_records_is_judged_later(tmp_path: Path) -> None:
    finished = certify(plan_file(tmp_path), "--report-later")
    assert finished.code == 3
    assert f"not judged yet: python -m reports {finished.folder}" in finished.out
    assert not (finished.folder / "report" / "verdict.json").exists()
    again = subprocess.run(
        [sys.executable, "-m", "reports", str(finished.folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert finished.verdict["verdict"] == "PASS"


def test_a_rehearsal_keeps_the_rates_and_says_what_it_is(tmp_path: Path) -> None:
    phases = [{"name": "long", "rate": 40, "duration": "150s"}]
    run = certify(plan_file(tmp_path, phases=phases), "--time-scale=0.02")

    assert run.code == 0
    assert len(run.iterations) == 120
    assert run.record.rehearsal
    assert any("rehearsal" in note.lower() for note in run.verdict["notes"])


def test_another_rate_scales_every_phase_and_the_limits_on_rates(tmp_path: Path) -> None:
    phases = [{"name": "low", "rate": 10, "duration": "2s"}, {"name": "high", "rate": 20, "duration": "3s"}]
    criteria = [{"metric": "throughput_rps", "at_least": 20, "phase": "high"}]
    run = certify(plan_file(tmp_path, phases=phases, criteria=criteria), "--rate=40")

    assert run.code == 0
    scheduled = [phase["accounting"]["scheduled"] for phase in run.verdict["phases"]]
    assert scheduled == [40, 120]
    assert run.verdict["criteria"][0]["limit"] == 40


def test_many_plans_end_with_the_worst_exit_code(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    passing = plan_file(good, id="GOOD")
    failing = plan_file(bad, id="BAD", criteria=[{"metric": "latency_max_ms", "below": 0.001}])
    run = certify(passing, str(failing))

    assert run.code == 1
    assert "PASS" in run.out.splitlines()[-2]
    assert "FAIL" in run.out.splitlines()[-1]


@pytest.mark.alone
def test_a_closed_phase_holds_its_users_and_their_think_time(tmp_path: Path) -> None:
    phases = [{"name": "closed", "users": 6, "think": "100ms", "duration": "4s"}]
    with serving("--delay", "0.1") as host:
        run = certify(plan_file(tmp_path, phases=phases), f"--host={host}")

    assert run.code == 0, run.out
    # 6 users, 0.2 s a round, 4 s: 120 iterations, the slack of the last rounds and of the machine aside.
    assert 100 <= len(run.iterations) <= 120
    assert run.verdict["phases"][0]["accounting"]["lost"] == 0
    starts = sorted((row["sent_s"], 1) for row in run.iterations)
    ends = sorted((row["done_s"], -1) for row in run.iterations)
    running = highest = 0
    for _, step in sorted(starts + ends):
        running += step
        highest = max(highest, running)
    assert highest == 6


def test_a_stall_of_the_server_is_in_the_latency_of_every_arrival_that_was_due_in_it(tmp_path: Path) -> None:
    """Coordinated omission: 5 s of stall in 30 s at 50 RPS.

    An arrival due u seconds into the stall waits 5 - u seconds. 1500 arrivals, 250 of them in the stall: of the 75
    that make the worst 5 %, the last waits 5 - 75/50 = 3.5 s.
    """
    phases = [{"name": "only", "rate": 50, "duration": "30s"}]
    with serving("--stall-at", "10", "--stall-for", "5") as host:
        run = certify(plan_file(tmp_path, phases=phases), f"--host={host}")

    metrics = run.verdict["phases"][0]["metrics"]
    assert metrics["latency_p95_ms"]["value"] == pytest.approx(3500, rel=0.05)
    first = min(row["sent_s"] for row in run.iterations)
    in_stall = [row for row in run.iterations if first + 10 <= row["due_s"] < first + 15]
    assert len(in_stall) in {249, 250, 251}
    assert all(row["outcome"] == "ok" for row in in_stall)
    worst = max(in_stall, key=lambda row: row["done_s"] - row["due_s"])
    assert worst["done_s"] - worst["due_s"] == pytest.approx(5, rel=0.05)
    # The load went on during the stall: the schedule does not wait for the server.
    assert sum(row["sent_s"] - row["due_s"] < 0.2 for row in in_stall) > 240


def test_a_failed_precondition_is_named(tmp_path: Path) -> None:
    with serving() as host:
        port = host.rsplit(":", 1)[1]
    dead = certify(plan_file(tmp_path, baseline="no/such.json"), f"--host=http://127.0.0.1:{port}")
    assert any("service healthy" in note and "refused" in note for note in dead.verdict["notes"])
    assert any("baseline known" in note and "no/such.json" in note for note in dead.verdict["notes"])
    assert any("target at rest: no reading of the target" in note for note in dead.verdict["notes"])


def test_the_servers_own_figures_and_a_reading_before_the_load_are_judged(tmp_path: Path) -> None:
    """32 requests at a time fit into the embedded platform's batch; 96 users keep the others in its queue."""
    run = certify(
        plan_file(
            tmp_path,
            mix={"ChatUser": {"max_tokens": 32}},
            phases=[{"name": "only", "users": 96, "duration": "6s"}],
            criteria=[
                {"id": "queue", "metric": "queue_length_max", "at_least": 4},
                {"id": "same", "metric": "in_flight_difference", "below": 16},
                {"id": "rest", "metric": "memory_over_rest_bytes", "below": "1 GB"},
                {"id": "cpu", "metric": "cpu_cores_over_rest", "above": 0},
            ],
        )
    )
    assert run.code == 0, run.out
    page = (run.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "Server: requests running and waiting" in page
    assert "known to the server" in page
    assert not [note for note in run.verdict["notes"] if "LLM requests in flight" in note]


def test_a_server_that_invents_types_of_messages_gets_a_bounded_number_of_names(tmp_path: Path) -> None:
    mix = {"WebSocketUser": {"connections": 2, "path": "/types"}}
    with pushing() as host:
        run = certify(
            plan_file(tmp_path, mix=mix, phases=[{"name": "only", "users": 1, "duration": "3s"}], criteria=[]),
            f"--host={host}",
        )

    messages = [row for row in run.samples if row["message_type"] is not None]
    assert len(messages) == 300, run.out + run.err
    names = {row["name"] for row in messages}
    assert len(names) == 101
    assert max(map(len, names)) == 80
    assert sum(row["name"] == "one of very many types" for row in messages) == 100
