"""Does the schedule hold? Offered arrivals and lag, with a core free for the server."""

from pathlib import Path

from benchmarks.runs import constant_plan, nearest_rank, readings_of, run_plan, samples_of
from benchmarks.table import Table
from calibration.process import known_server


def measure(scratch: Path) -> Table:
    """50 RPS for 60 s, and 1000 RPS for 15 s from one process."""
    table = Table("Schedule: one process, the server on another core")
    for rate, seconds, limit in ((50, 60, 3.0), (1000, 15, 10.0)):
        with known_server() as server:
            folder = run_plan(scratch, constant_plan(rate, seconds), f"--host={server.url}")
        rows = samples_of(folder)
        rows = rows[rows["iteration"]]
        p50, p99, worst = (nearest_rank(rows["lag_ms"], q) for q in (0.5, 0.99, 1.0))
        cpu = readings_of(folder).query("source == 'generator' and metric == 'cpu_cores' and t_s > 0")["value"].mean()
        expected = rate * seconds
        table.add(f"{rate} RPS for {seconds} s: arrivals offered", str(len(rows)), str(expected), len(rows) == expected)
        table.add(
            f"{rate} RPS: lag p99 (p50, max)",
            f"{p99:.2f} ms ({p50:.2f}, {worst:.1f})",
            f"<= {limit:g} ms",
            p99 <= limit,
        )
        table.add(f"{rate} RPS: CPU of the generator", f"{cpu:.2f} cores, {1000 * cpu / rate:.2f} ms a request")
    return table
