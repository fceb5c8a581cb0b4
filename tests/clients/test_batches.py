"""Sockets that are read together: at once while little arrives, once a millisecond while much does; none is lost."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

import gevent
import pytest

from clients.arrival import Reader, reader
from clients.batches import Batch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has epoll")

STREAMS, EVENT = 50, b"x" * 40


class Lines:
    """Connections in a batch: what arrives on each, with its stamp, and when it was taken."""

    def __init__(self, count: int) -> None:
        self.batch = Batch(gevent.get_hub().loop)
        self.servers, self.clients = list[socket.socket](), list[socket.socket]()
        self.taken: list[list[tuple[float, int]]] = [[] for _ in range(count)]
        with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
            for _ in range(count):
                client = socket.create_connection(listener.getsockname())
                client.setblocking(False)
                self.clients.append(client)
                self.servers.append(listener.accept()[0])
                self.servers[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        readers = [reader(client) for client in self.clients]
        self.members = [self.batch.member(client.fileno()) for client in self.clients]
        for number, member in enumerate(self.members):
            member.start(partial(self.take, number, readers[number]))

    def take(self, number: int, read: Reader) -> None:
        data, moment = read(4096)
        self.taken[number].append((moment, len(data)))

    def close(self) -> None:
        for member in self.members:
            member.close()
        for one in (*self.servers, *self.clients):
            one.close()


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines(STREAMS)
    yield lines
    lines.close()


def speak(lines: Lines, rate: float, seconds: float) -> list[list[float]]:
    """Send on every line in turn, so many events per second in all; return the moments, line by line."""
    sent: list[list[float]] = [[] for _ in lines.servers]

    def run() -> None:
        begin = time.monotonic()
        for number in range(round(rate * seconds)):
            time.sleep(max(begin + number / rate - time.monotonic(), 0))
            line = number % len(lines.servers)
            sent[line].append(time.monotonic())
            lines.servers[line].sendall(EVENT)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        gevent.sleep(0.002)
    gevent.sleep(0.01)
    return sent


def test_little_is_read_at_once(lines: Lines) -> None:
    sent = speak(lines, rate=200, seconds=0.5)
    assert not lines.batch.is_waiting
    assert [len(events) for events in lines.taken] == [len(events) for events in sent]


def test_much_is_read_together_with_every_stamp_true_and_little_at_once_again(lines: Lines) -> None:
    sent = speak(lines, rate=4000, seconds=1)
    assert lines.batch.is_waiting
    for events, moments in zip(lines.taken, sent, strict=True):
        assert sum(size for _, size in events) == len(EVENT) * len(moments)
        if len(events) == len(moments):  # on a busy machine two events of a line may have been one read
            assert all(0 <= stamp - moment < 0.005 for (stamp, _), moment in zip(events, moments, strict=True))
    assert sum(map(len, lines.taken)) > 0.9 * sum(map(len, sent))
    speak(lines, rate=100, seconds=0.4)
    assert not lines.batch.is_waiting


def test_fast_streams_are_read_at_once(lines: Lines) -> None:
    for member in lines.members[5:]:
        member.stop()
    del lines.servers[5:]
    speak(lines, rate=4000, seconds=0.5)
    assert not lines.batch.is_waiting


def test_one_that_fails_and_one_that_closes_another_keep_nobody_from_being_read(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        lines.members[0].stop()
        lines.members[1].close()  # which had something to read as well
        raise ValueError("wrong")

    lines.members[0].callback = fail
    for server in lines.servers:
        server.sendall(EVENT)
    gevent.sleep(0.05)
    assert [len(events) for events in lines.taken] == [0, 0, *[1] * (STREAMS - 2)]
    assert "ValueError: wrong" in capsys.readouterr().err


def test_what_came_while_nobody_was_to_be_told_is_told_of_later(lines: Lines) -> None:
    lines.members[3].stop()
    lines.servers[3].sendall(EVENT)
    gevent.sleep(0.02)
    assert lines.taken[3] == []
    callback = lines.members[3].callback
    assert callback is not None
    lines.members[3].start(callback)
    gevent.sleep(0.02)
    assert len(lines.taken[3]) == 1


def test_an_empty_batch_does_not_keep_the_event_loop_from_its_end() -> None:
    lines = Lines(2)
    assert gevent.get_hub().join(timeout=0.05) is not True
    lines.close()
    assert gevent.get_hub().join(timeout=1) is True
