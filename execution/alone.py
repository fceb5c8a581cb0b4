"""One user alone, in this very thread, to be stepped through in a debugger: `python locustfile.py ChatUser`.

There is no schedule, no pool and no report: iterations follow one another, each request is printed as Locust's
`run_single_user` does it, and what the user's code does can be looked at as long as one likes.
"""

import argparse
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from locust import User
from locust import events as locust_events
from locust.debug import PrintListener
from locust.env import Environment
from locust.exception import StopUser

from execution import options
from execution.children import Child, StartError
from plans.hosts import EMBEDDED
from plans.problems import PlanError, Problem
from plans.schema import Plan
from samples.live import LocustStatistics
from samples.recorder import Recorder
from samples.sample import Sample
from scenarios import brought
from scenarios.base import LoadUser
from scenarios.brought import BroughtUser
from scenarios.dispatcher import Arrival, Dispatcher
from scenarios.session import Clock, Session, secrets_of
from shapes.arrivals import schedule

_BROKEN = 2


class _OneByOne(Dispatcher):
    """Hands out iterations as fast as they are asked for, until the session stops."""

    session: Session

    def take(self, scenario: str, previous: Arrival | None) -> Arrival:
        """Return an iteration that is due now."""
        if self.session.stopping.is_set():
            raise StopUser
        return Arrival(self.session.clock(), scenario, self.session.plan.phases[0].name)

    def leave(self, scenario: str, last: Arrival) -> None:
        """There is no place to give back."""


def main(classes: Mapping[str, object], arguments: Sequence[str] | None = None) -> int:
    """Run one of `classes`, or of the plan's own files, and return the exit code: 0, or 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="locustfile.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("user", help="user class of the plan's mix")
    parser.add_argument("--plan", default=options.DEFAULT_PLAN, help="the plan that has its options and its target")
    parser.add_argument("--host", help="URL of the server, in place of the plan's")
    parser.add_argument("--allow-host", help="further hosts that requests may go to, separated by commas")
    parser.add_argument("--seed", default=options.DEFAULT_SEED, help="seed of prompts and data")
    parser.add_argument("--requests", type=int, default=1, help="end after the iteration that has made so many")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            asked = Namespace(**vars(given), rate=0, time_scale=1, runs=scratch)
            plan = options.resolve(asked).plan
            cls = _class(given.user, plan, classes)
            _run(cls, plan, int(given.seed), given.requests, Path(scratch))
        except (PlanError, StartError) as error:
            print(error, file=sys.stderr)
            return _BROKEN
    return 0


def _class(name: str, plan: Plan, classes: Mapping[str, object]) -> type[User]:
    found = (dict(classes) | brought.classes(plan.mix)).get(name) if name in plan.mix.names() else None
    if not (isinstance(found, type) and issubclass(found, User)):
        allowed = ", ".join(plan.mix.names())
        raise PlanError([Problem("command line", "user", f"must be one of the plan's mix ({allowed}), got '{name}'")])
    return found


def _run(cls: type[User], plan: Plan, seed: int, requests: int, scratch: Path) -> None:
    environment = Environment(events=locust_events)
    PrintListener(environment)
    clock = Clock()
    recorder = Recorder("0", clock, secrets_of(plan))
    shares = {name: arriving.share for name, arriving in plan.mix.arriving().items()}
    thinks = {phase.name: phase.think for phase in plan.phases}
    dispatcher = _OneByOne(
        schedule(plan, seed), shares, thinks, plan.pool, clock, drop=lambda arrival, why: None, random=Random(seed)
    )
    session = Session(plan, plan.target.host, seed, 0, clock, recorder, dispatcher, scratch)
    dispatcher.session = LoadUser.session = BroughtUser.proofload_session = session

    def stop_when_enough(_: Sample) -> None:
        if recorder.recorded >= requests:
            session.stopping.set()

    recorder.listeners.append(stop_when_enough)
    recorder.announcers.append(LocustStatistics(environment))
    embedded = plan.target.host == EMBEDDED
    platform = Child("target", ["--port", "0", "--seed", str(seed)], scratch / "target.log") if embedded else None
    try:
        if issubclass(cls, LoadUser):
            cls.prepare(session)
        if platform is not None:
            session.host = str(platform.said()["url"])
        if issubclass(cls, LoadUser):
            cls.warm_up(session)
        session.started.set()
        cls(environment).run()
    finally:
        if issubclass(cls, LoadUser):
            cls.wind_up(session)
        if platform is not None:
            platform.stop()
