"""What a client does when it is asked to: uploads, times, limits, Unix sockets, proxies, redirects, cookies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut, TooLong
from clients.http import HttpClient, Options
from clients.options import Limits
from tests.clients.wire import WireServer, answering, read_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def echo(sock: Any) -> None:
    """Answer every request with what arrived."""
    while request := read_request(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request), request))


# -- uploads --------------------------------------------------------------------------------------------------------


def test_a_body_of_unknown_length_is_sent_chunk_by_chunk_as_its_pieces_come() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"hello "
        gevent.sleep(0.01)
        yield b""
        yield b"world"

    with WireServer(echo) as server, HttpClient(server.url) as client:
        seen = client.request("POST", "/", pieces()).body
        assert seen.endswith(b"\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in seen
        assert b"Content-Length" not in seen
        assert client.request("POST", "/", b"x").connect_ms is None  # the connection was kept


def test_a_large_upload_that_the_socket_has_no_room_for_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    with WireServer(echo) as server, HttpClient(server.url) as client:
        response = client.request("PUT", "/", body)
        assert response.body.endswith(body)
        assert response.sent < response.written < response.first_byte  # type: ignore[operator]


@pytest.mark.parametrize("close", [True, False], ids=["and closes", "and stays"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "of known length"])
def test_an_early_answer_to_a_large_upload_is_the_answer(close: bool, chunked: bool) -> None:
    def refuse(sock: Any) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        if not close:
            gevent.sleep(5)

    body = [b"x" * 1_000_000] * 30
    with WireServer(refuse) as server, HttpClient(server.url) as client:
        response = client.request("POST", "/", body if chunked else b"".join(body), timeout=5)
        assert (response.status, response.body) == (413, b"big")
        again = client.request("POST", "/", b"x", timeout=5)
        assert again.connect_ms is not None  # half a request lies on the old connection


def test_a_body_may_wait_for_the_servers_word() -> None:
    def patient(sock: Any) -> None:
        head = sock.recv(65536)
        assert b"Expect: 100-continue\r\n" in head
        assert head.endswith(b"\r\n\r\n")
        gevent.sleep(0.05)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert sock.recv(65536) == b"body"
        sock.sendall(OK + OK[:0])

    with WireServer(patient) as server, HttpClient(server.url) as client:
        assert client.request("POST", "/", b"body", expect_continue=True, timeout=3).body == b"ok"


def test_a_body_that_the_server_refuses_is_not_sent() -> None:
    arrived: list[bytes] = []

    def refuse(sock: Any) -> None:
        arrived.append(sock.recv(65536))
        sock.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        arrived.append(sock.recv(65536))

    with WireServer(refuse) as server, HttpClient(server.url) as client:
        assert client.request("POST", "/", b"body", expect_continue=True, timeout=3).status == 417
        client.close()
        gevent.sleep(0.05)
        assert arrived[1:] == [b""]


def test_a_body_is_sent_to_a_server_that_gives_no_word() -> None:
    with WireServer(answering(OK)) as server, HttpClient(server.url) as client:
        assert client.request("POST", "/", b"body", expect_continue=True, timeout=5).body == b"ok"


# -- times ----------------------------------------------------------------------------------------------------------


def slow(*steps: float | bytes) -> Any:
    def serve(sock: Any) -> None:
        read_request(sock)
        for step in steps:
            if isinstance(step, bytes):
                sock.sendall(step)
            else:
                gevent.sleep(step)

    return serve


@pytest.mark.clock
@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ((2.0, OK), r"no first byte within 0.15 s"),
        ((OK[:30], 2.0, OK[30:]), r"no byte for 0.1 s in the middle"),
        ((*[piece for byte in OK for piece in (bytes([byte]), 0.05)],), r"no complete response within 0.6 s"),
    ],
    ids=["first byte", "idle", "total"],
)
def test_each_time_that_is_over_has_its_name(steps: tuple[float | bytes, ...], what: str) -> None:
    options = Options(first_byte_timeout=0.15, idle_timeout=0.1)
    with WireServer(slow(*steps)) as server, HttpClient(server.url, options=options) as client:
        began = time.monotonic()
        with pytest.raises(TimedOut, match=what):
            client.request("GET", "/", timeout=0.6)
        assert time.monotonic() - began < 1.5


def test_times_that_are_kept_end_nothing() -> None:
    steps = [0.1, *[piece for byte in OK for piece in (bytes([byte]), 0.01)]]
    options = Options(first_byte_timeout=1, idle_timeout=1, connect_timeout=1)
    with WireServer(slow(*steps)) as server, HttpClient(server.url, options=options) as client:
        assert client.request("GET", "/", timeout=5).body == b"ok"


def test_a_listener_that_takes_nobody_in_runs_into_the_time_for_connecting() -> None:
    with gevent.socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [gevent.socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        url, options = f"http://127.0.0.1:{port}", Options(connect_timeout=0.2)
        with HttpClient(url, options=options) as client, pytest.raises(TimedOut, match=r"no connection within 0.2 s"):
            client.request("GET", "/", timeout=5)
        for one in waiting:
            one.close()


def test_an_early_timer_serves_later_requests_and_never_ends_a_good_one() -> None:
    with WireServer(slow(0.3, OK)) as server, HttpClient(server.url) as client:
        with WireServer(answering(OK, OK, OK)) as quick, HttpClient(quick.url) as other:
            other.request("GET", "/", timeout=0.1)
            gevent.sleep(0.15)  # the timer fires on an idle connection
            assert other.request("GET", "/", timeout=0.1).body == b"ok"
        assert client.request("GET", "/", timeout=5).body == b"ok"


# -- a server that closes -------------------------------------------------------------------------------------------


def test_a_request_that_was_repeated_says_so() -> None:
    def once(sock: Any) -> None:
        read_request(sock)
        sock.sendall(OK)
        read_request(sock)  # and close, with the second request unanswered

    with WireServer(once) as server, HttpClient(server.url) as client:
        assert client.request("GET", "/").retried is False
        second = client.request("GET", "/")
        assert (second.retried, second.body) == (True, b"ok")
        with pytest.raises(ConnectionLost, match="without a response"):
            client.request("DELETE", "/", iter([b"x"]))  # a body that was used up cannot be sent again


def test_a_server_that_closes_an_idle_connection_costs_no_turn_of_the_loop() -> None:
    with WireServer(answering(OK)) as server, HttpClient(server.url) as client:
        for _ in range(3):
            client.request("GET", "/")
            before = time.thread_time()
            gevent.sleep(0.1)
            assert time.thread_time() - before < 0.05  # a readable socket that nobody reads would spin


# -- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "raw", "what"),
    [
        (Limits(header_bytes=1000), b"X: " + b"y" * 1000 + b"\r\n\r\n", "headers are longer than 1000 bytes"),
        (Limits(header_count=20), b"X: y\r\n" * 30 + b"\r\n", "more than 20 headers"),
        (Limits(body_bytes=1000), b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000, "body is longer than 1000 bytes"),
        (Limits(pieces=100), b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 90_000, "more than 100 pieces"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_beyond_a_limit_is_refused_by_name(limits: Limits, raw: bytes, what: str, stream: bool) -> None:
    with (
        WireServer(answering(b"HTTP/1.1 200 OK\r\n" + raw)) as server,
        HttpClient(server.url, options=Options(limits=limits)) as client,
        pytest.raises(BadResponse, match=what) as caught,
    ):
        client.request("GET", "/", stream=stream)
    assert caught.value.sent is not None
    assert isinstance(caught.value, TooLong) == ("body" in what or "pieces" in what)


# -- other ways to a server -----------------------------------------------------------------------------------------


def test_a_unix_socket_is_spoken_to(tmp_path: Path) -> None:
    place = tmp_path / "app.sock"
    listener = gevent.socket.socket(gevent.socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen()
    url = f"http+unix://{str(place).replace('/', '%2F')}/v1"
    with WireServer(echo, listener), HttpClient(url) as client:
        assert client.request("GET", "/x").body.startswith(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n")
    with HttpClient(url) as client, pytest.raises(ConnectFailed, match="connection refused"):
        client.request("GET", "/x")


@pytest.mark.parametrize("name", ["X\r\nY", "a b", ""])
def test_a_header_cannot_smuggle_in_another(name: str) -> None:
    with pytest.raises(ValueError, match="must be a word"):
        HttpClient("http://localhost", {name: "x"})
    with pytest.raises(ValueError, match="X-Key must be one line") as caught:
        HttpClient("http://localhost", {"X-Key": "secret\r\nX: y"})
    assert "secret" not in str(caught.value)


# -- redirects ------------------------------------------------------------------------------------------------------


def redirecting(status: int, location: str, extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\n{extra}Content-Length: 0\r\n\r\n".encode()


def test_a_redirect_is_reported_and_not_followed_unless_asked() -> None:
    with WireServer(answering(redirecting(302, "/b"))) as server, HttpClient(server.url) as client:
        response = client.request("GET", "/")
        assert (response.status, response.headers["location"], response.redirects) == (302, "/b", 0)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT")],
)
def test_a_redirect_is_followed_as_its_status_says(status: int, method: str, then: str) -> None:
    def serve(sock: Any) -> None:
        read_request(sock)
        sock.sendall(redirecting(status, "../b c?x=1#part"))
        seen = read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen), seen))

    with WireServer(serve) as server, HttpClient(server.url, options=Options(follow_redirects=3)) as client:
        response = client.request(method, "/a/d", b"data")
        assert response.redirects == 1
        assert response.body.startswith(f"{then} /b%20c?x=1 HTTP/1.1\r\n".encode())
        assert response.body.endswith(b"\r\n\r\ndata" if then != "GET" else b"\r\n\r\n")


def test_redirects_are_followed_as_often_as_asked_and_no_further() -> None:
    with (
        WireServer(answering(*[redirecting(302, "/again")] * 9)) as server,
        HttpClient(server.url, options=Options(follow_redirects=3)) as client,
    ):
        response = client.request("GET", "/")
        assert (response.status, response.redirects) == (302, 3)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{}/", "http://localhost:{}/", "//127.0.0.2:{}/", "https://127.0.0.1/", "http://[x/"]
)
def test_load_never_follows_a_redirect_to_another_place(location: str) -> None:
    with WireServer(answering(OK)) as other:
        answer = redirecting(302, location.format(other.port))
        options = Options(follow_redirects=3)
        with WireServer(answering(answer)) as server, HttpClient(server.url, options=options) as client:
            assert client.request("GET", "/").status == 302
        assert other.connections == 0


# -- cookies --------------------------------------------------------------------------------------------------------


def test_cookies_are_kept_when_asked_and_sent_where_they_belong() -> None:
    seen: list[bytes] = []

    def serve(sock: Any) -> None:
        while request := read_request(sock):
            seen.append(request)
            cookies = b"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/in\r\nSet-Cookie: c=3; Domain=example.com\r\n"
            sock.sendall(b"HTTP/1.1 200 OK\r\n" + cookies + b"Content-Length: 0\r\n\r\n")

    def cookies_of(request: bytes) -> set[bytes]:
        lines = [line for line in request.split(b"\r\n") if line.startswith(b"Cookie: ")]
        return set(lines[0][8:].split(b"; ")) if lines else set()

    with WireServer(serve) as server:
        with HttpClient(server.url, options=Options(cookies=True)) as client:
            first = client.request("GET", "/")
            client.request("GET", "/in/side")
            client.request("GET", "/out")
        with HttpClient(server.url) as client:
            client.request("GET", "/")
            client.request("GET", "/")
    assert [value for name, value in first.fields if name == "set-cookie"][1] == "b=2; Path=/in"
    assert [cookies_of(request) for request in seen] == [set(), {b"a=1", b"b=2"}, {b"a=1"}, set(), set()]


def test_a_cookie_that_a_redirect_sets_is_sent_to_where_it_leads() -> None:
    def serve(sock: Any) -> None:
        read_request(sock)
        sock.sendall(redirecting(302, "/home", "Set-Cookie: session=s1; Path=/\r\n"))
        seen = read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen), seen))

    with (
        WireServer(serve) as server,
        HttpClient(server.url, options=Options(cookies=True, follow_redirects=1)) as client,
    ):
        assert b"\r\nCookie: session=s1\r\n" in client.request("GET", "/login").body
