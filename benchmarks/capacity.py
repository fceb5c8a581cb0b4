"""Is a known capacity found? For real, with a queue of known capacity in the platform; and in virtual time."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.queueing import Queue, Setting, SimulatedServer
from benchmarks.runs import ENVIRONMENT, ROOT
from benchmarks.table import Table
from capacity.search import Search, Settings

SETTINGS = (
    Setting("20 RPS, 16 servers, 24 places, 90 % served", Queue(16, 24, 0.843), 0.10),
    Setting("50 RPS, 8 servers, 12 places, 95 % served", Queue(8, 12, 0.131), 0.05),
    Setting("100 RPS, 16 servers, 20 places, 98 % served", Queue(16, 20, 0.1225), 0.02),
    Setting("150 RPS, 12 servers, 18 places, 95 % served", Queue(12, 18, 0.0722), 0.05),
    Setting("200 RPS, 16 servers, 60 places, p95 < 4 service times", Queue(16, 60, 0.0756), 0.05, 0.3024),
)
STARTS = (0.19, 0.26, 0.35, 0.45, 0.72)
"""Shares of the capacity at which searches begin, one after the other."""
SEEDS = range(10_000, 10_400)
"""None of them was looked at while the search was made: that was tuned on 0 to 99, 1000 to 1099 and 5000 to 5199."""
WITHIN = 0.05
LONGEST_S = 360.0
_TOGETHER = ((0, 1), (2,), (3,), (4,))
"""Settings that are searched at the same time: two generators and two platforms at low rates leave two cores idle."""


def plan_of(setting: Setting, nominal: float) -> dict[str, Any]:
    """Return a plan whose server is the queue of a setting."""
    queue = setting.queue
    limit: dict[str, Any] = {"metric": "success_rate", "at_least": 1 - setting.budget}
    if setting.limit_s is not None:
        limit = {"metric": "latency_p95_ms", "below": setting.limit_s * 1000}
    only_details = dict.fromkeys(("list", "create", "search", "compare", "update", "export"), 0) | {"details": 1}
    params = {
        "rps": queue.servers / queue.mean_s,
        "servers": queue.servers,
        "queue_limit": queue.places - queue.servers,
        "service": "exponential",
    }
    return {
        "id": f"KNOWN-{setting.capacity:.0f}-RPS",
        "title": setting.name,
        "arrivals": "poisson",
        "mix": {"ReadOnlyUser": {"operations": only_details}},
        "phases": [{"name": "held", "rate": round(nominal, 2), "duration": "1m"}],
        "pool": {"drain": "10s"},
        "faults": [{"kind": "capacity", "params": params}],
        "criteria": [limit],
    }


def search(scratch: Path, setting: Setting, *options: str) -> dict[str, Any]:
    """Search the capacity of a setting for real, and return what was kept of it."""
    plan = plan_of(setting, setting.capacity * 0.8)
    file, runs = scratch / f"{plan['id']}.yaml", scratch / "runs"
    file.write_text(json.dumps(plan), encoding="utf-8")
    command = [sys.executable, "-m", "capacity", str(file), f"--runs={runs}", *options]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads((runs / "capacity" / f"{plan['id']}.json").read_text(encoding="utf-8"))
    return found


def measure(scratch: Path) -> Table:
    """Search all five settings for real, some of them at the same time."""
    table = Table("Known capacities, searched for real (`python -m capacity`)")
    for together in _TOGETHER:
        chosen = [SETTINGS[number] for number in together]
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda setting: search(scratch, setting), chosen))
        for setting, found in zip(chosen, results, strict=True):
            truth, capacity = setting.capacity, found["capacity"]
            if capacity is None:
                table.add(setting.name, f"nothing: {found['ended']}", f"within {WITHIN:.0%}", held=False)
                continue
            off, seconds = capacity / truth - 1, found["seconds"]
            covered = "covers" if found["low"] <= truth <= found["high"] else "does not cover"
            interval = f"{found['low']:.1f} to {found['high']:.1f}, which {covered} it"
            table.add(
                setting.name,
                f"{capacity:.1f} RPS, by formula {truth:.1f} ({off:+.1%}); {interval}; in {seconds:.0f} s",
                f"within {WITHIN:.0%}, in less than {LONGEST_S:.0f} s",
                abs(off) <= WITHIN and seconds < LONGEST_S,
            )
    return table


def virtual(setting: Setting, seed: int, **settings: Any) -> tuple[float, bool, float]:
    """Search in virtual time; return capacity / truth, whether the interval covers it, and the virtual seconds."""
    server, truth = SimulatedServer(setting, seed), setting.capacity
    found = Search(Settings(truth * STARTS[seed % len(STARTS)], 1e5, **settings), server).run()
    if found.capacity is None or found.interval is None:
        return float("nan"), False, server.elapsed()
    return found.capacity.load / truth, found.interval[0] <= truth <= found.interval[1], server.elapsed()


def measure_virtual(_scratch: Path) -> Table:
    """Search each setting many times in virtual time."""
    table = Table(f"Known capacities, searched in virtual time with {len(SEEDS)} seeds each")
    for setting in SETTINGS:
        found = [virtual(setting, seed) for seed in SEEDS]
        ratios, seconds = np.array([ratio for ratio, _, _ in found]), [taken for _, _, taken in found]
        within = np.abs(ratios - 1) <= WITHIN
        covered = np.array([covers for _, covers, _ in found])
        good = within & covered
        words = (
            f"off by {np.nanmean(ratios) - 1:+.1%} on average, standard deviation {np.nanstd(ratios):.1%}; within "
            f"{WITHIN:.0%}: {within.mean():.1%}, covered: {covered.mean():.1%}, both: {good.mean():.1%}; "
            f"at most {max(seconds):.0f} s"
        )
        held = good.mean() >= 0.93 and max(seconds) < LONGEST_S
        table.add(setting.name, words, "within 5 % and covered in at least 93 %", bool(held))
    return table
