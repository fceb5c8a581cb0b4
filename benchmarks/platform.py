"""Does the embedded platform hold 150 RPS of the quickstart's mix beside the generator, on two cores?"""

from pathlib import Path

import yaml

from benchmarks.runs import ROOT, nearest_rank, readings_of, run_plan, samples_of
from benchmarks.table import Table

_RATE, _SECONDS = 150, 20


def measure(scratch: Path) -> Table:
    """Run the quickstart's mix at the rate of its spike, constantly."""
    quickstart = yaml.safe_load((ROOT / "plans" / "quickstart.yaml").read_text(encoding="utf-8"))
    plan = {
        "id": "BENCH",
        "title": "platform",
        "mix": quickstart["mix"],
        "phases": [{"name": "only", "rate": _RATE, "duration": _SECONDS}],
        "criteria": [{"metric": "success_rate", "at_least": 0.99}],
    }
    folder = run_plan(scratch, plan, cores=(0, 1))
    rows = samples_of(folder)
    rows = rows[rows["iteration"]]
    ok = int((rows["outcome"] == "ok").sum())
    table = Table("Embedded platform: the quickstart's mix at 150 RPS, generator and server on the same two cores")
    table.add("answered", f"{ok} of {_RATE * _SECONDS}", ">= 99 %", ok >= 0.99 * _RATE * _SECONDS)
    for scenario, part in rows.groupby("scenario"):
        p50, p95 = (nearest_rank(part["latency_ms"], q) for q in (0.5, 0.95))
        table.add(f"{scenario}: latency p50, p95", f"{p50:.1f} ms, {p95:.1f} ms")
    lag = nearest_rank(rows["lag_ms"], 0.99)
    table.add("lag p99", f"{lag:.2f} ms")
    readings = readings_of(folder).query("metric == 'cpu_cores' and t_s > 0")
    for source in ("target", "generator"):
        cpu = readings.loc[readings["source"] == source, "value"].mean()
        table.add(f"CPU of the {source}", f"{cpu:.2f} cores")
    return table
