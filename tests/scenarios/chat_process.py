"""Real users of Locust against a server, and the samples that they leave, as JSON lines.

`python -m tests.scenarios.chat_process` reads one job (JSON) per line from its standard input, and answers each with a
line. A process of its own: Locust patches the standard library of the process that imports it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import gevent
import gevent.os
from locust.env import Environment

from plans.run import derive_seed
from plans.schema import Plan
from samples.recorder import Recorder
from samples.sample import Outcome, Protocol, Sample
from scenarios.base import ArrivingUser, LoadUser
from scenarios.conversations import ConversationUser
from scenarios.crud import EvaluationRunUser, HighVolumeUser, ReadOnlyUser
from scenarios.dispatcher import Arrival, Dispatcher
from scenarios.inference import ChatUser
from scenarios.openapi import OpenApiUser
from scenarios.retrieval import EmbeddingsUser, RerankUser
from scenarios.session import Clock, Session
from scenarios.sessions import LongSessionUser, SessionStressUser, SessionToolUser, SessionUser
from scenarios.tools import ToolUser
from shapes.arrivals import schedule

USERS: dict[str, type[ArrivingUser]] = {
    user.__name__: user
    for user in (
        ChatUser,
        ConversationUser,
        ToolUser,
        EmbeddingsUser,
        RerankUser,
        EvaluationRunUser,
        HighVolumeUser,
        ReadOnlyUser,
        OpenApiUser,
        SessionUser,
        SessionStressUser,
        LongSessionUser,
        SessionToolUser,
    )
}


def session(host: str, scenario: str, options: dict[str, Any], job: dict[str, float]) -> Session:
    """A session on one open phase, with the least around it that users need."""
    plan = Plan.model_validate(
        {
            "id": "t",
            "title": "t",
            "target": {"host": host},
            "mix": {scenario: {"timeout": job["timeout"]} | options},
            "phases": [{"name": "open", "duration": job["duration"], "rate": job["rate"]}],
        }
    )
    clock = Clock()
    recorder = Recorder("0", clock)

    def drop(arrival: Arrival, reason: str) -> None:
        sample = Sample(
            arrival.due, None, clock(), Outcome.DROPPED, arrival.phase, arrival.scenario, "(not sent)", Protocol.LLM
        )
        sample.arrival, sample.iteration, sample.error = arrival.index, True, reason
        recorder.add(sample)

    dispatcher = Dispatcher(
        schedule(plan, 1),
        shares={scenario: 1.0},
        thinks={"open": plan.phases[0].think},
        pool=plan.pool,
        clock=clock,
        drop=drop,
        random=Random(derive_seed(1, "think")),
    )
    return Session(plan, host, 1, 0, clock, recorder, dispatcher, Path())


def carry_out(host: str, scenario: str, options: dict[str, Any], job: dict[str, float]) -> dict[str, object]:
    """Run the phase to its end with one user, or kill the user at `kill_at`."""
    one, user_class = session(host, scenario, options, job), USERS[scenario]
    LoadUser.session = one
    user_class.prepare(one)
    if job["warm_up"]:
        user_class.warm_up(one)
        one.clock.origin = time.monotonic()
    user = user_class(Environment(user_classes=[user_class]))
    greenlet = gevent.spawn(user.run)
    one.clock.origin += 0.05
    conductor = gevent.spawn(one.dispatcher.run)
    if job["kill_at"]:
        gevent.sleep(job["kill_at"] - one.clock())
        greenlet.kill()
        conductor.join()
        one.dispatcher.drop_backlog("no user")
    else:
        conductor.join()
        while one.dispatcher.in_flight or one.dispatcher.waiting:
            gevent.sleep(0.005)
        greenlet.kill()
    user_class.wind_up(one)
    samples = [asdict(sample) for sample in one.recorder.take()]
    counts = {"offered": one.dispatcher.offered, "in_flight": one.dispatcher.in_flight, "begun": one.recorder.begun}
    return {"samples": samples, "notes": one.notes} | counts


def main() -> None:
    while line := gevent.os.tp_read(0, 1_000_000):  # jobs are written whole, and one at a time
        job = json.loads(line)
        print(json.dumps(carry_out(job["host"], job["scenario"], job["options"], job["numbers"])), flush=True)


if __name__ == "__main__":
    main()
