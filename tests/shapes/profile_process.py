"""What the shapes say over time, as JSON. A process of its own: `shapes.profiles` imports Locust, which patches all."""

from __future__ import annotations

import json
import sys
import time

from locust import User

from plans.phases import Phase
from shapes import profiles
from shapes.profiles import PlanShape, Tick


class Recorder:
    """A driver that notes how it is asked."""

    def __init__(self) -> None:
        self.begun: list[list[str] | None] = []
        self.answers: list[Tick | None] = [(7, 7.0, [User]), None]

    def begin(self, phases: tuple[Phase, ...] | None) -> None:
        self.begun.append([phase.name for phase in phases] if phases else None)

    def tick(self) -> Tick | None:
        return self.answers.pop(0)


def unbound(name: str, moments: list[float]) -> list[Tick | None]:
    shape = getattr(profiles, name)()
    ticks = []
    for moment in moments:
        shape.start_time = time.perf_counter() - moment  # the clock of LoadTestShape.get_run_time
        ticks.append(shape.tick())
    return ticks


def main() -> None:
    asked: dict[str, list[float]] = json.loads(sys.argv[1])
    told: dict[str, object] = {name: unbound(name, moments) for name, moments in asked.items()}
    told["profiles"] = [profile.__name__ for profile in profiles.PROFILES]
    driver = Recorder()
    PlanShape.driver = driver
    shapes: list[type[PlanShape]] = [profiles.SpikeShape, PlanShape]
    bound = [shape() for shape in shapes]
    for shape in bound:
        shape.reset_time()
    users, rate, classes = bound[0].tick() or (0, 0.0, None)  # type: ignore[misc]
    told["bound"] = {"begun": driver.begun, "tick": [users, rate, [one.__name__ for one in classes or []]]}
    told["bound end"] = bound[0].tick()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
