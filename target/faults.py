"""Faults on demand: what can be switched on, with which parameters, and what is on now.

`PARAMETERS` is the whole contract. A fault is switched on with PUT /faults and a flat body, `{"kind":
"latency", "ms": 200, "duration_s": 30}`; putting a kind again replaces it. Random faults draw from a
generator that is seeded anew at each PUT, so a test sees the same sequence of failures every time.
"""

from __future__ import annotations

import asyncio
import difflib
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from .hogs import LEAKS, CpuHog, DiskHog, HandleHog, Hog, MemoryHog
from .station import Station, Work

SCOPES = ("all", "llm", "crud")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a fault: a number from low to high, or one of `choices`; no default: required."""

    default: float | str | None = None
    low: float = 0.0
    high: float = 1e6
    choices: tuple[str, ...] = ()
    whole: bool = False

    def allowed(self) -> str:
        """The permitted values in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        """Whether `value` is permitted; booleans are not numbers here."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())


_RATE = Parameter(default=1.0, high=1.0)
_SCOPE = Parameter(default="all", choices=SCOPES)
DURATION = Parameter(low=0.001, high=1e6)

PARAMETERS: dict[str, dict[str, Parameter]] = {
    "latency": {"ms": Parameter(), "jitter_ms": Parameter(default=0.0), "scope": _SCOPE},
    "stall": {"seconds": Parameter(low=0.001, high=3600)},
    "errors": {
        "rate": _RATE,
        "status": Parameter(default=500, low=400, high=599, whole=True),
        "scope": _SCOPE,
    },
    "reject": {"rate": _RATE},
    "drop_stream": {"rate": _RATE},
    "truncate_stream": {"rate": _RATE},
    "stream_error": {"rate": _RATE},
    "garble": {"rate": _RATE},
    "loop": {"rate": _RATE},
    "empty": {"rate": _RATE},
    "ws_loss": {"rate": _RATE},
    "ws_drop": {"rate": _RATE},
    "memory_leak": {"mb_per_s": Parameter(low=0.001, high=10_000), "at_most_mb": Parameter(default=1e6, low=0.1)},
    "memory_sawtooth": {"mb": Parameter(low=0.1, high=100_000), "seconds": Parameter(low=0.2, high=86_400)},
    "handle_leak": {"per_s": Parameter(low=0.001, high=1000), "of": Parameter(choices=LEAKS)},
    "session_leak": {"rate": _RATE},
    "cpu": {"cores": Parameter(low=0.01, high=64)},
    "disk": {"mb": Parameter(default=1.0, low=0.001, high=1000)},
    "capacity": {
        "rps": Parameter(low=0.01, high=1e5),
        "servers": Parameter(default=1, low=1, high=1000, whole=True),
        "queue_limit": Parameter(default=1e6, whole=True),
        "service": Parameter(default="constant", choices=("constant", "exponential")),
        "thrash": Parameter(default=0.0, high=1000),
        "kb_per_request": Parameter(default=0.0),
        "scope": _SCOPE,
    },
    "lock": {"ms": Parameter(low=0.01), "scope": _SCOPE},
    "crash": {"in_flight": Parameter(low=1, whole=True)},
    "slow_first_token": {"ms": Parameter()},
    "slow_decode": {"factor": Parameter(low=0.01, high=10_000)},
    "unhealthy": {},
}

STATIONS = ("lock", "capacity")
"""Faults that make requests queue, in the order in which a request passes them."""


class BadFaultError(Exception):
    """A fault that cannot be switched on; `problems` holds one mapping per wrong field."""

    def __init__(self, problems: list[dict[str, object]]) -> None:
        super().__init__(str(problems))
        self.problems = problems


class Fault:
    """One fault that is on."""

    def __init__(self, kind: str, values: Mapping[str, float | str], duration_s: float | None, seed: int) -> None:
        self.kind = kind
        self.values = dict(values)
        self.duration_s = duration_s
        self.started = time.monotonic()
        self.strikes = 0
        self._random = random.Random(f"{seed}:{kind}")

    def number(self, name: str) -> float:
        """The value of a numeric parameter, in the unit of its name."""
        return float(self.values[name])

    def covers(self, scope: str) -> bool:
        """Whether requests of `scope` ("llm", "crud" or "other") are hit; a fault without scope hits all."""
        return self.values.get("scope", "all") in {"all", scope}

    def strikes_now(self) -> bool:
        """Draw once at the fault's `rate`."""
        struck = self._random.random() < self.number("rate")
        self.strikes += struck
        return struck

    def delay_s(self) -> float:
        """`ms` plus or minus up to `jitter_ms`, in seconds, never below 0."""
        jitter = self.number("jitter_ms")
        return max(0.0, self.number("ms") + self._random.uniform(-jitter, jitter)) / 1e3

    def describe(self) -> dict[str, object]:
        """The fault as GET /faults shows it."""
        left = None if self.duration_s is None else max(0.0, self.started + self.duration_s - time.monotonic())
        return {"kind": self.kind, **self.values, "remaining_s": left, "strikes": self.strikes}


