"""How much memory does the load generator take: per idle user, per stream, and as a whole?"""

from pathlib import Path
from typing import Any

from benchmarks.clients import closed_plan
from benchmarks.meter import Cost, watch
from benchmarks.runs import constant_plan, readings_of, run_command, run_plan, samples_of
from benchmarks.streaming import stream_plan
from benchmarks.table import Table
from calibration.process import known_server
from samples.live import LONGEST_S

_FEW, _MANY = 100, 2100
_CLIENT_MB, _FIRST_S, _GROWTH = 120, 2.0, 0.05
_REQUESTS = 1_500_000
_WARM_S = LONGEST_S + 10
"""The live windows hold the samples of their length: memory is to grow until the longest is full, and no further."""


def measure(scratch: Path) -> Table:
    """Differences between two runs; the client as a whole at 50 streams/s, from its start to its first request."""
    table = Table("Memory of the load generator, and its start")
    idle = [_idle(scratch, users) for users in (_FEW, _MANY)]
    table.add("an idle user", f"{(idle[1].rss - idle[0].rss) / (_MANY - _FEW) / 1e3:.1f} kB")
    held = [_streaming(scratch, streams).rss for streams in (_FEW, _MANY)]
    table.add("a user with an open stream", f"{(held[1] - held[0]) / (_MANY - _FEW) / 1e3:.1f} kB")
    plan = stream_plan([{"name": "only", "rate": 50, "duration": 15}])
    with known_server(core=1, first_ms=50, gap_ms=19.3, events=50) as server:
        cost = watch(run_command(scratch, plan, f"--host={server.url}"), server, settle=5, seconds=4, streams=50)
    megabytes = cost.proportional / 1e6
    text = f"{megabytes:.0f} MB in {cost.processes} processes ({cost.rss / 1e6:.0f} MB with shared pages counted twice)"
    table.add("the whole client at 50 streams/s", text, f"< {_CLIENT_MB} MB", megabytes < _CLIENT_MB)
    first = idle[0].first_request_s
    table.add("start to first request of the load", f"{first:.2f} s", f"< {_FIRST_S:g} s", first < _FIRST_S)
    return table


def _idle(scratch: Path, users: int) -> Cost:
    """Measure a run with a pool of users that have nothing to do."""
    pool = {"max_users": users, "expected_latency": "1000s"}
    with known_server() as server:
        command = run_command(scratch, constant_plan(10, 12, pool=pool), f"--host={server.url}")
        return watch(command, server, settle=6, seconds=1)


def _streaming(scratch: Path, streams: int) -> Cost:
    plan: dict[str, Any] = stream_plan([{"name": "only", "users": streams, "duration": 12}])
    with known_server(core=1, first_ms=50, gap_ms=499.3, events=8) as server:
        return watch(run_command(scratch, plan, f"--host={server.url}"), server, settle=3, seconds=1, streams=streams)


def measure_endurance(scratch: Path) -> Table:
    """After its warm-up, as many requests as 50 RPS make in eight hours, as fast as they go."""
    with known_server() as server:
        rate = _speed(scratch, server.url)
        folder = run_plan(scratch, closed_plan(20, _WARM_S + _REQUESTS / rate * 1.1), f"--host={server.url}")
        requests = int(server.count()["requests"])
    readings = readings_of(folder).query("source == 'generator' and metric == 'rss_bytes'").sort_values("t_s")
    samples = samples_of(folder)
    warm = float(readings.query("t_s >= @_WARM_S")["value"].iloc[:5].median())
    end, took = float(readings["value"].iloc[-5:].median()), samples["due_s"].max() - _WARM_S
    growth, done = end / warm - 1, int(samples.query("due_s >= @_WARM_S")["iteration"].sum())
    table = Table("Endurance: as many requests as 50 RPS make in 8 hours, at full speed")
    text = f"{done:,} in the {took:.0f} s after a warm-up of {_WARM_S:.0f} s"
    table.add("requests", text, f">= {_REQUESTS:,}", done >= _REQUESTS and requests >= done)
    words = f"{growth:+.1%}, from {warm / 1e6:.1f} MB after the warm-up to {end / 1e6:.1f} MB at the end"
    table.add("growth of the generator's memory", words, f"< {_GROWTH:.0%}", growth < _GROWTH)
    return table


def _speed(scratch: Path, url: str) -> float:
    """Return the requests/s of a short run."""
    folder = run_plan(scratch, closed_plan(20, 5), f"--host={url}")
    return int(samples_of(folder)["iteration"].sum()) / 5
