"""The faults that Proofload is shown, and the name that it must give to each."""

from dataclasses import dataclass, field
from typing import Any

NOTHING = "nothing"
"""The name for a platform without a fault."""
STARVED = "starved generator"
LOST = "lost worker"
LEAK = "memory leak"


@dataclass(frozen=True, slots=True)
class Shown:
    """One fault: how the embedded platform is spoiled, and what the finding must be called."""

    name: str
    found_as: str
    kind: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    at_s: float = 0.0
    starved: bool = False
    """The load generator is stopped now and then, in place of a fault of the platform."""
    workers: int = 0
    """So many worker processes make the load; 0: one process makes it alone."""
    bereft: bool = False
    """One of the workers is killed in the middle of the load, in place of a fault of the platform."""

    @property
    def long(self) -> bool:
        """True for what takes a minute to tell from chance."""
        return self.found_as == LEAK

    def timeline(self) -> list[dict[str, Any]]:
        """Return the `faults` of a plan."""
        return [{"kind": self.kind, "at": f"{self.at_s}s", "params": self.params}] if self.kind else []


CLEAN = Shown(NOTHING, NOTHING)
CLEAN_WITH_WORKERS = Shown(f"{NOTHING}, with workers", NOTHING, workers=3)

SHOWN: tuple[Shown, ...] = (
    Shown("latency", "latency", "latency", {"ms": 1000}),
    Shown("slow first token", "first token", "slow_first_token", {"ms": 1500}),
    Shown("slow decode", "decode", "slow_decode", {"factor": 10}),
    Shown("stall", "stall", "stall", {"seconds": 2.5}, at_s=1.5),
    Shown("errors", "errors", "errors", {"rate": 0.2}),
    Shown("rejected over capacity", "refusals", "reject", {"rate": 0.3}),
    Shown("error event in the stream", "errors", "stream_error", {"rate": 0.3}),
    Shown("truncated answers", "truncated answers", "truncate_stream", {"rate": 0.3}),
    Shown("connection cut in the stream", "truncated answers", "drop_stream", {"rate": 0.3}),
    Shown("garbled answers", "garbled answers", "garble", {"rate": 0.4}),
    Shown("looping answers", "looping answers", "loop", {"rate": 0.4}),
    Shown("empty answers", "empty answers", "empty", {"rate": 0.3}),
    Shown("lost messages", "lost messages", "ws_loss", {"rate": 0.3}),
    Shown("dropped WebSockets", "lost connections", "ws_drop", {"rate": 0.05}),
    Shown("CPU burn", "CPU", "cpu", {"cores": 1}),
    Shown("leak", LEAK, "memory_leak", {"mb_per_s": 3}),
    Shown("starved generator", STARVED, starved=True),
    Shown("lost worker", LOST, workers=3, bereft=True),
)
"""The name that must be found is that of a criterion of the plan, or STARVED or LOST for a run that is INVALID."""

CRITERIA: tuple[dict[str, Any], ...] = (
    {"id": "lost connections", "metric": "ws_connections_lost", "at_most": 0},
    {"id": "lost messages", "metric": "delivery_rate", "at_least": 0.98},
    {"id": "refusals", "metric": "refused_rate", "at_most": 0.02},
    {"id": "empty answers", "metric": "empty_rate", "at_most": 0.02},
    {"id": "truncated answers", "metric": "truncated_rate", "at_most": 0.02},
    {"id": "looping answers", "metric": "looping_rate", "at_most": 0.02},
    {"id": "garbled answers", "metric": "garbled_rate", "at_most": 0.02},
    {"id": "errors", "metric": "error_rate", "at_most": 0.02},
    {"id": "CPU", "metric": "cpu_cores_mean", "below": 0.3},
    {"id": "stall", "metric": "icl_max_max_ms", "below": 1500},
    {"id": "latency", "scenario": "EvaluationRunUser", "metric": "service_p90_ms", "below": 600},
    {"id": "first token", "metric": "ttft_p90_ms", "below": 800},
    {"id": "decode", "metric": "tpot_p50_ms", "below": 40},
    {"id": "quality", "metric": "quality_mean", "at_least": 0.9},
)
"""From the cause to its effects: of several that are broken, the first is the finding."""

LONG_CRITERIA: tuple[dict[str, Any], ...] = ({"id": LEAK, "metric": "memory_leak", "is": False}, *CRITERIA)


def plan_of(shown: Shown, long: bool) -> dict[str, Any]:
    """Return the plan that shows a fault: a few seconds of mixed load, or a minute where it takes one."""
    rate, length = (8, "62s") if long else (24, "7s")
    return {
        "id": "SELF-TEST",
        "title": f"Self-test: {shown.name}",
        "level": 4,
        "covers": ["HXP-16"],
        "mix": {
            "ChatUser": {"share": 0.6, "max_tokens": 48, "timeout": "15s"},
            "EvaluationRunUser": {"share": 0.4},
            "WebSocketUser": {"connections": 4, "rate": 10},
        },
        "phases": [{"name": "shown", "rate": rate, "duration": length}],
        "criteria": list(LONG_CRITERIA if long else CRITERIA),
        "faults": shown.timeline(),
        # A healthy run must be judged on a busy machine too; what starves a generator here is ten times that.
        "generator": {"lag_p99_ms": 300, "loop_lag_p99_ms": 300},
        "pool": {"drain": "6s"},
        "monitors": {"interval": "0.5s"},
    }
