"""What is run: a plan with its seed, scale and host, and the record of a run as `run.json` holds it."""

import hashlib
import math
import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from plans.capacity import Capacity
from plans.schema import Criterion, Plan, Severity

SCHEMA_VERSION = 1
RUN_FILE = "run.json"

_RATE_METRICS = {
    "throughput_rps", "goodput_rps", "offered_rps", "breaking_point_rps", "output_tokens_per_s", "input_tokens_per_s",
}  # fmt: skip
SHORTEST_TREND_S = 60.0
"""Below this length a trend in memory or CPU is not told from chance, and the metric has no value."""

_NEEDED_S = {
    "memory_growth": SHORTEST_TREND_S,
    "memory_leak": SHORTEST_TREND_S,
    "memory_trend_bytes_per_min": SHORTEST_TREND_S,
    "connection_leak": SHORTEST_TREND_S,
    "file_leak": SHORTEST_TREND_S,
    "thread_leak": SHORTEST_TREND_S,
    "latency_drift": SHORTEST_TREND_S,
    "error_drift": SHORTEST_TREND_S,
    "stable_utilisation": SHORTEST_TREND_S,
    "stability_score": 10.0,  # one window
    "stable_performance": 10.0,
    **dict.fromkeys(("recovery_s", "latency_recovery_s", "error_recovery_s", "memory_recovery_s"), 15.0),  # 3 windows
    "quality_stability": 30.0,  # one window
}


class Ending(StrEnum):
    """How a run ended. A record that says `RUNNING` when nothing runs belongs to a run that crashed."""

    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"
    """Ended early by a criterion with `abort_on_fail` that stayed broken."""
    FAILED_TO_START = "failed_to_start"


ENDED_EARLY = "ended early"
"""Begin of the note of a run that a broken limit has ended."""


class PhaseRecord(BaseModel):
    """One phase as it really ran; seconds from the run's origin."""

    model_config = ConfigDict(extra="forbid")
    name: str
    start_s: float
    end_s: float = Field(description="planned end, or the moment of the interruption when that came first")
    closed: bool
    reached: bool = Field(description="False when the run ended before the phase began")
    scheduled: dict[str, int] = Field(
        default_factory=dict, description="arrivals due (open) or iterations begun (closed), by scenario"
    )
    lost: dict[str, int] = Field(
        default_factory=dict, description="arrivals beside the scheduled that were lost with a worker, by scenario"
    )


class Precondition(BaseModel):
    """Something that should hold before load begins, and what was found."""

    model_config = ConfigDict(extra="forbid")
    name: str
    held: bool
    found: str


class QueryPlan(BaseModel):
    """How the database served a named query, as it told after the load."""

    model_config = ConfigDict(extra="forbid")
    name: str
    sql: str
    plan: str = Field(description="the database's own words, or why there are none")
    indexes: list[str] = Field(default_factory=list, description="indexes and primary keys that were used")
    scanned: list[str] | None = Field(None, description="tables that were read from begin to end; None: not told")

    @property
    def served(self) -> str:
        """How the query is served, in words."""
        if self.scanned is None:
            return "not told"
        parts = [f"served by index {', '.join(self.indexes)}"] if self.indexes else []
        parts += [f"sequential scan of {', '.join(self.scanned)}"] if self.scanned else []
        return "; ".join(parts) or "reads no table"


class Away(BaseModel):
    """A time in which a worker was lost; seconds from the run's origin."""

    model_config = ConfigDict(extra="forbid")
    from_s: float = Field(description="when it was last heard of")
    until_s: float | None = Field(None, description="when it was heard of again; None: never")


class ProcessRecord(BaseModel):
    """One process that made load."""

    model_config = ConfigDict(extra="forbid")
    worker: str
    pid: int
    machine: str | None = None
    begun: int = Field(0, description="attempts begun, of every kind")
    recorded: int = Field(0, description="samples made")
    written: int = Field(0, description="samples on disk")
    write_errors: list[str] = Field(default_factory=list)
    joined_s: float = Field(0.0, description="when it came to a run that was under way")
    away: list[Away] = Field(default_factory=list, description="when the master heard nothing of it")
    left_s: float | None = Field(None, description="from when on it began nothing because it was told to end")
    clock_offset_s: float | None = Field(
        None, description="the master's monotonic clock minus this worker's, by which the origin was placed"
    )
    clock_uncertainty_s: float | None = Field(None, description="by how much that may be wrong: half a round trip")
    clock_drift_s: float | None = Field(None, description="by how much the clocks went apart during the run")


