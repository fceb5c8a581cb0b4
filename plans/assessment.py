"""How a run stands while it goes on: what the process that judges it tells the one that makes the load."""

from pydantic import BaseModel, ConfigDict

TOO_EARLY = "too_early"
"""State of a criterion that cannot be judged yet; the others are those of the report."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LiveCriterion(_Told):
    """One limit as it stands. `state` is one of the report's, or `too_early`; texts are for people."""

    index: int
    """Place in the plan's list."""
    metric: str
    where: str
    limit: str
    measured: str
    value: float | bool | None
    limit_value: float | bool
    state: str
    final: bool
    """True when its phase is over and everything in it accounted for: the report will say the same."""
    reason: str


class LivePhase(_Told):
    """What a phase has shown so far: texts by metric."""

    name: str
    figures: dict[str, str]


class LiveCheck(_Told):
    """One check of the load generator, so far."""

    name: str
    passed: bool
    measured: str
    limit: str


class LiveReading(_Told):
    """The newest reading of a machine or a process; `worker` is the process, or the number of the GPU."""

    label: str
    text: str
    source: str
    metric: str
    worker: str
    value: float


class Assessment(_Told):
    """A run as far as it went. `problem` says why it could not be judged; everything else is empty then."""

    settled_s: float
    """Everything that was due before this moment is judged; seconds from the run's origin."""
    took_s: float = 0.0
    samples: int = 0
    criteria: tuple[LiveCriterion, ...] = ()
    phases: tuple[LivePhase, ...] = ()
    health: tuple[LiveCheck, ...] = ()
    resources: tuple[LiveReading, ...] = ()
    problem: str | None = None
