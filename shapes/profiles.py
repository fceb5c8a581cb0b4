"""The LoadTestShape classes: a plan's own sequence, and the five classic profiles at 50 RPS with a stress test.

A shape sets how many users there are; when they act is the schedule's business (`shapes.arrivals`). Bound to a
driver, as `locustfile.py` does it, a shape asks the driver how many users the arrivals need just now. Without one,
in anybody's locustfile, the rate is read as a number of users: pair it with `wait_time = constant_throughput(1)`
and users x 1/s approximate the rate, as well as plain Locust can.
"""

import math
from typing import ClassVar, Protocol

from locust import LoadTestShape, User

from plans.phases import Phase
from shapes.pacers import pacer_of

Tick = tuple[int, float] | tuple[int, float, list[type[User]] | None]


class Driver(Protocol):
    """What a bound shape asks: it conducts the run, and knows how many users the schedule needs."""

    def begin(self, phases: tuple[Phase, ...] | None) -> None:
        """A run starts, with these phases in place of the plan's when there are any."""

    def tick(self) -> Tick | None:
        """Return (users, spawn rate, user classes), or None when the run is over."""


class PlanShape(LoadTestShape):
    """The sequence of phases of the plan given by `--plan`."""

    driver: ClassVar[Driver | None] = None
    phases: ClassVar[tuple[Phase, ...] | None] = None

    def reset_time(self) -> None:
        """Start the run's time axis; Locust calls this at the start of a run, before the first tick."""
        super().reset_time()
        if PlanShape.driver is not None:
            PlanShape.driver.begin(self.phases)

    def tick(self) -> Tick | None:
        """Return how many users there must be now, or None when the run is over."""
        if PlanShape.driver is not None:
            return PlanShape.driver.tick()
        return self._users_for_rate(self.get_run_time())

    def _users_for_rate(self, t: float) -> Tick | None:
        start = 0.0
        for phase in self.phases or ():
            if t < start + phase.duration:
                users = math.ceil(pacer_of(phase).rate(t - start))
                return users, max(float(users), 1.0)
            start += phase.duration
        return None


class BaselineShape(PlanShape):
    """10 RPS for 5 minutes."""

    phases = (Phase(name="baseline", shape="baseline", rate=10, duration="5m"),)


class RampShape(PlanShape):
    """10 to 50 RPS over 10 minutes."""

    phases = (Phase(name="ramp", shape="ramp", rate={"from": 10, "to": 50}, duration="10m"),)


class SustainedShape(PlanShape):
    """50 RPS for 30 minutes."""

    phases = (Phase(name="sustained", shape="sustained", rate=50, duration="30m"),)


class SpikeShape(PlanShape):
    """50 RPS, a burst to 150 RPS, and back to 50, over 5 minutes."""

    phases = (Phase(name="spike", shape="spike", rate={"base": 50, "peak": 150}, duration="5m"),)


class SoakShape(PlanShape):
    """50 RPS for 4 hours."""

    phases = (Phase(name="soak", shape="soak", rate=50, duration="4h"),)


class StressShape(PlanShape):
    """50 to 300 RPS upward in six steps over 15 minutes."""

    phases = (Phase(name="stress", shape="stress", rate={"from": 50, "to": 300, "steps": 6}, duration="15m"),)


PROFILES: tuple[type[PlanShape], ...] = (
    BaselineShape,
    RampShape,
    SustainedShape,
    SpikeShape,
    SoakShape,
    StressShape,
)
