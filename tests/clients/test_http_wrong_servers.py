"""Ten thousand wrong exchanges: each ends by its name, and none leaves a socket, a watcher or a greenlet behind."""

from __future__ import annotations

import gc
import socket
import struct
from collections import Counter
from typing import Any

import gevent
import psutil
import pytest

from clients.connection import Connection
from clients.errors import ClientError
from clients.http import HttpClient, Options
from clients.options import Limits
from tests.clients.wire import WireServer, read_request

_RESET = struct.pack("ii", 1, 0)
_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_GZIP = _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
LIMITS = Limits(header_bytes=4000, body_bytes=20_000)
OPTIONS = Options(compression=True, limits=LIMITS, idle_timeout=0.02)

WRONG: dict[str, tuple[bytes, str, str]] = {
    "closes without a response": (b"", "close", "ConnectionLost: the server closed the connection without a response"),
    "resets without a response": (b"", "reset", "ConnectionLost: connection reset by peer"),
    "resets in a header": (_HEAD + b"Conte", "reset", "ConnectionLost: connection reset by peer"),
    "closes in a header": (_HEAD + b"Conte", "close", "ConnectionLost: the server closed the connection in the middle"),
    "resets in a body": (_HEAD + b"Content-Length: 9\r\n\r\nhal", "reset", "ConnectionLost: connection reset by peer"),
    "says too long a length": (_HEAD + b"Content-Length: 9\r\n\r\nhal", "close", "ConnectionLost: the server closed"),
    "resets in a chunk": (_CHUNKED + b"9\r\nhal", "reset", "ConnectionLost: connection reset by peer"),
    "closes between chunks": (_CHUNKED + b"3\r\nhal\r\n", "close", "ConnectionLost: the server closed"),
    "writes garbage": (b"\x16\x03\x01\x02\x00garbage", "close", "BadResponse: not a valid HTTP response: Expected"),
    "has a length that is none": (_HEAD + b"Content-Length: x\r\n\r\n", "close", "BadResponse: not a"),
    "has a chunk that is none": (_CHUNKED + b"xyz\r\n", "close", "BadResponse: not a valid HTTP response: Inv"),
    "has two lengths": (_HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "close", "BadResponse: not a"),
    "has a huge header": (_HEAD + b"X: " + b"y" * 9000, "stay", "BadResponse: not a valid HTTP response: headers are"),
    "has endless headers": (_HEAD + b"X: y\r\n" * 2000, "stay", "BadResponse: not a valid HTTP response: headers are"),
    "sends too much": (_HEAD + b"\r\n" + b"x" * 90_000, "close", "TooLong: the body is longer than 20000 bytes"),
    "sends a body that is no gzip": (_GZIP, "close", "BadResponse: the body is not valid gzip"),
    "changes the protocol": (
        b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "close",
        "BadResponse: not a valid HTTP response: it changes the protocol"),
    "falls silent": (_CHUNKED + b"3\r\nhal\r\n", "stay", "TimedOut: no byte for 0.02 s in the middle of the response"),
    "speaks HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", "close", "200 hello"),
    "answers twice": ((_HEAD + b"Content-Length: 5\r\n\r\nhello") * 2, "close", "200 hello"),
    "says too short a length": (_HEAD + b"Content-Length: 5\r\n\r\nhello, world", "close", "200 hello"),
}  # fmt: skip


def serve(sock: Any) -> None:
    """Do what the path names."""
    request = read_request(sock)
    if not request:
        return
    name = request.split(b" ")[1].decode().strip("/").replace("_", " ").replace("-", "/")
    data, end, _ = WRONG[name]
    sock.sendall(data)
    if end == "reset":
        gevent.sleep(0)
        gevent.sleep(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    elif end == "stay":
        sock.recv(1)  # until the client has had enough


def outcome(client: HttpClient, name: str, method: str = "POST") -> str:
    try:
        response = client.request(method, "/" + name.replace("/", "-").replace(" ", "_"), timeout=5)
    except ClientError as error:
        return f"{type(error).__name__}: {error}"
    return f"{response.status} {response.body.decode()}"


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_server_has_one_outcome(name: str) -> None:
    with WireServer(serve) as server:
        for method in ("POST", "GET"):
            with HttpClient(server.url, options=OPTIONS) as client:
                assert outcome(client, name, method).startswith(WRONG[name][2])


def living(kind: type) -> int:
    return sum(1 for one in gc.get_objects() if isinstance(one, kind) and not getattr(one, "dead", False))


@pytest.mark.clock
def test_ten_thousand_wrong_exchanges_leave_nothing_behind() -> None:
    process = psutil.Process()
    names = [name for name in WRONG if name not in {"falls silent", "sends too much", "has endless headers"}]
    found: Counter[str] = Counter()

    def ask(url: str, times: int) -> None:
        with HttpClient(url, options=OPTIONS) as client:
            for number in range(times):
                name = names[number % len(names)]
                found[name if outcome(client, name, "GET").startswith(WRONG[name][2]) else f"not {name}"] += 1

    def load(url: str, times: int) -> tuple[int, int, int]:
        gevent.joinall([gevent.spawn(ask, url, times) for _ in range(10)], raise_error=True)
        gevent.sleep(0.01)
        gc.collect()
        return process.num_fds(), living(gevent.Greenlet), living(Connection)

    with WireServer(serve) as server:
        before = load(server.url, len(names))
        memory = process.memory_info().rss
        after = load(server.url, 1000)
    assert {name.startswith("not ") for name in found} == {False}, found
    assert sum(found.values()) == 10_000 + 10 * len(names)
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert after[2] <= 1  # the loop stands in the callback of the last one until it turns again
    assert process.memory_info().rss - memory < 20 * 2**20


def test_clients_that_nobody_closes_close_themselves() -> None:
    process = psutil.Process()
    with WireServer(lambda sock: sock.sendall(_HEAD + b"Content-Length: 0\r\n\r\n") or sock.recv(99999)) as server:
        HttpClient(server.url).request("GET", "/")
        gevent.sleep(0.01)
        before = process.num_fds()
        for _ in range(20):
            HttpClient(server.url).request("GET", "/")
        gevent.sleep(0.01)
        assert process.num_fds() <= before
