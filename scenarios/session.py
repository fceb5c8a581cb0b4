"""What every user of a run shares: one typed object on the user class, set when a run begins."""

import os
import time
from dataclasses import dataclass, field
from random import Random

import gevent.event

from plans.run import derive_seed
from plans.schema import Plan
from samples.recorder import Recorder
from scenarios.dispatcher import Dispatcher


def token_of(plan: Plan) -> str | None:
    """Return the bearer token for the target; it comes from the environment and is kept nowhere else."""
    variable = plan.target.api_key_env
    return (os.environ.get(variable) or None) if variable else None


class Clock:
    """Seconds from the run's origin, on the monotonic clock; negative until the load begins."""

    __slots__ = ("origin",)

    def __init__(self) -> None:
        self.origin = time.monotonic()

    def __call__(self) -> float:
        """Return the time now."""
        return time.monotonic() - self.origin

    def at(self, moment: float) -> float:
        """Return a moment of `time.monotonic()` in seconds from the origin."""
        return moment - self.origin


@dataclass(slots=True)
class Session:
    """One run in this process."""

    plan: Plan
    host: str
    seed: int
    stripe: int
    clock: Clock
    recorder: Recorder
    dispatcher: Dispatcher
    started: gevent.event.Event = field(default_factory=gevent.event.Event)
    """Set at the run's origin; users that hold connections wait for it."""
    stopping: gevent.event.Event = field(default_factory=gevent.event.Event)
    """Set when no further work may begin."""
    _random: dict[str, Random] = field(default_factory=dict)

    def random(self, name: str) -> Random:
        """Return the source of random numbers of one consumer, the same one at every call."""
        if name not in self._random:
            self._random[name] = Random(derive_seed(self.seed, name, self.stripe))
        return self._random[name]

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        token = token_of(self.plan)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def phase_at(self, t: float) -> str:
        """Return the name of the phase at `t` seconds; the first before the origin, the last after the end."""
        end = 0.0
        for phase in self.plan.phases:
            end += phase.duration
            if t < end:
                return phase.name
        return self.plan.phases[-1].name
