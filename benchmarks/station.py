"""Is the queue of the embedded platform the one that its numbers say? Request by request, in a real run.

A run holds a known queue at its capacity. What should have become of its arrivals is reckoned from their intended times
and from the service times that the platform draws from its seed; what became of them is in the samples. Both saw the
same chance, so a minute tells what would take hours of counting: by how much the platform is off, in per cent of its
capacity.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.capacity import SETTINGS, plan_of
from benchmarks.queueing import Floats, Queue, Setting, State
from benchmarks.runs import run_plan, samples_of
from benchmarks.table import Table

_SEED = 3
_SETTLE_S, _HELD_S = 5.0, 60.0
_UNSEEN = 12
"""At most so many requests come before the fault is on."""
_MOST = 0.01


def measure(scratch: Path) -> Table:
    """Hold each queue at its capacity for a minute; compare what was refused (or late) with what should have been."""
    table = Table("The platform's queue at its capacity, request by request beside the same queue without a platform")
    for setting in SETTINGS:
        folder = run_plan(scratch, _plan(setting), f"--seed={_SEED}", cores=(0, 1))
        rows = samples_of(folder)
        rows = rows[rows["iteration"]].sort_values("due_s", kind="stable")
        found, expected = _outside(setting, rows), _replayed(setting, rows)
        held = rows["phase"].to_numpy() == "held"
        share, wanted = found[held].mean(), expected[held].mean()
        off = -(share - wanted) / _per_load(setting)
        table.add(
            setting.name,
            f"{held.sum():,} arrivals, outside {share:.2%}, and {wanted:.2%} without the platform: its capacity is off "
            f"by {off:+.2%}; lag p99 {rows['lag_ms'].quantile(0.99):.1f} ms",
            f"within {_MOST:.0%} of the capacity",
            bool(abs(off) <= _MOST),
        )
    return table


def _plan(setting: Setting) -> dict[str, Any]:
    load = round(setting.capacity, 2)
    phases = [
        {"name": "settle", "rate": load, "duration": _SETTLE_S},
        {"name": "held", "rate": load, "duration": _HELD_S},
    ]
    return plan_of(setting, load) | {"phases": phases}


def _outside(setting: Setting, rows: pd.DataFrame) -> Floats:
    """Return 1 for each arrival that was outside the limit, else 0."""
    late = rows["latency_ms"].to_numpy() > (setting.limit_s or np.inf) * 1000
    refused = rows["status"].to_numpy() == 503
    outside: Floats = np.where(late & ~refused if setting.limit_s is not None else refused, 1.0, 0.0)
    return outside


def _replayed(setting: Setting, rows: pd.DataFrame) -> Floats:
    """Return the same of the queue alone, with the service times that the platform drew."""
    due, took = rows["due_s"].to_numpy(), rows["latency_ms"].to_numpy() / 1000
    tries = [_alone(setting.queue, due, skipped) for skipped in range(_UNSEEN)]
    inside = min(tries, key=lambda one: float(np.nanmedian(np.abs(one - took))))
    late = inside > (setting.limit_s or np.inf)
    outside: Floats = np.where(late if setting.limit_s is not None else np.isnan(inside), 1.0, 0.0)
    return outside


def _alone(queue: Queue, due: Floats, skipped: int) -> Floats:
    """Return the seconds that each is inside (NaN: refused) when the first arrivals come before the queue is there."""
    draw, state = random.Random(f"{_SEED}:station"), State(queue)
    inside = [0.0] * skipped
    service_s = draw.expovariate(1 / queue.mean_s)
    for at in due[skipped:]:
        time = state.arrive(float(at), service_s)
        inside.append(np.nan if time is None else time)
        if time is not None:
            service_s = draw.expovariate(1 / queue.mean_s)
    return np.array(inside)


def _per_load(setting: Setting) -> float:
    """Return by how much the share outside grows with the logarithm of the load, at the capacity."""
    step = 0.005
    return (setting.outside(setting.capacity * (1 + step)) - setting.outside(setting.capacity * (1 - step))) / (
        2 * step
    )
