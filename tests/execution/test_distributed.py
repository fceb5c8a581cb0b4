"""Runs of a master and workers, on real traffic: every arrival once, at its time, whoever makes it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plans.loading import load
from plans.run import Ending
from shapes.arrivals import schedule
from tests.execution.harness import (
    ENVIRONMENT,
    ROOT,
    Finished,
    certify,
    command,
    finished,
    locust_of,
    plan_file,
    report_by_hand,
    serving,
    wait_for_load,
)

PATIENCE_S = 90


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def assert_every_arrival_once_at_its_time(run: Finished, plan: Path) -> None:
    planned = schedule(load(plan), run.record.seed)
    made = {row["arrival"]: row["due_s"] for row in run.iterations if row["arrival"] is not None}
    assert made == dict(zip(planned.indices.tolist(), planned.times.tolist(), strict=True))
    assert len([row for row in run.iterations if row["arrival"] is not None]) == len(planned)
    assert sum(sum(phase.scheduled.values()) for phase in run.record.phases) == len(run.iterations)


MIXED: dict[str, Any] = {
    "mix": {
        "ChatUser": {"share": 0.5, "max_tokens": 8, "canaries": 0.1},
        "EvaluationRunUser": {"share": 0.5},
        "WebSocketUser": {"connections": 5},
    },
    "arrivals": "poisson",
    "phases": [
        {"name": "open", "rate": 25, "duration": "2s"},
        {"name": "closed", "users": 6, "think": "200ms", "duration": "2s"},
        {"name": "again", "rate": 15, "duration": "2s"},
    ],
}


@pytest.mark.parametrize("workers", [2, 4])
def test_the_union_of_what_workers_make_is_the_planned_schedule_to_the_last_sample(
    tmp_path: Path, workers: int
) -> None:
    plan = plan_file(tmp_path, **MIXED)
    run = certify(plan, f"--workers={workers}", "--seed=7")
    assert run.code == 0, run.out + run.err
    assert_every_arrival_once_at_its_time(run, plan)
    processes = run.record.processes
    assert len(processes) == workers
    assert sum(p.recorded for p in processes) == sum(p.written for p in processes) == len(run.samples)
    assert {row["worker"] for row in run.iterations} == {p.worker for p in processes}
    assert all(p.clock_uncertainty_s is not None and abs(p.clock_offset_s or 0) < 1 for p in processes)
    connects = [row for row in run.samples if row["name"] == "connect"]
    assert len(connects) == 5, "connections are divided, not doubled"
    assert len(list(run.folder.glob("answers-*.json"))) == workers
    assert len(list(run.folder.glob("resources-generator-*.arrow"))) == workers
    users = Counter(row["worker"] for row in run.iterations if row["phase"] == "closed")
    assert len(users) == workers


def _workers_of(master: psutil.Process, count: int) -> list[psutil.Process]:
    """Return the workers that a master starts, as soon as they are there."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = [child for child in master.children() if "--worker" in child.cmdline()]
        return len(found) == count

    until(there, "the workers are not started")
    return found


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start certify.py, and end it with all that it started."""
    with subprocess.Popen(
        arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # Locust ends with it, and the workers with Locust


def test_what_killed_and_frozen_workers_were_to_make_is_made_by_the_others_or_counted_as_lost(tmp_path: Path) -> None:
    phases = [{"name": "one", "rate": 30, "duration": "15s"}, {"name": "two", "rate": 30, "duration": "4s"}]
    generator = {"lag_p99_ms": 10_000, "loop_lag_p99_ms": 10_000, "lost": 0.9}
    plan = plan_file(tmp_path, phases=phases, generator=generator)
    runs = tmp_path / "runs"
    with started(*command(plan, runs, "--workers=3")) as process:
        killed, frozen, _ = _workers_of(locust_of(process.pid), 3)
        wait_for_load(runs)
        killed.kill()
        frozen.suspend()
        time.sleep(8)  # longer than a lease, and back before the next phase
        frozen.resume()
        out, _ = process.communicate(timeout=PATIENCE_S)
    run = finished(process.returncode, out, "", runs)
    assert run.code == 0, out
    planned = schedule(load(plan), 1)
    arrivals = [row["arrival"] for row in run.iterations]
    assert len(arrivals) == len(set(arrivals)), "none is made twice"
    lost = sum(sum(phase.lost.values()) for phase in run.record.phases)
    assert len(arrivals) + lost == len(planned)
    away = {p.pid: p.away for p in run.record.processes}
    assert away[killed.pid][-1].until_s is None
    assert away[frozen.pid][0].until_s is not None
    own = {p.worker: p.pid for p in run.record.processes}
    assert {own[row["worker"]] for row in run.iterations if row["phase"] == "two"} >= {frozen.pid}
    checks = {check["name"]: check for check in run.verdict["health"]}
    assert checks["arrivals lost with workers"]["passed"]
    assert "lost at" in checks["processes that reported"]["measured"]


def test_losses_beyond_the_plans_limit_make_a_run_invalid_and_one_without_a_master_is_readable(tmp_path: Path) -> None:
    plan = plan_file(tmp_path, phases=[{"name": "only", "rate": 30, "duration": "60s"}])
    runs = tmp_path / "runs"
    with started(*command(plan, runs, "--workers=2")) as process:
        master = locust_of(process.pid)
        workers = _workers_of(master, 2)
        wait_for_load(runs)
        time.sleep(1)
        master.kill()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    until(lambda: not any(worker.is_running() for worker in workers), "the workers outlive their master")
    run = report_by_hand(runs)
    assert run.code == 3
    assert run.record.ending is Ending.RUNNING
    assert len(run.samples) > 0


@contextmanager
def worker(port: int, code: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    arguments = ["-f", str(code / "locustfile.py"), "--worker", "--master-host=127.0.0.1", f"--master-port={port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", *arguments],
        cwd=code,
        env=ENVIRONMENT | {"PYTHONPATH": str(code)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def other_code(folder: Path) -> Path:
    """Return a copy of the program in which one comment differs."""
    for name in ("clients", "data", "execution", "monitoring", "plans", "samples", "scenarios", "shapes"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "locustfile.py", folder / "locustfile.py")
    (folder / "samples" / "sample.py").write_text(
        (ROOT / "samples" / "sample.py").read_text(encoding="utf-8") + "# another version\n", encoding="utf-8"
    )
    return folder


def port_of(master: psutil.Process) -> int:
    """Return the port that a master listens to its workers on, as soon as it does."""
    found: list[int] = []

    def listens() -> bool:
        found[:] = [c.laddr.port for c in master.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        return bool(found)

    until(listens, "the master opens no port")
    return found[0]


def test_workers_come_from_elsewhere_and_late_and_those_of_another_version_are_refused(tmp_path: Path) -> None:
    # The late one has ten seconds and more to come into being, on a busy machine.
    phases = [{"name": "first", "rate": 20, "duration": "14s"}, {"name": "second", "rate": 20, "duration": "4s"}]
    plan, runs = plan_file(tmp_path, phases=phases), tmp_path / "runs"
    master = command(plan, runs, "--master", "--expect-workers=1", "--master-bind-port=0")
    with serving() as url, started(*master, f"--host={url}") as process:
        port = port_of(locust_of(process.pid))
        with worker(port) as first, worker(port, other_code(tmp_path / "other")) as other:
            wait_for_load(runs)
            with worker(port) as late:
                out, _ = process.communicate(timeout=PATIENCE_S)
        said = other.stderr.read() if other.stderr is not None else ""
    run = finished(process.returncode, out, "", runs)
    assert run.code == 0, out
    assert other.returncode == 2
    assert "refused by the master: it runs another version" in said
    assert_every_arrival_once_at_its_time(run, plan)
    by_pid = {p.pid: p for p in run.record.processes}
    assert by_pid.keys() == {first.pid, late.pid}
    phases_of_late = {row["phase"] for row in run.iterations if row["worker"] == by_pid[late.pid].worker}
    assert phases_of_late == {"second"}
    assert by_pid[late.pid].joined_s > 0
    assert os.path.exists(run.folder / "report" / "report.html")
