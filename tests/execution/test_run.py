"""A run from one command to its verdict, on real traffic."""

import itertools
import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from scipy import stats

from plans.run import Ending
from tests.execution.harness import ENVIRONMENT, LOCUST, ROOT, certify, plan_file, pushing, serving

MIXED = {
    "mix": {
        "ChatUser": {"share": 0.5, "max_tokens": 16},
        "EvaluationRunUser": {"share": 0.5},
        "WebSocketUser": {"connections": 5},
    },
    "phases": [
        {"name": "low", "rate": 10, "duration": "3s"},
        {"name": "high", "rate": 30, "duration": "4s"},
    ],
}


def test_a_good_server_passes_with_all_kinds_of_traffic_in_one_run(tmp_path: Path) -> None:
    run = certify(
        plan_file(
            tmp_path,
            **MIXED,
            criteria=[
                {"metric": "success_rate", "at_least": 0.99, "phase": "high"},
                {"metric": "latency_p95_ms", "below": 1500},
                {"metric": "ttft_due_p95_ms", "below": 1000, "scenario": "ChatUser"},
                {"metric": "quality_mean", "above": 0.5},
                {"metric": "ws_success_rate", "at_least": 1},
                {"metric": "delivery_rate", "at_least": 0.99},
                {"metric": "cpu_cores_mean", "above": 0},
            ],
        )
    )

    assert run.code == 0, run.out + run.err
    assert run.verdict["verdict"] == "PASS"
    assert {p["name"]: p["accounting"]["scheduled"] for p in run.verdict["phases"]} == {"low": 30, "high": 120}
    by_scenario = {name: [r for r in run.iterations if r["scenario"] == name] for name in run.record.plan.mix.names()}
    assert len(by_scenario["ChatUser"]) == len(by_scenario["EvaluationRunUser"]) == 75
    assert sorted(row["arrival"] for row in run.iterations) == list(range(150))
    connects = [row for row in run.samples if row["name"] == "connect"]
    assert len(connects) == 5
    assert str(run.folder / "report" / "report.html") in run.out
    kept = {path.name for path in (run.folder / "report").iterdir()}
    assert kept >= {"report.html", "verdict.json", "junit.xml", "summary.md", "metrics.csv", "locust_stats.csv"}
    assert run.record.ending is Ending.COMPLETED
    assert run.record.processes[0].written == len(run.samples)


def test_nothing_that_a_run_started_is_left_behind(tmp_path: Path) -> None:
    run = certify(plan_file(tmp_path, **MIXED))

    left = [
        process.cmdline()
        for process in psutil.process_iter()
        if any(str(run.folder) in part for part in _command_of(process)) or run.record.host in _command_of(process)
    ]
    assert left == []
    with pytest.raises(OSError, match=r"refused|111"):
        _connect(run.record.host)


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _connect(host: str) -> None:
    port = int(host.rsplit(":", 1)[1])
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


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


def test_a_report_can_be_made_again_and_says_the_same(tmp_path: Path) -> None:
    run = certify(plan_file(tmp_path))
    first = (run.folder / "report" / "verdict.json").read_text()
    (run.folder / "report" / "verdict.json").unlink()

    again = subprocess.run(
        [sys.executable, "-m", "reports", str(run.folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert again.returncode == run.code == 0
    assert json.loads((run.folder / "report" / "verdict.json").read_text()) == json.loads(first)


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


@pytest.mark.alone
def test_poisson_arrivals_are_poisson_as_the_server_sees_them(tmp_path: Path) -> None:
    # 25/s: the machine's own jitter of a millisecond is small beside the mean gap of 40 ms.
    log = tmp_path / "arrivals"
    phases = [{"name": "only", "rate": 25, "duration": "20s"}]
    with serving("--log", str(log)) as host:
        run = certify(plan_file(tmp_path, phases=phases, arrivals="poisson"), f"--host={host}")

    assert run.code == 0, run.out
    seen = json.loads(log.read_text())["load"]
    assert len(seen) == len(run.iterations)
    counts = [0] * 20
    for moment in seen:
        counts[min(int(moment - seen[0]), 19)] += 1
    dispersion = stats.tvar(counts) / stats.tmean(counts)
    # 20 counts: the index of dispersion times 19 is chi-square with 19 degrees of freedom.
    low, high = stats.chi2.ppf([0.0005, 0.9995], 19) / 19
    assert low < dispersion < high
    gaps = [b - a for a, b in itertools.pairwise(seen)]
    assert stats.kstest(gaps, "expon", args=(0, sum(gaps) / len(gaps))).pvalue > 0.001


def test_preconditions_are_checked_before_the_load_and_a_failed_one_is_named(tmp_path: Path) -> None:
    good = certify(plan_file(tmp_path))
    found = {p.name: p for p in good.record.preconditions}
    assert set(found) == {"service healthy", "machine at rest", "monitors collecting", "target at rest"}
    assert all(p.held for p in found.values() if p.name != "machine at rest"), found
    assert "0 requests running, 0 waiting" in found["target at rest"].found
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


def test_the_figures_of_a_phase_are_kept_under_the_name_that_the_plan_gives_it(tmp_path: Path) -> None:
    phases = [{"name": "low", "rate": 10, "duration": "2s"}, {"name": "high", "rate": 20, "duration": "2s"}]
    run = certify(plan_file(tmp_path, phases=phases, store={"low": "my_baseline"}))

    kept = json.loads((run.folder / "report" / "baseline-my_baseline.json").read_text())
    assert (kept["name"], kept["phase"], kept["verdict"]) == ("my_baseline", "low", "PASS")
    assert [scope["phase"] for scope in kept["scopes"]] == ["low"]
    assert kept["scopes"][0]["metrics"]["offered_rps"]["value"] == 10
    of_phase = run.verdict["phases"][0]["metrics"]["latency_p95_ms"]["value"]
    assert kept["scopes"][0]["metrics"]["latency_p95_ms"]["value"] == pytest.approx(of_phase, rel=1e-5)


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
