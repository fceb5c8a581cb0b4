"""The WebSocket client against a server of the `websockets` library, in a process of its own."""

from __future__ import annotations

import gc
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gevent
import psutil
import pytest

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut
from clients.websocket import Connection, Message
from tests.clients.servers import ROOT, Script, ScriptServer


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]

    def line(self) -> dict[str, int]:
        assert self.process.stdout is not None
        told: dict[str, int] = json.loads(self.process.stdout.readline())
        return told


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.clients.websocket_server"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["port"]
    yield Server(f"http://127.0.0.1:{port}", process)
    process.stdin.close()
    process.wait(5)


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., Connection]]:
    opened: list[Connection] = []

    def one(path: str, headers: dict[str, str] | None = None, timeout: float = 5.0) -> Connection:
        opened.append(Connection(server.url, path, headers or {}, timeout))
        return opened[-1]

    yield one
    for connection in opened:
        connection.close()


Connect = Callable[..., Connection]


def text(connection: Connection) -> str:
    received = connection.receive(2)
    assert isinstance(received, Message)
    return received.text


def test_messages_go_there_and_back_in_order(connect: Connect) -> None:
    connection = connect("/echo")
    words = ["a", "é€😀", "", "x" * 200_000]
    for word in words:
        connection.send(word)
    assert [text(connection) for _ in words] == words


def test_the_connect_is_timed_and_the_headers_are_sent(connect: Connect) -> None:
    before = time.monotonic()
    connection = connect("/headers", {"Authorization": "Bearer x"})
    assert before <= connection.began < connection.opened <= time.monotonic()
    assert connection.connect_ms == pytest.approx((connection.opened - connection.began) * 1000)
    assert json.loads(text(connection))["Authorization"] == "Bearer x"


@pytest.mark.alone
def test_messages_are_stamped_when_they_arrive(connect: Connect) -> None:
    connection = connect("/paced?count=25&gap=0.01")
    delays = []  # one machine, one monotonic clock
    for number in range(25):
        received = connection.receive(2)
        assert isinstance(received, Message)
        message = json.loads(received.text)
        assert message["sequence"] == number
        delays.append(received.stamp - message["sent"])
    assert min(delays) > 0
    assert statistics.median(delays) < 0.003


def test_a_message_in_fragments_is_one_message_and_bytes_are_read_as_text(connect: Connect) -> None:
    connection = connect("/fragments")
    assert text(connection) == "part 0;part 1;part 2;part 3;part 4;"
    assert text(connection) == "café \ufffd"


def test_a_ping_of_the_server_is_answered_and_is_no_message(connect: Connect) -> None:
    assert text(connect("/ping")) == "answered"


def test_a_quiet_connection_gives_none_in_time_and_stays_open(connect: Connect) -> None:
    connection = connect("/echo")
    began = time.monotonic()
    assert connection.receive(0.1) is None
    assert 0.09 < time.monotonic() - began < 1
    connection.send("still there")
    assert text(connection) == "still there"


@pytest.mark.alone
def test_waiting_for_a_message_stops_nobody_else(connect: Connect) -> None:
    waiting = gevent.spawn(connect("/echo").receive, 0.5)
    began = time.monotonic()
    gevent.sleep(0.05)
    assert time.monotonic() - began < 0.4
    assert waiting.get() is None


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4001])
def test_a_close_of_the_server_is_a_lost_connection_with_its_code(connect: Connect, code: int) -> None:
    connection = connect(f"/close?code={code}")
    assert text(connection) == "last words"
    with pytest.raises(ConnectionLost, match=f"closed by the server with code {code}"):
        connection.receive(2)
    assert connection.status == code


def test_a_connection_that_is_cut_has_no_code(connect: Connect) -> None:
    connection = connect("/drop")
    assert text(connection) == "last words"
    with pytest.raises(ConnectionLost):
        connection.receive(2)
    assert connection.status is None
    with pytest.raises(ConnectionLost):
        connection.send("x")


def test_the_server_is_told_goodbye(connect: Connect, server: Server) -> None:
    connect("/saw-close").close()
    assert server.line() == {"close_code": 1000}


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_a_refused_upgrade_has_the_status_of_the_answer(connect: Connect, status: int) -> None:
    with pytest.raises(BadResponse, match=f"HTTP {status}") as caught:
        connect(f"/refuse?status={status}")
    assert caught.value.status == status
    assert caught.value.sent is not None


def test_a_redirect_is_a_refusal_and_is_not_followed(connect: Connect) -> None:
    with pytest.raises(BadResponse, match="HTTP 302") as caught:
        connect("/elsewhere")
    assert caught.value.status == 302


def test_an_upgrade_that_is_not_answered_runs_into_the_timeout(connect: Connect) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"within 0\.2 s"):
        connect("/slow", timeout=0.2)
    assert time.monotonic() - began < 2


def test_an_upgrade_that_drips_in_runs_into_the_timeout_all_the_same() -> None:
    script = Script()
    for step in range(60):
        script.at(0.05 * step).send(b"H" if step == 0 else b"T")
    with ScriptServer() as dripping:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            Connection(dripping.url, script.path(), {}, 0.3)
        assert time.monotonic() - began < 1.5


def test_a_connection_cut_during_the_upgrade_is_a_failed_connect(connect: Connect) -> None:
    with pytest.raises(ConnectFailed):
        connect("/vanish")


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed, match="connection refused") as caught:
        Connection(f"http://127.0.0.1:{port}", "/", {}, 2)
    assert caught.value.sent is not None


def test_an_answer_that_is_no_upgrade_is_a_failed_connect() -> None:
    with ScriptServer() as plain_server, pytest.raises((ConnectFailed, BadResponse)):
        Connection(plain_server.url, Script().send(b"junk\r\n\r\n").close().path(), {}, 2)


@pytest.mark.parametrize("path", ["/echo", "/close?code=1000", "/drop"])
def test_a_closed_connection_leaves_no_open_socket(server: Server, path: str) -> None:
    process = psutil.Process()
    gevent.get_hub()
    gc.collect()  # what earlier tests left to it is not to go meanwhile
    before = process.num_fds()
    held = [Connection(server.url, path, {}, 2) for _ in range(5)]
    for connection in held:
        try:
            while connection.receive(0.05) is not None:
                pass
        except ConnectionLost:
            pass
        connection.close()
        connection.close()
    assert process.num_fds() <= before
