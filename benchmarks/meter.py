"""Measures a client from outside: its CPU and memory by the system, its requests and events by the server."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.runs import ENVIRONMENT, ROOT
from calibration.process import KnownServer, pin

_START_LIMIT_S, _END_LIMIT_S = 120.0, 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a client did, and what it took, between two moments in the middle of its run."""

    cpu_s: float
    seconds: float
    requests: float
    events: float
    rss: float
    """Resident bytes at the end of the window, of all its processes."""
    proportional: float
    """The same with shared pages divided among the processes; what the whole client takes."""
    processes: int
    first_request_s: float
    """From the start of the process to the first request that the server saw."""

    @property
    def request_us(self) -> float:
        """CPU time of one request, µs."""
        return 1e6 * self.cpu_s / self.requests

    @property
    def event_us(self) -> float:
        """CPU time of one streamed event, µs; what the requests themselves cost is in it."""
        return 1e6 * self.cpu_s / self.events


def watch(
    command: list[str],
    server: KnownServer,
    *,
    settle: float,
    seconds: float,
    streams: int = 0,
    core: int | None = 0,
    cwd: Path = ROOT,
    environment: dict[str, str] | None = None,
) -> Cost:
    """Run a client on one core, and measure it for `seconds`, beginning `settle` after its first request.

    With `streams`, after it has begun as many streams: a run asks for one before its load.
    """
    key = "streams" if streams else "requests"
    before = server.count()[key]
    server.forget()
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=ENVIRONMENT | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=None if core is None else lambda: pin(core),  # noqa: PLW1509 - before any thread
    )
    try:
        first = 0.0
        while (count := server.count())[key] < before + max(streams, 1):
            first = first or (count["now"] - began if count[key] > before else 0.0)
            if process.poll() is not None or time.monotonic() > began + _START_LIMIT_S:
                raise RuntimeError(f"no request came from {' '.join(command[:6])} ...")
            time.sleep(0.02)
        first = first or count["now"] - began
        time.sleep(settle)
        start, cpu = server.count(), _cpu(process.pid)
        time.sleep(seconds)
        end, spent = server.count(), _cpu(process.pid) - cpu
        return _cost(process.pid, start, end, spent, first)
    finally:
        _end(process)


def _cost(pid: int, start: dict[str, float], end: dict[str, float], spent: float, first: float) -> Cost:
    tree = _tree(pid)
    memory = [one.memory_full_info() for one in tree]
    return Cost(
        cpu_s=spent,
        seconds=end["now"] - start["now"],
        requests=end["requests"] - start["requests"],
        events=end["events"] - start["events"],
        rss=float(sum(one.rss for one in memory)),
        proportional=float(sum(getattr(one, "pss", one.rss) for one in memory)),
        processes=len(tree),
        first_request_s=first,
    )


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process and all it started, those that have ended included."""
    total = 0.0
    for one in _tree(pid):
        times = one.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        for one in reversed(_tree(process.pid)):
            one.kill()
        process.wait()


def python(*arguments: str) -> list[str]:
    """Return a command of this Python."""
    return [sys.executable, *arguments]