class RunRecord(BaseModel):
    """`run.json`: everything that a report needs beside the samples."""

    model_config = ConfigDict(extra="forbid")
    schema_version: int = SCHEMA_VERSION
    id: str
    plan: Plan = Field(description="as resolved and scaled: the durations and rates that were run")
    plan_file: str
    seed: int
    time_scale: float = 1.0
    rate_scale: float = 1.0
    host: str = Field(description="URL of the server under test")
    started_at: str = Field(description="wall clock, ISO 8601 with zone")
    clock_origin: float = Field(description="the run's second 0 on the machine's monotonic clock")
    wall_origin: float = Field(description="the run's second 0 as seconds since the epoch")
    ended_s: float | None = None
    ending: Ending = Ending.RUNNING
    notes: list[str] = Field(default_factory=list, description="what a reader of the report must know")
    preconditions: list[Precondition] = Field(default_factory=list, description="as found before the load")
    baseline: dict[str, object] | None = Field(None, description="content of the plan's baseline file, as found")
    capacity: Capacity | None = Field(None, description="what the plan asks of its generator, and the calibration")
    phases: list[PhaseRecord] = Field(default_factory=list)
    processes: list[ProcessRecord] = Field(default_factory=list)
    write_errors: list[str] = Field(default_factory=list, description="what could not be written of the run as a whole")
    queries: list[QueryPlan] = Field(default_factory=list)
    command: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, str] = Field(default_factory=dict)

    @property
    def rehearsal(self) -> bool:
        """True when the durations or the rates were not those of the plan: such a run gives no certificate."""
        return self.time_scale != 1.0 or self.rate_scale != 1.0

    def save(self, folder: Path) -> None:
        """Write `run.json` so that a reader sees the old or the new text, never half of one."""
        temporary = folder / f".{RUN_FILE}.{os.getpid()}"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=1, by_alias=True, exclude_none=True))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / RUN_FILE)

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """Return the record of the run in `folder`. Raises FileNotFoundError or a ValueError (unreadable)."""
        return cls.model_validate_json((folder / RUN_FILE).read_bytes())


def scaled(plan: Plan, time_scale: float = 1.0, rate_scale: float = 1.0) -> Plan:
    """Return the plan with durations times `time_scale`, and open rates with their limits times `rate_scale`.

    Limits whose phase `time_scale` made too short for the metric to have a value are turned into warnings: they
    belong to the full run, and a rehearsal should say something about the rest. Raises ValueError for a scale
    that is not > 0.
    """
    if not (0 < time_scale < math.inf and 0 < rate_scale < math.inf):
        raise ValueError(f"scales must be finite and > 0, got time {time_scale} and rate {rate_scale}")
    phases = tuple(phase.timed(time_scale) for phase in plan.phases)
    faults = tuple(fault.timed(time_scale) for fault in plan.faults)
    if rate_scale != 1.0:
        phases = tuple(
            p if p.rate is None else p.model_copy(update={"rate": p.rate.scaled(rate_scale)}) for p in phases
        )
    criteria = tuple(_scaled_criterion(c, plan, time_scale, rate_scale) for c in plan.criteria)
    return plan.model_copy(update={"phases": phases, "faults": faults, "criteria": criteria})


def _scaled_criterion(criterion: Criterion, plan: Plan, time_scale: float, rate_scale: float) -> Criterion:
    phases = [phase for phase in plan.phases if criterion.phase in (None, phase.name)]
    if (abort := criterion.abort_on_fail) is not None:
        shorter = abort.model_copy(update={"after": abort.after * time_scale})
        criterion = criterion.model_copy(update={"abort_on_fail": shorter})
    if criterion.worse_at_most is not None:  # the baseline is of the plan's own rate
        return criterion if rate_scale == 1.0 else criterion.model_copy(update={"severity": Severity.WARN})
    if criterion.metric in _RATE_METRICS and rate_scale != 1.0 and not all(phase.closed for phase in phases):
        return at_load(criterion, rate_scale)
    full = sum(phase.duration for phase in phases)
    if full * time_scale < _NEEDED_S.get(criterion.metric, 0.0) <= full:
        return criterion.model_copy(update={"severity": Severity.WARN, "abort_on_fail": None})
    return criterion


def at_load(criterion: Criterion, factor: float) -> Criterion:
    """Return the criterion for `factor` times the load: a limit on a rate grows with it, others stay as they are."""
    if criterion.metric not in _RATE_METRICS:
        return criterion
    limits = ("below", "at_most", "at_least", "above")
    changed = {key: getattr(criterion, key) * factor for key in limits if getattr(criterion, key) is not None}
    return criterion.model_copy(update=changed)


def shortest_s(metric: str) -> float:
    """Return the seconds that a phase must last for the metric to have a value; 0 when any will do."""
    return _NEEDED_S.get(metric, 0.0)


def derive_seed(seed: int, name: str, stripe: int = 0) -> int:
    """Return one consumer's own seed for random numbers: a hash of the run's seed, a name and a stripe.

    Python's `hash` differs from process to process; this one does not.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{stripe}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
