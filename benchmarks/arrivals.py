"""Do requests arrive when they should? Seen from the server, how far each is off an even grid."""

from pathlib import Path

import numpy as np

from benchmarks.streaming import stream_plan, streamed
from benchmarks.table import Table
from calibration.process import Floats
from calibration.stamps import percentile

_CASES = ((50, 60), (200, 30))
_P99_MS, _MAX_MS = 0.7, 5.0


def off_grid_ms(arrivals: Floats, rate: float) -> Floats:
    """Return how far arrivals are off a grid of `rate` per second, sorted; the grid lies where their median does."""
    off = np.sort(arrivals) - np.arange(len(arrivals)) / rate
    result: Floats = np.sort(np.abs(off - np.median(off)) * 1000)
    return result


def words(off: Floats) -> str:
    """Return p50, p99 and the maximum."""
    return " / ".join(f"{percentile(off, share):.2f}" for share in (0.5, 0.99, 1))


def measure(scratch: Path) -> Table:
    """Streams of 10 events, constant 50/s for a minute and 200/s for half of one."""
    table = Table("Arrivals at the server: off their grid, ms, p50 / p99 / max")
    for rate, seconds in _CASES:
        plan = stream_plan([{"name": "only", "rate": rate, "duration": seconds}])
        _, log = streamed(scratch, plan, first_ms=20, gap_ms=9.7, events=10)
        # Before the load, a run asks for one stream to learn whether the server tells its usage.
        off = off_grid_ms(log.arrivals[-rate * seconds :], rate)
        held = percentile(off, 0.99) < _P99_MS and percentile(off, 1) < _MAX_MS and len(off) == rate * seconds
        what = f"{rate}/s for {seconds} s, {len(off)} of {rate * seconds} arrivals"
        table.add(what, words(off), f"p99 < {_P99_MS:g}, max < {_MAX_MS:g}", held)
    return table
