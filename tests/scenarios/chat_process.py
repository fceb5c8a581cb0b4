"""Real chat users of Locust against a server, and the samples that they leave, as JSON lines.

`python -m tests.scenarios.chat_process` reads one job (JSON) per line from its standard input, and answers each with a
line. A process of its own: Locust patches the standard library of the process that imports it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from random import Random

import gevent
import gevent.os
from locust.env import Environment

from plans.run import derive_seed
from plans.schema import Plan
from samples.recorder import Recorder
from samples.sample import Outcome, Protocol, Sample
from scenarios.base import LoadUser
from scenarios.dispatcher import Arrival, Dispatcher
from scenarios.inference import ChatUser
from scenarios.session import Clock, Session
from shapes.arrivals import schedule


def session(host: str, path: str, job: dict[str, float]) -> Session:
    """A session on one open phase, with the least around it that users need."""
    mix = {"ChatUser": {"path": path, "prompts": "simple", "timeout": job["timeout"], "streaming": job["streaming"]}}
    plan = Plan.model_validate(
        {
            "id": "t",
            "title": "t",
            "mix": mix,
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
        shares={"ChatUser": 1.0},
        thinks={"open": plan.phases[0].think},
        pool=plan.pool,
        clock=clock,
        drop=drop,
        random=Random(derive_seed(1, "think")),
    )
    return Session(plan, host, 1, 0, clock, recorder, dispatcher)


def carry_out(job: dict[str, float], host: str, path: str) -> dict[str, object]:
    """Run the phase to its end with one user, or kill the user at `kill_at`."""
    one = session(host, path, job)
    LoadUser.session = one
    ChatUser.prepare(one)
    user = ChatUser(Environment(user_classes=[ChatUser]))
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
    samples = [asdict(sample) for sample in one.recorder.take()]
    return {"samples": samples, "offered": one.dispatcher.offered, "begun": one.recorder.begun}


def main() -> None:
    while line := gevent.os.tp_read(0, 1_000_000):  # jobs are written whole, and one at a time
        job = json.loads(line)
        print(json.dumps(carry_out(job["numbers"], job["host"], job["path"])), flush=True)


if __name__ == "__main__":
    main()
