"""Bytes are stamped when they reach the machine, and not when somebody comes to read them."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from clients import arrival
from clients.arrival import reader

LATE_S = 0.08
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's stamps are asked for on Linux alone")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, the server's first; the client's does not block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    with server, client:
        yield server, client


@linux
def test_a_stamp_has_nothing_of_the_time_for_which_bytes_lay_unread(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    read = reader(client)
    before = time.monotonic()
    server.sendall(b"hello")
    after = time.monotonic()
    time.sleep(LATE_S)
    data, moment = read(100)
    assert data == b"hello"
    assert before <= moment <= after + 0.01


@linux
def test_what_lay_together_has_the_stamp_of_its_last_packet(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    read = reader(client)
    for _ in range(3):
        last = time.monotonic()
        server.sendall(b"x" * 100)
        after = time.monotonic()
        time.sleep(0.02)
    time.sleep(LATE_S)
    data, moment = read(1000)
    assert len(data) == 300
    assert last <= moment <= after + 0.01


def test_the_end_of_a_connection_and_nothing_to_read(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    read = reader(client)
    with pytest.raises(BlockingIOError):
        read(100)
    server.close()
    time.sleep(0.02)
    before = time.monotonic()
    data, moment = read(100)
    assert data == b""
    assert before <= moment <= time.monotonic()


@linux
@pytest.mark.parametrize("set_by", [-3600.0, 3600.0])
def test_a_wall_clock_that_was_set_makes_no_stamp_wrong(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    server, client = ends
    read = reader(client)
    server.sendall(b"hello")
    monkeypatch.setattr(arrival, "time", lambda: time.time() + set_by)
    before = time.monotonic()
    _, moment = read(100)
    assert before <= moment <= time.monotonic()


@linux
def test_stamps_never_go_back(ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = ends
    read, stamps = reader(client), list[float]()
    for slow in (0.0, 0.5, 0.0, 0.5):  # a wall clock that is moved to and fro by less than what is believed
        server.sendall(b"x")
        monkeypatch.setattr(arrival, "time", lambda slow=slow: time.time() + slow)
        stamps.append(read(1)[1])
    assert all(a <= b for a, b in pairwise(stamps))


def test_a_socket_without_stamps_has_the_moment_of_the_read() -> None:
    server, client = socket.socketpair()
    with server, client:
        client.setblocking(False)
        read = reader(client)
        server.sendall(b"hello")
        time.sleep(0.02)
        before = time.monotonic()
        data, moment = read(100)
        assert data == b"hello"
        assert before <= moment <= time.monotonic()
