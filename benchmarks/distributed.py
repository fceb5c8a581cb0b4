"""What the master of a distributed run costs: 20,000 samples/s through the real channel, and the segments of a soak."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import Table

_ROOT = Path(__file__).resolve().parent.parent
_WORKERS, _ROWS, _SECONDS = 4, 5000, 30
_MOST_CORES, _MOST_MB = 1.0, 500.0
_SOAK_S, _SOAK_RATE, _GROWTH = 4 * 3600, 50, 0.05


class _Master:
    """The master's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def figures(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        figures: dict[str, Any] = json.loads(self._line())
        return figures


@contextmanager
def _master(folder: Path) -> Iterator[_Master]:
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.programs.segment_master", str(folder)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Master(process)
        finally:
            process.kill()


@contextmanager
def _workers(master: _Master, rows: int, count: int, pause: float) -> Iterator[list["subprocess.Popen[bytes]"]]:
    arguments = [str(value) for value in (master.port, rows, count, pause)]
    command = [sys.executable, "-m", "benchmarks.programs.segment_worker", *arguments]
    processes = [subprocess.Popen(command, cwd=_ROOT) for _ in range(_WORKERS)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(scratch: Path) -> Table:
    """CPU and memory of the master while segments come at a rate, and its memory over those of four hours at once."""
    table = Table(f"The master of {_WORKERS} workers")
    with _master(scratch / "rate") as master, _workers(master, _ROWS, _SECONDS, 1.0) as workers:
        while master.figures()["rows"] == 0:
            time.sleep(0.2)
        before, begun, most = master.figures(), time.monotonic(), 0
        while time.monotonic() < begun + _SECONDS * 0.7:
            time.sleep(1)
            most = max(most, master.figures()["rss"])
        after, took = master.figures(), time.monotonic() - begun
        _finish(workers)
        total = master.figures()["rows"]
    rate = (after["rows"] - before["rows"]) / took
    cores, megabytes = (after["cpu_s"] - before["cpu_s"]) / took, most / 1e6
    wanted = _WORKERS * _ROWS
    table.add("samples/s taken in", f"{rate:,.0f}", f"≥ {0.95 * wanted:,.0f}", rate >= 0.95 * wanted)
    table.add("samples on the master's disk", f"{total:,}", f"{wanted * _SECONDS:,}", total == wanted * _SECONDS)
    table.add("CPU of the master meanwhile", f"{cores:.2f} cores", f"< {_MOST_CORES:g}", cores < _MOST_CORES)
    table.add("most memory of the master", f"{megabytes:.0f} MB", f"< {_MOST_MB:g} MB", megabytes < _MOST_MB)
    size = sum(file.stat().st_size for file in (scratch / "rate").glob("samples-*.arrow"))
    table.add(f"on the wire and on disk, {_ROWS:,} samples in a parcel", f"{size / total:.0f} bytes a sample")
    _soak(scratch / "soak", table)
    return table


def _finish(workers: list["subprocess.Popen[bytes]"]) -> None:
    for worker in workers:
        worker.wait(300)


def _soak(folder: Path, table: Table) -> None:
    """Send the segments of four hours at 50 RPS as fast as they are taken."""
    rows = round(_SOAK_RATE / _WORKERS)
    wanted, memory = _WORKERS * rows * _SOAK_S, []
    begun = time.monotonic()
    with _master(folder) as master, _workers(master, rows, _SOAK_S, 0.0) as workers:
        while any(worker.poll() is None for worker in workers):
            figures = master.figures()
            memory.append((figures["rows"], figures["rss"]))
            time.sleep(0.5)
        total = master.figures()["rows"]
    warm = next(rss for rows, rss in memory if rows >= wanted / 10)
    growth = memory[-1][1] / warm - 1
    text = f"{total:,} samples in {_WORKERS * _SOAK_S:,} segments, in {time.monotonic() - begun:.0f} s"
    table.add("the segments of four hours at 50 RPS", text, f"{wanted:,}", total == wanted)
    words = f"{growth:+.1%}, from {warm / 1e6:.0f} MB after a tenth of them to {memory[-1][1] / 1e6:.0f} MB"
    table.add("growth of the master's memory meanwhile", words, f"< {_GROWTH:.0%}", growth < _GROWTH)
    size = sum(file.stat().st_size for file in folder.glob("samples-*.arrow"))
    table.add(f"on the wire and on disk, {rows} samples in a parcel", f"{size / total:.0f} bytes a sample")
