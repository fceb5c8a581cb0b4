"""`python -m selftest.leaks`: the embedded platform leaks memory and handles at known rates; what is found of it?"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selftest.showing import certify, verdict_of

_MB = 2**20
_MINUTES = 3.0
_LEAST, _SHARE = 0.4, 0.1
"""How far the rate that is found may be off: so many MB/min, or this share of it."""
_SURE_SHARE, _SURELY_NOT = 0.25, 0.06
"""By 10 % of its memory and more a process leaks; near that nothing is asked, as the process is as large as it is."""
_HANDLES_PER_S = 0.5
_METRICS = {"files": "file_leak", "connections": "connection_leak", "threads": "thread_leak"}
_AT_ONCE, _LIMIT_S = 4, 400.0


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that leaks: memory at `mb_per_min` (megabytes of 2**20 bytes), or handles of a kind."""

    name: str
    mb_per_min: float = 0.0
    handles: str = ""


LEAKS = (
    *(Leak(f"{rate:g} MB/min", mb_per_min=rate) for rate in (0.0, 1.0, 5.0, 50.0)),
    *(Leak(kind, handles=kind) for kind in _METRICS),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of one run, and what was wrong with it."""

    found: str
    wrong: list[str]


def plan_of(leak: Leak) -> dict[str, Any]:
    """Return the plan: little load, a collector that frees 20 MB every 9 seconds, and a leak beneath it."""
    faults: list[dict[str, Any]] = [{"kind": "memory_sawtooth", "params": {"mb": 20, "seconds": 9}}]
    if leak.mb_per_min:
        faults.append({"kind": "memory_leak", "params": {"mb_per_s": leak.mb_per_min / 60}})
    if leak.handles:
        faults.append({"kind": "handle_leak", "params": {"per_s": _HANDLES_PER_S, "of": leak.handles}})
    return {
        "id": "LEAK-TEST",
        "title": f"Leak test: {leak.name}",
        "covers": ["VIC-7", "CAT-4", "EVAL-10"],
        "mix": {"ReadOnlyUser": {}},
        "phases": [
            {"name": "warm", "rate": 5, "duration": "15s"},
            {"name": "soak", "rate": 5, "duration": f"{_MINUTES * 60:g}s"},
        ],
        "criteria": [
            {"phase": "soak", "metric": "success_rate", "at_least": 0.99},
            {"phase": "soak", "metric": "memory_leak", "is": False, "severity": "warn"},
        ],
        "faults": faults,
        "generator": {"lag_p99_ms": 1000, "loop_lag_p99_ms": 1000},
        "pool": {"drain": "5s"},
    }


def tell(leak: Leak, verdict: dict[str, Any] | None) -> Told:
    """Return what a `verdict.json` says of a leak, held against what leaks."""
    if verdict is None or verdict["verdict"] == "INVALID":
        said = "there is no verdict" if verdict is None else "; ".join(verdict["reasons"])
        return Told("nothing", [said])
    found = {name: one["value"] for name, one in verdict["phases"][-1]["metrics"].items()}
    wrong = _of_memory(leak, found)
    for kind, metric in _METRICS.items():
        if found[metric] is not (kind == leak.handles):
            wrong.append(f"{metric} is {found[metric]}")
    trend = found["memory_trend_bytes_per_min"]
    rate = "no trend" if trend is None else f"{trend / _MB:.2f} MB/min"
    leaking = [metric for metric in ("memory_leak", *_METRICS.values()) if found[metric]]
    return Told(", ".join([rate, *leaking]), wrong)


def _of_memory(leak: Leak, found: dict[str, Any]) -> list[str]:
    trend, growth, said = (found[name] for name in ("memory_trend_bytes_per_min", "memory_growth", "memory_leak"))
    wrong = []
    if not leak.handles and (
        trend is None or abs(trend / _MB - leak.mb_per_min) > max(_LEAST, _SHARE * leak.mb_per_min)
    ):
        wrong.append(f"a trend of {trend} bytes/min, not {leak.mb_per_min * _MB:.0f}")
    sure = growth is not None and not _SURELY_NOT < growth <= _SURE_SHARE
    if sure and said is not (growth > _SURE_SHARE):
        wrong.append(f"memory_leak is {said} at a growth of {growth:.0%}")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the leaks; return 0 when each was found as it is, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m selftest.leaks", description=(__doc__ or "").partition(": ")[2])
    add = parser.add_argument
    add("--seeds", type=int, choices=range(1, 100), metavar="N", default=1, help="runs of each leak (1)")
    add("--runs", type=Path, default=Path("runs"), help="folder for the runs (default: runs)")
    options = parser.parse_args(arguments)
    folder = options.runs / "leaktest"
    shutil.rmtree(folder, ignore_errors=True)

    def run(leak: Leak, seed: int) -> Told:
        place = folder / f"{leak.name.replace(' ', '-').replace('/', '-per-')}-{seed}"
        certify(plan_of(leak), seed, place, _LIMIT_S)
        told = tell(leak, verdict_of(place))
        print(f"{leak.name}, seed {seed}: found {told.found} ({'; '.join(told.wrong) or 'right'})", flush=True)
        return told

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(run, leak, seed) for seed in range(1, options.seeds + 1) for leak in LEAKS]
        return 1 if any(one.result().wrong for one in waiting) else 0


if __name__ == "__main__":
    sys.exit(main())
