"""Overloads of the embedded platform whose breaking point, pattern and recovery are known by arithmetic.

A station of `servers` in parallel serves `rate` requests per second, the load rises in steps of 8, 16, 24 and 32 RPS
from a base of 4 and falls back to it. What has queued up at the end drains at rate - 4 per second, so that the
length of the steps, or the bound of the queue, sets the time of the recovery. It is 2.25 seconds less than the time
that must be found: recovery is told in windows of 5 seconds.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

BASE, STEPS = 4.0, (8.0, 16.0, 24.0, 32.0)
NEVER = "never"
_SERVERS, _PLENTY = 6, 10**6
_BEFORE_S, _SPARE_S, _INSIDE_S = 15.0, 22.0, 2.25
_STEP_S = 5.0
"""Length of a step where nothing depends on it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What must be found; times are seconds after the end of the overload."""

    pattern: str
    breaking_point: float | None
    recovery: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overload:
    """One overload: how the platform is made to bear it, and what must be found."""

    name: str
    known: Known
    rate: float | None = None
    """Requests per second that the platform serves; about 12, by the seed, when left out."""
    drains_s: float | None = None
    """How long an unbounded queue takes to drain; sets the length of the steps."""
    queue_s: float | None = None
    """The same for a bounded queue; sets its bound."""
    station: dict[str, float] = field(default_factory=dict)
    fault: str = ""
    """A further fault, from the first step until `drains_s` after the last."""
    params: dict[str, float] = field(default_factory=dict)
    spike: bool = False


def _both(seconds: float | str) -> dict[str, float | str]:
    return {"latency": seconds, "errors": 0.0}


_UNBROKEN = 120.0

OVERLOADS: tuple[Overload, ...] = (
    Overload("enough capacity", Known("none", None, _both(0)), rate=_UNBROKEN),
    Overload("refuses at once", Known("rejecting", 16, _both(0)), queue_s=0.0),
    Overload("short queue", Known("rejecting", 16, _both(5)), queue_s=5),
    Overload("queue of 20 s", Known("queueing", 16, _both(20)), drains_s=20),
    Overload("queue of 60 s", Known("queueing", 16, _both(60)), drains_s=60),
    Overload("thrashing", Known("collapsing", 16, {"latency": NEVER}), station={"thrash": 0.05}),
    Overload(
        "crash", Known("crashing", 16, {"latency": NEVER, "errors": NEVER}), fault="crash", params={"in_flight": 60}
    ),
    Overload(
        "errors that stay for 20 s",
        Known("rejecting", 8, {"latency": 0, "errors": 20}),
        drains_s=20,
        fault="errors",
        params={"rate": 0.5},
        rate=_UNBROKEN,
    ),
    Overload(
        "memory that stays for 20 s",
        Known("none", None, _both(0) | {"memory": 20}),
        drains_s=20,
        fault="memory_leak",
        params={"mb_per_s": 5},
        rate=_UNBROKEN,
    ),
    Overload("spike", Known("rejecting", 32, _both(5)), queue_s=5, spike=True),
)


def plan_of(overload: Overload, seed: int) -> dict[str, Any]:
    """Return the plan that brings the overload about; the seed varies the capacity by 8 %."""
    rate = overload.rate or 12.0 * (1 + 0.08 * (2 * Random(f"{overload.name}/{seed}").random() - 1))
    step = _STEP_S
    if overload.drains_s is not None and overload.rate is None:
        step = (overload.drains_s - _INSIDE_S) * (rate - BASE) / sum(max(load - rate, 0) for load in STEPS)
    limit = _PLENTY if overload.queue_s is None else max(round((overload.queue_s - _INSIDE_S) * (rate - BASE)), 1)
    phases = _spike() if overload.spike else _steps(step, overload)
    stress_s = sum(phase["duration"] for phase in phases[1:2])
    faults = [_station(rate, limit, overload)]
    if overload.fault:
        lasting = {"duration": f"{stress_s + overload.drains_s - _INSIDE_S}s"} if overload.drains_s else {}
        faults.append({"kind": overload.fault, "at": f"{_BEFORE_S}s", "params": overload.params, **lasting})
    limits = ({"metric": "latency_p95_ms", "below": 750}, {"metric": "error_rate", "below": 0.05})
    return {
        "id": "STRESS-TEST",
        "title": f"Stress test: {overload.name}",
        "covers": ["HXP-11", "VIC-6", "CAT-3"],
        "mix": {"ReadOnlyUser": {"timeout": "200s"}},
        "phases": phases,
        "criteria": [
            {"phase": "before", "metric": "success_rate", "at_least": 0.99},
            *({"phase": "stress", "severity": "warn", **limit} for limit in limits),
        ],
        "faults": faults,
        # A server in trouble is wanted here, and others may be at work on the machine.
        "generator": {"lag_p99_ms": 1000, "loop_lag_p99_ms": 1000},
        "pool": {"drain": "5s"},
    }


def _steps(step_s: float, overload: Overload) -> list[dict[str, Any]]:
    times = [float(value) for value in overload.known.recovery.values() if value != NEVER]
    after = max([20.0, *(time + _SPARE_S for time in times)])
    levels = {"from": STEPS[0], "to": STEPS[-1], "steps": len(STEPS)}
    return [
        {"name": "before", "rate": BASE, "duration": _BEFORE_S},
        {"name": "stress", "shape": "stress", "rate": levels, "duration": round(step_s * len(STEPS), 3)},
        {"name": "after", "rate": BASE, "duration": after},
    ]


def _spike() -> list[dict[str, Any]]:
    return [
        {"name": "before", "rate": BASE, "duration": _BEFORE_S},
        {
            "name": "stress",
            "shape": "spike",
            "rate": {"base": BASE, "peak": STEPS[-1]},
            "rise": 1,
            "hold": 8,
            "fall": 1,
            "duration": 62,
        },
    ]


def _station(rate: float, limit: int, overload: Overload) -> dict[str, Any]:
    servers = round(_SERVERS * rate / 12)
    params = {"rps": round(rate, 4), "servers": servers, "queue_limit": limit, **overload.station}
    return {"kind": "capacity", "params": params}
