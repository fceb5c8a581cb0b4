"""`python -m selftest.leaks`: the embedded platform leaks at known rates beneath a sawtooth; what is found of it?"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selftest.showing import certify, verdict_of

RATES = (0.0, 1.0, 5.0, 50.0)
"""Megabytes (2**20 bytes) per minute."""
_MINUTES = 3
_MB = 2**20
_LEAST, _SHARE = 0.4, 0.1
"""How far the rate that is found may be off: so many MB/min, or this share of it."""
_SURE_SHARE, _SURELY_NOT = 0.25, 0.06
"""By 10 % of its memory and more a process leaks; near that nothing is asked, as the process is as large as it is."""
_LIMIT_S = 400.0


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of one run; rates in MB/min."""

    rate: float
    seed: int
    trend: float | None
    leak: bool | None
    wrong: list[str]


def plan_of(rate: float, minutes: float = _MINUTES) -> dict[str, Any]:
    """Return the plan: little load, a collector that frees 20 MB every 9 seconds, and a leak beneath it."""
    faults = [{"kind": "memory_sawtooth", "params": {"mb": 20, "seconds": 9}}]
    if rate:
        faults.append({"kind": "memory_leak", "params": {"mb_per_s": rate / 60}})
    return {
        "id": "LEAK-TEST",
        "title": f"Leak test: {rate:g} MB/min",
        "covers": ["VIC-7", "CAT-4"],
        "mix": {"ReadOnlyUser": {}},
        "phases": [
            {"name": "warm", "rate": 5, "duration": "15s"},
            {"name": "soak", "rate": 5, "duration": f"{minutes * 60:g}s"},
        ],
        "criteria": [
            {"phase": "soak", "metric": "success_rate", "at_least": 0.99},
            {"phase": "soak", "metric": "memory_leak", "is": False, "severity": "warn"},
        ],
        "faults": faults,
        "generator": {"lag_p99_ms": 1000, "loop_lag_p99_ms": 1000},
        "pool": {"drain": "5s"},
    }


def tell(rate: float, seed: int, verdict: dict[str, Any] | None) -> Told:
    """Return what a `verdict.json` says of a leak, held against its rate."""
    if verdict is None or verdict["verdict"] == "INVALID":
        said = "there is no verdict" if verdict is None else "; ".join(verdict["reasons"])
        return Told(rate, seed, None, None, [said])
    metrics = verdict["phases"][-1]["metrics"]
    trend, leak = metrics["memory_trend_bytes_per_min"]["value"], metrics["memory_leak"]["value"]
    share = metrics["memory_growth"]["value"]
    wrong = []
    if trend is None or abs(trend / _MB - rate) > max(_LEAST, _SHARE * rate):
        wrong.append(f"a trend of {trend} bytes/min, not {rate * _MB:.0f}")
    if share is not None and (share > _SURE_SHARE or share < _SURELY_NOT) and leak is not (share > _SURE_SHARE):
        wrong.append(f"memory_leak is {leak} at a growth of {share:.0%}")
    return Told(rate, seed, None if trend is None else trend / _MB, leak, wrong)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the leaks; return 0 when each was found as it is, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m selftest.leaks", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument(
        "--seeds", type=int, choices=range(1, 100), metavar="N", default=1, help="runs of each rate (1)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the runs (default: runs)")
    options = parser.parse_args(arguments)
    folder = options.runs / "leaktest"
    shutil.rmtree(folder, ignore_errors=True)

    def run(rate: float, seed: int) -> Told:
        place = folder / f"{rate:g}-{seed}"
        certify(plan_of(rate), seed, place, _LIMIT_S)
        told = tell(rate, seed, verdict_of(place))
        found = "nothing" if told.trend is None else f"{told.trend:.2f} MB/min"
        words = "; ".join(told.wrong) or "right"
        print(f"{rate:g} MB/min, seed {seed}: found {found}, leak: {told.leak} ({words})", flush=True)
        return told

    with ThreadPoolExecutor(len(RATES)) as pool:
        waiting = [pool.submit(run, rate, seed) for seed in range(1, options.seeds + 1) for rate in RATES]
        return 1 if any(one.result().wrong for one in waiting) else 0


if __name__ == "__main__":
    sys.exit(main())
