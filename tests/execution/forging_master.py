"""A master that orders its workers to load any host: `python -m tests.execution.forging_master PLAN HOST`.

It prints its port, and then as JSON what each worker says of the order: what keeps it from it.
"""

import json
import sys
from pathlib import Path

import gevent
from locust import User
from locust.env import Environment

from execution.distributed import identity
from execution.distributed.messages import FromWorker, Hello, Prepare, Ready
from execution.distributed.workers import Known, Workers
from plans.loading import load
from samples.segments import keep_arrow_small


def main(file: Path, host: str) -> None:
    """Send every worker the order, and never begin."""
    keep_arrow_small()
    plan = load(file)
    environment = Environment(user_classes=[User])
    runner = environment.create_master_runner("127.0.0.1", 0)
    workers = Workers(environment)

    def hears(worker: Known, message: FromWorker) -> None:
        if isinstance(message, Hello):
            workers.tell(worker, Prepare("forged", identity.revealed(plan), host, 1, 0, 1, {}, (), {}))
        elif isinstance(message, Ready):
            print(json.dumps(message.problems), flush=True)

    workers.hears = hears
    print(runner.server.port, flush=True)
    gevent.sleep(120)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
