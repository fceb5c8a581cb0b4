"""Do requests arrive when they should? Seen from the server, how far each is off an even grid."""

import os
import subprocess
from pathlib import Path

import numpy as np

from benchmarks import peer_tools
from benchmarks.peer_tools import Load
from benchmarks.runs import ENVIRONMENT
from benchmarks.table import Table
from calibration.process import Floats, KnownServer, known_server, pin
from calibration.stamps import percentile

_CASES = (Load(50, 60, 10), Load(200, 30, 10))
_P99_MS, _MAX_MS = 0.7, 5.0
_BARE = "a bare client on aiohttp + uvloop"


def off_grid_ms(arrivals: Floats, rate: float) -> Floats:
    """Return how far arrivals are off a grid of `rate` per second, sorted; the grid lies where their median does."""
    off = np.sort(arrivals) - np.arange(len(arrivals)) / rate
    result: Floats = np.sort(np.abs(off - np.median(off)) * 1000)
    return result


def words(off: Floats) -> str:
    """Return p50, p99 and the maximum."""
    return " / ".join(f"{percentile(off, share):.2f}" for share in (0.5, 0.99, 1))


def measure(scratch: Path) -> Table:
    """Streams of 10 events, constant 50/s for a minute and 200/s for half of one; beside us those that are there."""
    table = Table("Arrivals at the server: off their grid, ms, p50 / p99 / max")
    for load in _CASES:
        for name, run in (("Proofload", _ours), (_BARE, _bare), ("AIPerf", _aiperf)):
            folder = scratch / f"{name}-{load.rate}"
            folder.mkdir()
            with known_server(core=1, first_ms=20, gap_ms=9.7, events=load.events) as server:
                if not run(folder, server, load):
                    table.add(f"{load.rate}/s: {name}", "not installed here: make peers")
                    continue
                # What a run asks before its load is no part of it.
                off = off_grid_ms(server.log().begun[-load.count :], load.rate)
            what = f"{load.rate}/s for {load.seconds} s: {name}, {len(off)} of {load.count} arrivals"
            held = percentile(off, 0.99) < _P99_MS and percentile(off, 1) < _MAX_MS and len(off) == load.count
            promise = (f"p99 < {_P99_MS:g}, max < {_MAX_MS:g}", held) if name == "Proofload" else ("", None)
            table.add(what, words(off), *promise)
    return table


def _ours(folder: Path, server: KnownServer, load: Load) -> bool:
    tool = peer_tools.proofload(folder, server, load)
    return _run(tool.command, folder, tool.environment, cores=(0,))


def _bare(folder: Path, server: KnownServer, load: Load) -> bool:
    python = peer_tools.FOLDER / "sdk" / "bin" / "python"
    program = Path(__file__).parent / "programs" / "paced_streams.py"
    command = [str(python), str(program), server.url, str(load.rate), str(load.seconds)]
    return python.exists() and _run(command, folder, {}, cores=(0,))


def _aiperf(folder: Path, server: KnownServer, load: Load) -> bool:
    if not peer_tools.is_installed("aiperf"):
        return False
    tool = peer_tools.aiperf(folder, server, load)
    return _run(tool.command, folder, tool.environment, cores=tuple(range(os.cpu_count() or 1)))


def _run(command: list[str], folder: Path, environment: dict[str, str], cores: tuple[int, ...]) -> bool:
    subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT | environment,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: pin(*cores),
    )
    return True
