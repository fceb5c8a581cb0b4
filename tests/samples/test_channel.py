"""Parcels over a bad way: what is lost, doubled or overtaken changes nothing but the time."""

from pathlib import Path
from random import Random

import pytest

from samples.channel import Inbox, Outbox, Parcel, ParcelKind


class Way:
    """Between an outbox and an inbox: it loses, doubles and reorders parcels, and loses acknowledgements."""

    def __init__(self, spool: Path, seed: int, **outbox: int) -> None:
        self.random, self.now = Random(seed), 0.0
        self.outbox = Outbox(self.send, spool, **outbox)
        self.inbox, self.arrived = Inbox(), list[bytes]()
        self.on_the_way: list[Parcel] = []
        self.bad = 0.3
        self.most_in_memory = 0

    def send(self, parcel: Parcel) -> None:
        if self.random.random() < self.bad:
            if self.random.random() < 0.3:
                raise OSError("no connection")
            return
        copies = 2 if self.random.random() < self.bad else 1
        for _ in range(copies):
            self.on_the_way.insert(self.random.randint(0, len(self.on_the_way)), parcel)

    def step(self) -> None:
        self.now += 0.5
        self.most_in_memory = max(self.most_in_memory, self.outbox.in_memory)
        self.outbox.pump(self.now)
        parcels, self.on_the_way = self.on_the_way, []
        for parcel in parcels:
            if self.inbox.takes(parcel):
                self.arrived.append(parcel.data)
            if self.random.random() >= self.bad:
                self.outbox.acknowledge(self.inbox.expected, self.now)


@pytest.mark.parametrize("seed", range(5))
def test_everything_arrives_once_and_in_order_over_a_way_that_loses_doubles_and_reorders(
    tmp_path: Path, seed: int
) -> None:
    way, random = Way(tmp_path / "spool", seed, memory=5000), Random(seed)
    sent = []
    for number in range(200):
        sent.append(random.randbytes(random.randint(0, 700)) + number.to_bytes(2, "big"))
        way.outbox.put(ParcelKind.SAMPLES, sent[-1])
        if number % 3 == 0:
            way.step()
    for _ in range(20_000):
        if not way.outbox.waiting:
            break
        way.step()
    assert way.arrived == sent
    assert way.outbox.spooled > 0
    assert way.most_in_memory <= 5000


def test_without_the_other_end_memory_is_bounded_and_the_rest_is_on_disk_until_it_has_arrived(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    way = Way(spool, 1, memory=10_000)
    way.bad = 1.0
    for _ in range(100):
        way.outbox.put(ParcelKind.SAMPLES, b"x" * 1000)
        way.step()
    assert way.outbox.in_memory == 10_000
    assert spool.stat().st_size == 90_000
    way.bad = 0.0
    while way.outbox.waiting:
        way.step()
    assert way.arrived == [b"x" * 1000] * 100
    way.outbox.put(ParcelKind.SAMPLES, b"y" * 20_000)
    assert spool.stat().st_size == 20_000, "what has arrived takes no place any more"
    way.outbox.close()
    assert not spool.exists()


def test_no_more_than_a_window_is_on_the_way_and_it_is_sent_again_only_after_a_while(tmp_path: Path) -> None:
    sent: list[int] = []
    outbox = Outbox(lambda parcel: sent.append(parcel.number), tmp_path / "spool", window=3, patience_s=2.0)
    for _ in range(10):
        outbox.put(ParcelKind.READINGS, b"")
    outbox.pump(0.0)
    outbox.pump(1.9)
    assert sent == [0, 1, 2]
    outbox.acknowledge(2, 1.9)
    outbox.pump(1.9)
    assert sent == [0, 1, 2, 3, 4]
    outbox.pump(4.0)
    assert sent == [0, 1, 2, 3, 4, 2, 3, 4]
