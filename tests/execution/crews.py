"""Masters and workers as processes, and what must hold of every run that they make together."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from plans.run import RunRecord
from samples.segments import SAMPLE_SCHEMA, read_table, sample_files
from shapes.arrivals import schedule
from tests.execution.harness import ENVIRONMENT, ROOT

PATIENCE_S = 90


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; `what` says what is wrong when it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def workers_of(master: psutil.Process, count: int) -> list[psutil.Process]:
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


@contextmanager
def worker(port: int, *options: str, code: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Start a worker by itself, as on another machine, and end it."""
    arguments = ["-f", str(code / "locustfile.py"), "--worker", "--master-host=127.0.0.1", f"--master-port={port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", *arguments, *options],
        cwd=code,
        env=ENVIRONMENT | {"PYTHONPATH": str(code)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def port_of(master: psutil.Process) -> int:
    """Return the port that a master listens to its workers on, as soon as it does."""
    found: list[int] = []

    def listens() -> bool:
        found[:] = [c.laddr.port for c in master.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        return bool(found)

    until(listens, "the master opens no port")
    return found[0]


def assert_exact(folder: Path) -> None:
    """Every arrival that was due until the end was made once at its time, or is in the count of those that were lost.

    What every worker says of its part, and what lies on the disk, is the same.
    """
    record = RunRecord.read(folder)
    rows = read_table(sample_files(folder), SAMPLE_SCHEMA).to_pylist()
    end = max(phase.end_s for phase in record.phases if phase.reached)
    planned = schedule(record.plan, record.seed)
    due = dict(zip(planned.indices.tolist(), planned.times.tolist(), strict=True))
    made = [row for row in rows if row["iteration"] and row["arrival"] is not None]
    found = {row["arrival"]: row["due_s"] for row in made}
    lost = sum(sum(phase.lost.values()) for phase in record.phases)
    assert len(found) == len(made), "none is made twice"
    assert found.items() <= due.items(), "none beside the plan, and each at its time"
    # A stop is heard of a moment later: what comes due meanwhile is made, too.
    assert sum(t < end for t in found.values()) + lost == sum(t < end for t in due.values())
    assert sum(sum(phase.scheduled.values()) for phase in record.phases) == sum(row["iteration"] for row in rows)
    for process in record.processes:
        on_disk = sum(row["worker"] == process.worker for row in rows)
        assert process.begun <= process.recorded == process.written == on_disk
        assert process.write_errors == []
