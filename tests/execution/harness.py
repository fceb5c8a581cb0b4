"""Runs Proofload as a user does, in processes, and reads what it leaves behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import yaml

from plans.run import RunRecord
from samples.segments import SAMPLE_SCHEMA, read_table, sample_files

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
LIMIT_S = 100
LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfile.py")]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def record(self) -> RunRecord:
        return RunRecord.read(self.folder)

    @property
    def verdict(self) -> dict[str, Any]:
        text = (self.folder / "report" / "verdict.json").read_text(encoding="utf-8")
        verdict: dict[str, Any] = json.loads(text)
        return verdict

    @property
    def samples(self) -> list[dict[str, Any]]:
        table: pa.Table = read_table(sample_files(self.folder), SAMPLE_SCHEMA)
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    @property
    def iterations(self) -> list[dict[str, Any]]:
        return [row for row in self.samples if row["iteration"]]

    def states(self) -> dict[str, str]:
        """Return the state of each criterion by its id."""
        return {c["id"]: c["state"] for c in self.verdict["criteria"]}


def plan_file(folder: Path, **keys: Any) -> Path:
    """Write a plan with these keys over a small default, and return its path."""
    plan = {
        "id": "TEST",
        "title": "a test",
        "mix": {"EvaluationRunUser": {"operations": dict.fromkeys(_OTHER_OPERATIONS, 0)}},
        "phases": [{"name": "only", "rate": 20, "duration": "3s"}],
        "criteria": [{"metric": "success_rate", "at_least": 0.99, "id": "ok"}],
        # Tests run on busy machines; those about the generator's own health ask for the real limits.
        "generator": {"lag_p99_ms": 2000, "loop_lag_p99_ms": 2000},
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan | keys), encoding="utf-8")
    return path


_OTHER_OPERATIONS = ("create", "details", "search", "compare", "update", "export")


def command(plan: Path, runs: Path, *options: str) -> list[str]:
    """Return the command of a run."""
    return [sys.executable, str(ROOT / "certify.py"), str(plan), f"--runs={runs}", *options]


def certify(plan: Path, *options: str, environment: Mapping[str, str] | None = None, **popen: Any) -> Finished:
    """Run a plan to its end, with further variables of the environment."""
    runs = plan.parent / "runs"
    done = subprocess.run(
        command(plan, runs, *options),
        capture_output=True,
        text=True,
        env=ENVIRONMENT | dict(environment or {}),
        timeout=LIMIT_S,
        check=False,
        **popen,
    )
    return finished(done.returncode, done.stdout, done.stderr, runs)


def finished(code: int, out: str, err: str, runs: Path) -> Finished:
    """Return the newest run below `runs`."""
    folders = sorted(runs.iterdir(), key=lambda folder: folder.stat().st_mtime) if runs.exists() else []
    return Finished(code, out, err, folders[-1] if folders else runs)


@contextmanager
def serving(*options: str, **popen: Any) -> Iterator[str]:
    """Start the small server, and yield its URL; `popen` are further arguments of its process."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.execution.server", *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **popen,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            process.wait(10)


@contextmanager
def pushing() -> Iterator[str]:
    """Start the WebSocket server of the clients' tests, and yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.clients.websocket_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.stdin.close()
            process.wait(10)


def locust_of(pid: int) -> psutil.Process:
    """Return the Locust process that certify.py starts, as soon as there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if "locust" in child.cmdline():
                return child
        time.sleep(0.05)
    raise TimeoutError("certify.py did not start Locust")


def wait_for_load(runs: Path) -> Path:
    """Return the run folder as soon as there are samples in it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for file in runs.glob("*/samples-*.arrow"):
            if file.stat().st_size > 0:
                return file.parent
        time.sleep(0.05)
    raise TimeoutError("no samples were written")


def report_by_hand(runs: Path) -> Finished:
    """Make the report as a person would after a crash."""
    folder = next(iter(runs.iterdir()))
    done = subprocess.run(
        [sys.executable, "-m", "reports", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr, folder)
