"""A Locust worker that makes no load: it sends made-up segments to a master, as a worker sends its samples.

Arguments: port, samples in a segment, segments, seconds between two (0: as fast as the master takes them).
"""

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust import User
from locust.env import Environment
from locust.rpc import Message

from benchmarks.programs.segment_master import RUN
from execution.distributed import identity
from execution.distributed.messages import MESSAGE, FromWorker, Hello, Received, Sent, Welcome, packed, unpacked
from samples.channel import Outbox, Parcel, ParcelKind
from samples.sample import Outcome, Protocol, Sample
from samples.segments import SAMPLE_SCHEMA, encode, keep_arrow_small, pack

_MOST_WAITING = 64


def segment(rows: int) -> bytes:
    """Return samples of simple requests as a worker packs them."""
    samples = [
        Sample(
            due_s=i / rows, sent_s=i / rows + 1e-4 * (i % 7), done_s=i / rows + 0.01 + 1e-5 * (i * 7919 % 1000),
            outcome=Outcome.OK, phase="sustained", scenario="ReadOnlyUser", name=f"GET /runs/{i % 10}",
            protocol=Protocol.HTTP, worker="0", arrival=i, iteration=True, status=200, bytes_in=1000 + i % 50,
        )
        for i in range(rows)
    ]  # fmt: skip
    return pack(encode(samples, SAMPLE_SCHEMA))


def main(port: int, rows: int, count: int, pause: float) -> None:
    """Send everything, and end when the master has it."""
    keep_arrow_small()
    runner = Environment(user_classes=[User]).create_worker_runner("127.0.0.1", port)
    welcome = gevent.event.Event()

    def send(message: FromWorker) -> None:
        runner.client.socket.send(Message(MESSAGE, packed(message), runner.client_id).serialize())

    def send_parcel(parcel: Parcel) -> None:
        send(Sent(RUN, parcel))

    outbox = Outbox(send_parcel, Path(f"/tmp/segment-worker-{os.getpid()}"))

    def on_message(environment: Environment, msg: Any) -> None:
        message = unpacked(msg.data)
        if isinstance(message, Welcome):
            welcome.set()
        elif isinstance(message, Received):
            outbox.acknowledge(message.below, time.monotonic())

    runner.register_message(MESSAGE, on_message)
    while not welcome.wait(0.5):
        send(Hello(identity.code(), os.getpid(), platform.node()))
    data, begun = segment(rows), time.monotonic()
    for number in range(count):
        while outbox.waiting >= _MOST_WAITING or time.monotonic() < begun + number * pause:
            outbox.pump(time.monotonic())
            gevent.sleep(0.002 if pause == 0 else 0.05)
        outbox.put(ParcelKind.SAMPLES, data, rows)
    while outbox.waiting:
        outbox.pump(time.monotonic())
        gevent.sleep(0.02)
    outbox.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
