"""Real processes to watch, and the monitor as the process that it is in a run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from samples.segments import READING_SCHEMA, read_table

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


def wait_for(what: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Monitor:
    """A running monitor."""

    process: subprocess.Popen[str]
    folder: Path
    origin: float
    ready: dict[str, object] = field(default_factory=dict)

    def now(self) -> float:
        return time.monotonic() - self.origin

    def stop(self) -> dict[str, float]:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return dict(json.loads(output.splitlines()[-1]))

    def readings(self) -> list[dict[str, object]]:
        table: pa.Table = read_table([self.folder / str(self.ready["file"])], READING_SCHEMA)
        return list(table.to_pylist())

    def values(self, source: str, metric: str, after: float = -1e9) -> list[float]:
        return [
            float(str(reading["value"]))
            for reading in self.readings()
            if reading["source"] == source and reading["metric"] == metric and float(str(reading["t_s"])) > after
        ]


StartMonitor = Callable[..., Monitor]
StartChild = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[StartMonitor]:
    started: list[Monitor] = []

    def start(*options: object, origin: float | None = None, interval: float = 0.2) -> Monitor:
        origin = time.monotonic() if origin is None else origin
        command = [sys.executable, "-m", "monitoring", "--folder", tmp_path, "--origin", origin, "--interval", interval]
        process = subprocess.Popen(
            [str(part) for part in (*command, *options)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(Monitor(process, tmp_path, origin))
        assert process.stdout is not None
        started[-1].ready = json.loads(process.stdout.readline())
        return started[-1]

    yield start
    for one in started:
        end(one.process)


@pytest.fixture
def child() -> Iterator[StartChild]:
    """Start Python code as a process; it is ready when it has printed a line."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        return process

    yield start
    for process in started:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(timeout=PATIENCE_S)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
