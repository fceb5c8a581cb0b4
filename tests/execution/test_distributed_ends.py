"""However a distributed run is ended, every arrival is accounted for, the report is there, and no process is left."""

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from plans.run import Ending
from tests.execution.crews import PATIENCE_S, assert_exact, port_of, started, until, worker, workers_of
from tests.execution.harness import Finished, command, finished, locust_of, plan_file, wait_for_load
from tests.target.process import RUNS, Target

SLOW: dict[str, Any] = {
    "mix": {"ChatUser": {"max_tokens": 200}},  # one and a half seconds for an answer: some are always under way
    "phases": [{"name": "long", "rate": 15, "duration": "60s"}],
    "pool": {"drain": "20s"},
}
"""Requests of which some are in flight at every moment."""


def outcomes(run: Finished) -> dict[str, int]:
    """Return how many samples have each outcome."""
    found: dict[str, int] = run.verdict["phases"][0]["accounting"]["outcomes"]
    return {outcome: count for outcome, count in found.items() if count}


def assert_interrupted(run: Finished, said: str) -> None:
    assert run.code == 3, run.out
    assert run.record.ending is Ending.INTERRUPTED
    assert said in run.record.notes
    assert run.verdict["verdict"] == "INVALID"
    assert (run.folder / "report" / "report.html").exists()
    assert "Traceback" not in run.out
    assert_exact(run.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_drains_a_run_of_three_workers_and_sigterm_cuts_it(tmp_path: Path, number: signal.Signals) -> None:
    plan, runs = plan_file(tmp_path, **SLOW), tmp_path / "runs"
    with started(*command(plan, runs, "--workers=3")) as process:
        master = locust_of(process.pid)
        family = [*workers_of(master, 3), master]
        wait_for_load(runs)
        time.sleep(2)
        family += [child for child in master.children(recursive=True) if child not in family]
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE_S)
    run = finished(process.returncode, out, "", runs)
    assert psutil.wait_procs(family, timeout=10)[1] == [], "they outlive the run"
    assert len(family) > 5, "master, workers, platform and monitor"
    assert_interrupted(run, "interrupted by Ctrl-C" if number is signal.SIGINT else "interrupted by SIGTERM")
    assert len(run.record.processes) == 3
    stopped = run.record.phases[0].end_s
    late = [row for row in run.iterations if row["done_s"] > stopped]
    assert late, "some were in flight"
    if number is signal.SIGINT:
        assert outcomes(run).keys() == {"ok"}
    else:
        assert {row["outcome"] for row in late} == {"ok", "cut"} or {row["outcome"] for row in late} == {"cut"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_get_the_signal_together_with_their_master_end_as_it_does(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A terminal gives its Ctrl-C to all processes of a job, and who stops containers stops all of them."""
    plan, runs = plan_file(tmp_path, **SLOW), tmp_path / "runs"
    master = command(plan, runs, "--master", "--expect-workers=2", "--master-bind-port=0")
    with started(*master) as process:
        port = port_of(locust_of(process.pid))
        with worker(port) as one, worker(port) as other:
            wait_for_load(runs)
            time.sleep(2)
            for each in (process, one, other):
                each.send_signal(number)
            out, _ = process.communicate(timeout=PATIENCE_S)
            assert (one.wait(PATIENCE_S), other.wait(PATIENCE_S)) == (0, 0)
    run = finished(process.returncode, out, "", runs)
    assert_interrupted(run, "interrupted by Ctrl-C" if number is signal.SIGINT else "interrupted by SIGTERM")
    if number is signal.SIGINT:
        assert outcomes(run).keys() == {"ok"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_told_to_end_hands_its_arrivals_on_and_spoils_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    phases = [{"name": "long", "rate": 15, "duration": "11s"}]
    plan, runs = plan_file(tmp_path, **SLOW | {"phases": phases}), tmp_path / "runs"
    master = command(plan, runs, "--master", "--expect-workers=2", "--master-bind-port=0")
    with started(*master) as process:
        port = port_of(locust_of(process.pid))
        with worker(port) as leaves, worker(port) as stays:
            wait_for_load(runs)
            time.sleep(1)
            leaves.send_signal(number)
            assert leaves.wait(PATIENCE_S) == 0
            assert process.poll() is None, "the run goes on without it"
            out, _ = process.communicate(timeout=PATIENCE_S)
            assert stays.wait(PATIENCE_S) == 0
    run = finished(process.returncode, out, "", runs)
    assert run.code == 0, out
    assert_exact(run.folder)
    assert outcomes(run) == {"ok": 165}, "none is cut, none is lost"
    left = {p.pid: p.left_s for p in run.record.processes}
    assert left[stays.pid] is None
    assert left[leaves.pid] is not None
    of_pid = {p.worker: p.pid for p in run.record.processes}
    dues = [row["due_s"] for row in run.iterations if of_pid[row["worker"]] == leaves.pid]
    assert 0 < max(dues) < left[leaves.pid] < 11  # type: ignore[operator]  # compared above
    checks = {check["name"]: check for check in run.verdict["health"]}
    assert "left at" in checks["processes that reported"]["measured"]
    assert any("leaves: from" in note for note in run.record.notes)


def test_what_a_worker_made_is_there_for_the_others_until_the_end_and_then_removed(tmp_path: Path) -> None:
    operations = {"list": 40, "create": 20, "details": 20, "search": 0, "compare": 20, "update": 0, "export": 0}
    mix = {"EvaluationRunUser": {"operations": operations}}
    plan, runs = (
        plan_file(tmp_path, mix=mix, phases=[{"name": "only", "rate": 40, "duration": "8s"}]),
        tmp_path / "runs",
    )
    target = Target("--seed-runs", "30")
    try:
        master = command(plan, runs, "--master", "--expect-workers=2", "--master-bind-port=0", f"--host={target.url}")
        with started(*master) as process:
            port = port_of(locust_of(process.pid))
            with worker(port) as leaves, worker(port):
                wait_for_load(runs)
                time.sleep(2)
                leaves.send_signal(signal.SIGTERM)
                assert leaves.wait(PATIENCE_S) == 0
                out, _ = process.communicate(timeout=PATIENCE_S)
        run = finished(process.returncode, out, "", runs)
        assert run.code == 0, out
        assert outcomes(run) == {"ok": 320}, "nobody asks in vain for what the one that left had made"
        made = [row["worker"] for row in run.iterations if row["name"] == "create"]
        assert len(set(made)) == 2, "it had made some"
        assert target.ask("GET", f"{RUNS}?limit=1").json()["total"] == 30
        assert not any("could not be removed" in note for note in run.record.notes)
    finally:
        target.stop()


def test_a_run_that_loses_all_its_workers_ends_by_itself_with_a_report(tmp_path: Path) -> None:
    plan = plan_file(tmp_path, phases=[{"name": "long", "rate": 20, "duration": "60s"}])
    runs = tmp_path / "runs"
    with started(*command(plan, runs, "--workers=2")) as process:
        workers = workers_of(locust_of(process.pid), 2)
        wait_for_load(runs)
        time.sleep(1)
        for one in workers:
            one.kill()
        out, _ = process.communicate(timeout=PATIENCE_S)
    run = finished(process.returncode, out, "", runs)
    assert_interrupted(run, "stopped before its end")
    assert sum(run.record.phases[0].lost.values()) > 20
    failed = [check["name"] for check in run.verdict["health"] if not check["passed"]]
    assert failed == ["arrivals lost with workers"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_master_that_waits_for_workers_can_be_ended(tmp_path: Path, number: signal.Signals) -> None:
    plan, runs = plan_file(tmp_path), tmp_path / "runs"
    with started(*command(plan, runs, "--master", "--expect-workers=2", "--master-bind-port=0")) as process:
        master = locust_of(process.pid)
        with worker(port_of(master)) as there:
            until(lambda: len(master.net_connections("tcp")) > 1, "the worker does not connect")
            time.sleep(0.5)
            process.send_signal(number)
            out, _ = process.communicate(timeout=15)
            assert there.wait(15) == 0
    assert process.returncode == 3, out
    assert "nothing was run" in out
    assert "Traceback" not in out
    assert list(runs.iterdir()) == []
