"""One run of all kinds of traffic, from one command to its verdict: what it does, leaves, and keeps."""

import json
import socket
import subprocess
import sys

import psutil
import pytest

from plans.run import Ending
from tests.execution.harness import ROOT, Finished, certify, plan_file

CRITERIA = [
    {"metric": "success_rate", "at_least": 0.99, "phase": "high"},
    {"metric": "latency_p95_ms", "below": 1500},
    {"metric": "ttft_due_p95_ms", "below": 1000, "scenario": "ChatUser"},
    {"metric": "quality_mean", "above": 0.5},
    {"metric": "ws_success_rate", "at_least": 1},
    {"metric": "delivery_rate", "at_least": 0.99},
    {"metric": "cpu_cores_mean", "above": 0},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    plan = plan_file(
        tmp_path_factory.mktemp("run"),
        mix={
            "ChatUser": {"share": 0.5, "max_tokens": 16},
            "EvaluationRunUser": {"share": 0.5},
            "WebSocketUser": {"connections": 5},
        },
        phases=[
            {"name": "low", "rate": 10, "duration": "3s"},
            {"name": "high", "rate": 30, "duration": "4s"},
        ],
        criteria=CRITERIA,
        store={"low": "my_baseline"},
    )
    return certify(plan)


def test_nothing_that_a_run_started_is_left_behind(run: Finished) -> None:
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


def test_a_good_server_passes_with_all_kinds_of_traffic_in_one_run(run: Finished) -> None:
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


def test_preconditions_are_checked_before_the_load(run: Finished) -> None:
    found = {p.name: p for p in run.record.preconditions}
    assert set(found) == {"service healthy", "machine at rest", "monitors collecting", "target at rest"}
    assert all(p.held for p in found.values() if p.name != "machine at rest"), found
    assert "0 requests running, 0 waiting" in found["target at rest"].found


def test_the_figures_of_a_phase_are_kept_under_the_name_that_the_plan_gives_it(run: Finished) -> None:
    kept = json.loads((run.folder / "report" / "baseline-my_baseline.json").read_text())
    assert (kept["name"], kept["phase"], kept["verdict"]) == ("my_baseline", "low", "PASS")
    # The figures of its scenarios and requests, and of no other phase.
    assert {scope["phase"] for scope in kept["scopes"]} == {"low"}
    assert kept["scopes"][0]["metrics"]["offered_rps"]["value"] == 10
    of_phase = run.verdict["phases"][0]["metrics"]["latency_p95_ms"]["value"]
    assert kept["scopes"][0]["metrics"]["latency_p95_ms"]["value"] == pytest.approx(of_phase, rel=1e-5)


def test_a_report_can_be_made_again_and_says_the_same(run: Finished) -> None:
    first = (run.folder / "report" / "verdict.json").read_text()
    (run.folder / "report" / "verdict.json").unlink()

    again = subprocess.run(
        [sys.executable, "-m", "reports", str(run.folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert again.returncode == run.code == 0
    assert json.loads((run.folder / "report" / "verdict.json").read_text()) == json.loads(first)
