"""A Locust master that takes the segments of workers in, as it does in a run; it tells what that costs.

It prints its port, and after each line of its input its CPU time, its memory, and how many samples it has on disk.
"""

import json
import sys
import time
from pathlib import Path

import gevent
import gevent.os
import pyarrow as pa
from locust import User
from locust.env import Environment

from execution.distributed.intake import Intake
from execution.distributed.messages import FromWorker, Received, Sent
from execution.distributed.workers import Known, Workers
from monitoring.generator import own_rss
from samples.channel import Parcel
from samples.live import LiveTallies
from samples.segments import keep_arrow_small
from samples.totals import Totals

RUN = "benchmark"


def main(folder: Path) -> None:
    """Take segments in until standard input ends."""
    keep_arrow_small()
    environment = Environment(user_classes=[User])
    runner = environment.create_master_runner("127.0.0.1", 0)
    workers, tallies, totals = Workers(environment), LiveTallies(), Totals()
    known: dict[str, Known] = {}

    def digest(batch: pa.RecordBatch) -> None:
        tallies.take(batch, time.monotonic())
        totals.take(batch)

    def arrived(worker: str, _: Parcel, expected: int) -> None:
        workers.tell(known[worker], Received(RUN, expected))

    intake = Intake(folder, digest, arrived)

    def hears(worker: Known, message: FromWorker) -> None:
        known[worker.name] = worker
        if isinstance(message, Sent):
            intake.put(worker.name, message.parcel)

    workers.hears = hears
    print(runner.server.port, flush=True)
    while gevent.os.tp_read(sys.stdin.fileno(), 1):
        rows = sum(desk.rows for desk in intake.desks.values())
        print(json.dumps({"cpu_s": time.process_time(), "rss": own_rss(), "rows": rows}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
