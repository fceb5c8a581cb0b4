"""The workers of a distributed run: when each was there, and what was lost with those that were not."""

import math

import numpy as np
import pandas as pd

from plans.run import PhaseRecord, ProcessRecord
from reports.analysis import HealthCheck
from reports.rows import Mask, numbers
from reports.windows import RunData

_SETTLING_S = 1.5
"""The first reading after an absence is about the absence."""

Span = tuple[float, float]


def absences(process: ProcessRecord) -> list[Span]:
    """Return when a process was not there to make load, in seconds from the origin."""
    away = [(one.from_s, math.inf if one.until_s is None else one.until_s + _SETTLING_S) for one in process.away]
    late = [(-math.inf, process.joined_s + _SETTLING_S)] if process.joined_s > 0 else []
    return [*late, *away, *([] if process.left_s is None else [(process.left_s, math.inf)])]


def present_s(run: RunData, process: ProcessRecord) -> float:
    """Return for how long a process was there while load was made."""
    gone = sum(max(min(end, run.end_s) - max(start, run.start_s), 0.0) for start, end in absences(process))
    return max(run.end_s - run.start_s - gone, 0.0)


def while_present(run: RunData, readings: pd.DataFrame) -> Mask:
    """Return which readings are of a worker that was there when they were taken."""
    times, workers = numbers(readings, "t_s"), readings["worker"].astype(str).to_numpy()
    kept: Mask = np.ones(len(readings), dtype=np.bool_)
    for process in run.record.processes:
        for start, end in absences(process):
            kept &= ~((workers == process.worker) & (times > start) & (times <= end))
    return kept


def presence(run: RunData) -> str:
    """Return in words who made the load, and who was lost or left when."""
    processes = run.record.processes
    lost = [
        f"worker {p.worker} lost at {one.from_s:.1f} s"
        + ("" if one.until_s is None else f", back at {one.until_s:.1f} s")
        for p in processes
        for one in p.away
    ]
    left = [f"worker {p.worker} left at {p.left_s:.1f} s" for p in processes if p.left_s is not None]
    return "; ".join([f"{len(processes)} processes", *lost, *left])


def lost_with_workers(run: RunData, judged: list[PhaseRecord]) -> list[HealthCheck]:
    """Return the check of the arrivals that were lost with workers; none for a run that lost no worker."""
    if not any(phase.lost for phase in run.phases) and not any(p.away for p in run.record.processes):
        return []
    limit, worst, where = run.plan.generator.lost, 0.0, "no judged phase lost any"
    for phase in judged:
        lost = sum(phase.lost.values())
        share = lost / max(sum(phase.scheduled.values()) + lost, 1)
        if share > worst:
            worst, where = share, f"{lost:,} arrivals ({share:.2%}) in {phase.name}"
    return [
        HealthCheck(
            "arrivals lost with workers", worst <= limit * (1 + 1e-9), where, f"≤ {limit * 100:g} %",
            "workers were lost and others took over: look at the log of the lost ones and at the network between",
        )
    ]  # fmt: skip
