"""Starts the server with known times on a core of its own, and reads its log."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
Floats = NDArray[np.float64]


def cores() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin(*numbers: int) -> None:
    """Keep this process, and those that it starts, on some of its cores; does nothing where that cannot be."""
    allowed = cores()
    if hasattr(os, "sched_setaffinity") and len(allowed) > max(numbers):
        os.sched_setaffinity(0, {allowed[number] for number in numbers})


@dataclass(frozen=True, slots=True)
class Log:
    """What the server saw and did, `time.monotonic()` seconds."""

    arrivals: Floats
    """The moment at which each request was read, in order."""
    begun: Floats
    """The moment at which the request of each stream was read, from stream 1 on; never dropped."""
    sends: Floats
    """The moment just before each event was handed to the socket, in order."""
    intended: Floats
    """When it was to be sent."""
    numbers: NDArray[np.int64]
    """The stream that it belongs to."""

    def streams(self) -> dict[int, Floats]:
        """Return the moments of each stream's events, by its number."""
        if not len(self.numbers):
            return {}
        order = np.argsort(self.numbers, kind="stable")
        numbers, starts = np.unique(self.numbers[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(self.sends[order], starts[1:]), strict=True))

    def error_ms(self) -> Floats:
        """Return how late each event was sent: the server's own error, sorted."""
        error: Floats = np.sort((self.sends - self.intended) * 1000)
        return error


class KnownServer:
    """The server's process, seen from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        self.url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        self.pid = process.pid

    def count(self) -> dict[str, float]:
        """Return `requests`, `streams` and `events` so far, `cpu_s` of the server, and `now`."""
        return self._ask("count")

    def forget(self) -> None:
        """Drop the log."""
        self._ask("forget")

    def log(self) -> Log:
        """Return what was logged since the start, or since it was dropped."""
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "log.npz"
            self._ask(f"dump {file}")
            with np.load(file) as arrays:
                return Log(**{name: arrays[name] for name in ("arrivals", "begun", "sends", "intended", "numbers")})

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def known_server(*, core: int | None = 1, **options: float) -> Iterator[KnownServer]:
    """Start the server with options such as `first_ms=50`, kept on one core; it ends with the block."""
    alone = core is not None and len(cores()) > core
    arguments = [f"--own-core={alone:d}"]
    arguments += [f"--{name.replace('_', '-')}={value:g}" for name, value in options.items()]
    with subprocess.Popen(
        [sys.executable, "-m", "calibration.server", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=None if core is None else lambda: pin(core),  # noqa: PLW1509 - before any thread
    ) as process:
        try:
            yield KnownServer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)
