"""All parts of a platform at once, and the commands for each of them."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from plans.loading import load
from tests.execution.harness import ENVIRONMENT, ROOT, finished

SMALL = {"CLIENTS": "5", "CONCURRENT": "4", "RUNS": "120", "DURATION": "4s"}


def make(target: str, runs: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a target with the interpreter of the tests, without installing anything."""
    command = ["make", "--old-file=.venv/run.stamp", target, f"BIN={Path(sys.executable).parent}"]
    command += [f"{name}={value}" for name, value in variables.items()]
    environment = ENVIRONMENT | {"PROOFLOAD_RUNS": str(runs)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_every_kind_of_traffic_goes_under_one_verdict_by_one_command(tmp_path: Path) -> None:
    done = make("ci", tmp_path, **SMALL)
    run = finished(done.returncode, done.stdout, done.stderr, tmp_path)
    # Latencies are those of a busy machine; what was done, and that nothing failed, is not.
    broken = [c for c in run.verdict["criteria"] if c["state"] == "fail" and "latency" not in c["metric"]]
    assert [c["metric"] for c in broken if not c["metric"].startswith("ttft")] == [], run.out
    protocols = Counter(row["protocol"] for row in run.samples)
    assert set(protocols) == {"llm", "http", "websocket", "sql"}
    scheduled = run.record.phases[0].scheduled
    assert set(scheduled) == {"ChatUser", "EvaluationRunUser", "DatabaseUser"}
    assert sum(scheduled.values()) == 120
    assert len({row["connection"] for row in run.samples if row["name"] == "connect"}) == 5
    assert run.record.plan.phases[1].load.value == 4
    # make turns every failure into a 2 of its own.
    assert (done.returncode == 0) == (run.verdict["verdict"] == "PASS")


@pytest.mark.parametrize("name", ["api", "websocket", "database", "all"])
def test_the_variables_of_the_commands_reach_the_plans(name: str) -> None:
    path = ROOT / "plans" / "eval" / f"{name}.yaml"
    given = {"CLIENTS": "7", "CONCURRENT": "9", "RUNS": "321", "DURATION": "11s", "CLEAN": "false"}
    usual, asked = load(path, {}), load(path, given)

    assert usual.phases[-1].duration >= 60
    assert asked.phases[-1].duration == 11
    if name != "websocket":
        assert asked.phases[-1].load.value == 9
    if usual.mix.WebSocketUser is not None and asked.mix.WebSocketUser is not None:
        assert (usual.mix.WebSocketUser.connections >= 50, asked.mix.WebSocketUser.connections) == (True, 7)
    if usual.mix.DatabaseUser is not None and asked.mix.DatabaseUser is not None:
        assert (usual.mix.DatabaseUser.rows, usual.mix.DatabaseUser.clean) == (1000, True)
        assert (asked.mix.DatabaseUser.rows, asked.mix.DatabaseUser.clean) == (321, False)


def test_a_wrong_value_of_a_variable_is_refused_before_any_load(tmp_path: Path) -> None:
    done = make("database", tmp_path, RUNS="many", DB="postgresql://tester@127.0.0.1:1/none")

    assert "mix.DatabaseUser.rows must be a whole number, got 'many'" in done.stderr
    assert "Error 2" in done.stderr
    assert not any(tmp_path.iterdir())
