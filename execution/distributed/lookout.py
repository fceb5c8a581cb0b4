"""The run as a master sees it: it asks the server under test before and after the load, and makes none."""

from pathlib import Path
from random import Random

from execution import judging
from plans.schema import Plan
from samples.recorder import Recorder
from scenarios.dispatcher import Dispatcher
from scenarios.session import Clock, Session, secrets_of
from shapes.arrivals import Schedule

MASTER = "master"


def session(plan: Plan, seed: int, schedule: Schedule, folder: Path) -> Session:
    """Return the session of a run whose load is made elsewhere."""
    clock = Clock()
    recorder = Recorder(MASTER, clock, (*secrets_of(plan), *judging.secrets_of(plan)))
    idle = Dispatcher(
        schedule.rows(slice(0, 0)),
        shares={name: arriving.share for name, arriving in plan.mix.arriving().items()},
        thinks={phase.name: phase.think for phase in plan.phases},
        pool=plan.pool,
        clock=clock,
        drop=lambda arrival, why: None,
        random=Random(seed),
    )
    return Session(plan, plan.target.host, seed, 0, clock, recorder, idle, folder)