class Faults:
    """All faults of one server: the single place that request handling asks."""

    def __init__(self, seed: int) -> None:
        self.stalled = False
        self._seed = seed
        self._active: dict[str, Fault] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._flowing = asyncio.Event()
        self._hogs: dict[str, Hog] = {
            "memory_leak": MemoryHog(),
            "memory_sawtooth": MemoryHog(),
            "cpu": CpuHog(),
            "disk": DiskHog(),
            "handle_leak": HandleHog(),
        }
        self._stations: dict[str, Station] = {}

    def get(self, kind: str) -> Fault | None:
        """The fault of that kind if it is on."""
        return self._active.get(kind)

    def station(self, kind: str) -> Station | None:
        """The queue of the fault `capacity` or `lock` if it is on."""
        return self._stations.get(kind)

    def strikes(self, kind: str) -> bool:
        """Whether a random fault is on and hits this time."""
        fault = self._active.get(kind)
        return fault is not None and fault.strikes_now()

    def active(self) -> list[Fault]:
        """Every fault that is on."""
        return list(self._active.values())

    def put(self, body: object) -> Fault:
        """Switch a fault on from the body of a request; raises `BadFaultError`."""
        kind, values, duration_s = checked(body)
        self.clear(kind)
        fault = Fault(kind, values, duration_s, self._seed)
        self._active[kind] = fault
        if kind == "stall":
            duration_s = min(duration_s or math.inf, fault.number("seconds"))
            fault.duration_s = duration_s
            self._flowing.clear()
            self.stalled = True
        elif kind in STATIONS:
            self._stations[kind] = Station(_work(fault), self._seed)
        elif kind in self._hogs:
            self._hogs[kind].start(fault.values)
        if duration_s is not None:
            self._timers[kind] = asyncio.get_running_loop().call_later(duration_s, self.clear, kind)
        return fault

    def clear(self, kind: str) -> bool:
        """Switch one kind off and undo what it holds; false when it was not on."""
        timer = self._timers.pop(kind, None)
        if timer is not None:
            timer.cancel()
        if self._active.pop(kind, None) is None:
            return False
        if kind == "stall":
            self.stalled = False
            self._flowing.set()
        elif kind in STATIONS:
            self._stations.pop(kind).close()
        elif kind in self._hogs:
            self._hogs[kind].stop()
        return True

    def clear_all(self) -> None:
        """Switch everything off."""
        for kind in list(self._active):
            self.clear(kind)

    async def wait_while_stalled(self) -> None:
        """Return when no stall is on."""
        while self.stalled:
            await self._flowing.wait()


def _work(fault: Fault) -> Work:
    if fault.kind == "lock":
        return Work(servers=1, service_s=fault.number("ms") / 1e3, queue_limit=10**6)
    servers = int(fault.number("servers"))
    return Work(
        servers=servers,
        service_s=servers / fault.number("rps"),
        queue_limit=int(fault.number("queue_limit")),
        thrash=fault.number("thrash"),
        exponential=fault.values["service"] == "exponential",
        bytes_per_request=int(fault.number("kb_per_request") * 1024),
    )


def checked(body: object) -> tuple[str, dict[str, float | str], float | None]:
    """Kind, parameter values and duration in seconds; raises `BadFaultError` with each wrong field."""
    if not isinstance(body, dict):
        raise BadFaultError([_problem("body", body, 'an object such as {"kind": "latency", "ms": 200}')])
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in PARAMETERS:
        problem = _problem("kind", kind, "one of " + ", ".join(PARAMETERS))
        close = difflib.get_close_matches(str(kind), PARAMETERS, n=3, cutoff=0.4)
        raise BadFaultError([problem | {"suggestions": close}])
    known = PARAMETERS[kind]
    problems: list[dict[str, object]] = []
    values: dict[str, float | str] = {}
    for name, parameter in known.items():
        value = body.get(name, parameter.default)
        if parameter.accepts(value):
            values[name] = value if isinstance(value, str) else float(str(value))
        else:
            problems.append(_problem(name, value, parameter.allowed(), missing=name not in body))
    duration = body.get("duration_s")
    if duration is not None and not DURATION.accepts(duration):
        problems.append(_problem("duration_s", duration, DURATION.allowed()))
    only = "only " + ", ".join(["kind", *known, "duration_s"])
    unknown = body.keys() - known.keys() - {"kind", "duration_s"}
    problems.extend(_problem(str(name), body[name], only) for name in sorted(unknown))
    if problems:
        raise BadFaultError(problems)
    return kind, values, duration


def _problem(field: str, value: object, allowed: str, missing: bool = False) -> dict[str, object]:
    said = "is required" if missing else f"got {value!r}"
    return {
        "field": field,
        "value": value,
        "allowed": allowed,
        "message": f"{field} {said}; allowed: {allowed}",
    }
