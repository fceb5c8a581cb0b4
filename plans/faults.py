"""Faults of the embedded platform on a run's time axis."""

from typing import Literal

from pydantic import Field, JsonValue

from plans.durations import Duration, DurationOrZero
from plans.strict import Frozen

FaultKind = Literal[
    "latency",
    "stall",
    "errors",
    "reject",
    "drop_stream",
    "truncate_stream",
    "stream_error",
    "garble",
    "loop",
    "empty",
    "ws_loss",
    "ws_drop",
    "memory_leak",
    "memory_sawtooth",
    "handle_leak",
    "session_leak",
    "cpu",
    "disk",
    "capacity",
    "lock",
    "crash",
    "slow_first_token",
    "slow_decode",
    "unhealthy",
]


class Fault(Frozen):
    """One fault: on from `at` seconds after the start of the run, for `duration`, with its `params`."""

    kind: FaultKind
    at: DurationOrZero = 0.0
    duration: Duration | None = Field(None, description="until the end of the run when left out")
    params: dict[str, JsonValue] = Field(default_factory=dict)

    def timed(self, factor: float) -> "Fault":
        """Return the fault at `factor` times its place and length on the axis."""
        length = None if self.duration is None else self.duration * factor
        return self.model_copy(update={"at": self.at * factor, "duration": length})
