"""One process of several that share a schedule: `python -m tests.execution.stripe_process I N PLAN HOST`.

It says that it is ready, reads the origin of the monotonic clock that all of them share, and hands its stripe over as
a run does, to users that make one request.
"""

import sys
import time
from pathlib import Path
from random import Random

import gevent

from clients.http import HttpClient
from plans.loading import load
from scenarios.dispatcher import Arrival, Dispatcher
from shapes.arrivals import schedule

_USERS = 40


def main(i: int, n: int, plan_file: Path, host: str) -> None:
    """Make the requests of stripe i of n."""
    plan = load(plan_file)
    stripe = schedule(plan, seed=1).stripe(i, n)
    print("ready", flush=True)
    origin = float(sys.stdin.readline())
    dispatcher = Dispatcher(
        stripe,
        shares={name: options.share for name, options in plan.mix.arriving().items()},
        thinks={},
        pool=plan.pool,
        clock=lambda: time.monotonic() - origin,
        drop=lambda arrival, reason: sys.exit(f"dropped {arrival}: {reason}"),
        random=Random(1),
    )

    def user() -> None:
        with HttpClient(host) as client:
            previous: Arrival | None = None
            while True:
                previous = dispatcher.take("EvaluationRunUser", previous)
                client.request("GET", "/")

    users = [gevent.spawn(user) for _ in range(_USERS)]
    dispatcher.run()
    while dispatcher.in_flight:
        gevent.sleep(0.01)
    gevent.killall(users)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
