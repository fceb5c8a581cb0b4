"""How exact is the latency of messages on many WebSockets, and what does a held connection cost?"""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.runs import nearest_rank, readings_of, run_plan, samples_of
from benchmarks.table import Table

_FEW, _CASES = 10, (500, 1000)
_ERROR_MS, _SECONDS = 2.0, 15


def measure(scratch: Path) -> Table:
    """Held connections with 2 messages/s each, on the embedded platform, which records when it sends each message.

    Sender and receiver are on one machine, and a message cannot arrive before it was sent: what is measured is the
    error plus the true time on the way, so that the error is smaller than what stands here.
    """
    table = Table("WebSocket: message latency from the server's send stamp, p50 / p95 / max in ms")
    memory = _memory(_run(scratch, _FEW))
    for connections in _CASES:
        folder = _run(scratch, connections)
        frame = samples_of(folder)
        pushed = frame[frame["latency_source"] == "shared_clock"]
        latency = pushed["latency_ms"]
        p50, p95 = (nearest_rank(latency, share) for share in (0.5, 0.95))
        held = p95 < _ERROR_MS and _delivered(pushed)
        what = f"{connections} connections x 2/s, {len(pushed)} messages"
        table.add(what, f"{p50:.2f} / {p95:.2f} / {latency.max():.1f}", f"p95 < {_ERROR_MS:g}, all delivered", held)
        kilobytes = (_memory(folder) - memory) / (connections - _FEW) / 1e3
        table.add(f"memory of one of {connections} connections, its samples included", f"{kilobytes:.0f} kB")
    return table


def _run(scratch: Path, connections: int) -> Path:
    plan = {
        "id": "BENCH",
        "title": "benchmark",
        "mix": {"WebSocketUser": {"connections": connections, "rate": 2}},
        "phases": [{"name": "only", "users": 1, "duration": _SECONDS}],
        "criteria": [{"metric": "delivery_rate", "at_least": 1}],
    }
    return run_plan(scratch, plan, cores=(0, 1))


def _memory(folder: Path) -> float:
    readings = readings_of(folder)
    mine = readings[(readings["source"] == "generator") & (readings["metric"] == "rss_bytes")]
    return float(mine["value"].max())


def _delivered(pushed: pd.DataFrame) -> bool:
    """Return True when the numbers of every connection are without a gap."""
    steps = pushed.sort_values("sequence").groupby("connection")["sequence"].diff().dropna()
    return bool(np.all(steps == 1))
