"""One process of several that share a schedule: `python -m tests.execution.stripe_process I N ORIGIN PLAN HOST`.

It hands its stripe over as a run does, on the shared origin of the monotonic clock, to users that make one request.
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


def main(i: int, n: int, origin: float, plan_file: Path, host: str) -> None:
    """Make the requests of stripe i of n."""
    plan = load(plan_file)
    dispatcher = Dispatcher(
        schedule(plan, seed=1).stripe(i, n),
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
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
