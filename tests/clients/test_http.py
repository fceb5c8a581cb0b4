"""The HTTP client against a server that writes exactly the bytes that a test asks for."""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import time
from typing import Any

import gevent
import pytest
import requests

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut
from clients.http import HttpClient, Response
from tests.clients.servers import CHUNKED, LAST_CHUNK, Script, ScriptServer, chunk, plain
from tests.services import free_port

TELL = Script().request().path()


def tell(client: HttpClient, method: str = "GET", body: bytes = b"") -> dict[str, Any]:
    """How the server saw one request of this client."""
    told: dict[str, Any] = json.loads(client.request(method, TELL, body).body)
    return told


# -- one request ----------------------------------------------------------------------------------------------------


def test_method_body_and_headers_arrive_as_given(server: ScriptServer) -> None:
    with HttpClient(server.url, {"Authorization": "Bearer x"}) as client:
        told = tell(client, "POST", b'{"a": "\xc3\xa9"}')
    assert (told["method"], told["body"].encode("latin-1")) == ("POST", b'{"a": "\xc3\xa9"}')
    lines = told["headers"].split("\r\n")
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert {"Authorization: Bearer x", "Content-Type: application/json", "Content-Length: 11"} <= set(lines)


def test_a_post_without_body_says_so_and_a_get_says_nothing(client: HttpClient) -> None:
    assert "Content-Length: 0" in tell(client, "POST")["headers"].split("\r\n")
    assert "content-length" not in tell(client)["headers"].lower()


def test_the_path_of_the_base_url_comes_before_every_path(server: ScriptServer) -> None:
    # The prefix of the server's scripts serves as the path of the base URL here.
    with HttpClient(f"{server.url}/script/") as client:
        assert client.request("GET", plain(b"yes").path().removeprefix("/script")).body == b"yes"


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/a\n"])
def test_a_path_cannot_smuggle_a_second_header(client: HttpClient, path: str) -> None:
    with pytest.raises(ValueError, match="must not hold spaces or line breaks"):
        client.request("GET", path)


@pytest.mark.parametrize("url", ["ftp://localhost", "localhost:80", "http://", "http:///path"])
def test_what_is_no_web_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https URL"):
        HttpClient(url)


@pytest.mark.parametrize("status", [201, 301, 404, 429, 500, 503])
def test_every_status_is_a_response_and_no_error(client: HttpClient, status: int) -> None:
    response = client.request("GET", plain(b"x", f"{status} Whatever").path())
    assert (response.status, response.body) == (status, b"x")


# -- framing of bodies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_response_that_has_no_body_ends_with_its_headers(client: HttpClient, status: str) -> None:
    response = client.request("GET", Script().send(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode()).path(), timeout=2)
    assert (response.status, response.body, response.headers["etag"]) == (int(status[:3]), b"", "x")
    assert tell(client)["request"] == 2  # and the connection was kept


def test_not_modified_may_name_the_length_of_what_it_does_not_send(client: HttpClient) -> None:
    script = Script().send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n")
    assert client.request("GET", script.path(), timeout=2).status == 304
    assert tell(client)["request"] == 2


def test_the_answer_to_head_has_no_body_whatever_length_it_names(client: HttpClient) -> None:
    script = Script().send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    response = client.request("HEAD", script.path(), timeout=2)
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "100")
    assert tell(client)["request"] == 2


def test_chunks_are_put_together_wherever_the_network_cut_them(client: HttpClient) -> None:
    script = Script()
    for byte in CHUNKED + chunk(b"hello ") + chunk(b"world") + LAST_CHUNK:
        script.send(bytes([byte]))
    assert client.request("GET", script.path()).body == b"hello world"
    assert tell(client)["request"] == 2


def test_chunk_extensions_and_trailers_are_no_part_of_the_body(client: HttpClient) -> None:
    raw = CHUNKED + b"3;name=value\r\nabc\r\n0\r\nX-Sum: 5\r\n\r\n"
    assert client.request("GET", Script().send(raw).path()).body == b"abc"


def test_a_body_without_length_ends_with_the_connection(client: HttpClient) -> None:
    script = Script().send(b"HTTP/1.1 200 OK\r\n\r\nhello ").at(0.02).send(b"world").close()
    response = client.request("GET", script.path())
    assert (response.body, response.broken) == (b"hello world", None)
    assert tell(client)["request"] == 1  # a new connection


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Type: early\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
    ],
)
@pytest.mark.parametrize("pause", [0.0, 0.03])
def test_interim_responses_are_passed_over(client: HttpClient, interim: bytes, pause: float) -> None:
    final = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    response = client.request("POST", Script().send(interim).at(pause).send(final).path(), b"{}", timeout=2)
    assert (response.status, response.body, response.headers) == (201, b"ok", {"content-length": "2"})
    assert tell(client)["request"] == 2


def test_header_names_know_no_case_and_values_lose_their_margins(client: HttpClient) -> None:
    response = client.request("GET", plain(headers="CONTENT-Type:   text/event-stream  \r\n").path())
    assert response.headers["content-type"] == "text/event-stream"


# -- connections ----------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_and_only_a_new_one_has_a_connect_time(client: HttpClient) -> None:
    responses = [client.request("GET", TELL) for _ in range(20)]
    told = [json.loads(response.body) for response in responses]
    assert len({one["connection"] for one in told}) == 1
    assert [one["request"] for one in told] == list(range(1, 21))
    assert responses[0].connect_ms is not None
    assert 0 < responses[0].connect_ms < 1000
    assert [response.connect_ms for response in responses[1:]] == [None] * 19


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_a_connection_that_the_server_will_close_is_not_used_again(client: HttpClient, response: bytes) -> None:
    assert client.request("GET", Script().send(response).path(), timeout=2).body == b"ok"
    again = client.request("GET", TELL)
    assert again.connect_ms is not None
    assert json.loads(again.body)["request"] == 1


def test_an_old_server_may_keep_a_connection_if_it_says_so(client: HttpClient) -> None:
    raw = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    client.request("GET", Script().send(raw).path())
    assert tell(client)["request"] == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_closed_while_idle_is_replaced_without_a_failure(
    client: HttpClient, method: str, end: str
) -> None:
    script = plain()
    client.request("GET", (script.close() if end == "close" else script.reset()).path(), stream=end == "reset")
    gevent.sleep(0.05)  # the end of the connection arrives meanwhile
    response = client.request(method, TELL)
    assert json.loads(response.body)["request"] == 1
    assert response.connect_ms is not None


def test_a_connection_closed_at_the_very_moment_of_reuse_is_retried_for_what_may_be_repeated(
    client: HttpClient,
) -> None:
    client.request("GET", plain().close_at_next().path())
    response = client.request("GET", TELL)
    assert json.loads(response.body)["request"] == 1
    assert response.connect_ms is not None


def test_a_post_is_never_sent_twice(client: HttpClient) -> None:
    client.request("GET", plain().close_at_next().path())
    with pytest.raises(ConnectionLost, match="without a response"):
        client.request("POST", TELL, b"{}")
    assert tell(client, "POST")["request"] == 1


def test_a_request_is_repeated_once_and_not_on_a_new_connection(client: HttpClient) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="without a response"):
        client.request("GET", Script().close().path())
    assert time.monotonic() - began < 2


def test_nothing_is_repeated_once_a_byte_of_the_answer_has_arrived(client: HttpClient) -> None:
    first = tell(client)["connection"]
    with pytest.raises(ConnectionLost, match="in the middle"):
        client.request("GET", Script().send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal").close().path())
    assert tell(client)["connection"] == first + 1  # one new connection, not two


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", b"HTTP/1.1 500 Oh\r\n\r\n"])
@pytest.mark.parametrize("late", [False, True])
def test_an_answer_that_nobody_asked_for_is_given_to_nobody(client: HttpClient, extra: bytes, late: bool) -> None:
    wanted = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    script = Script().send(wanted).at(0.02).send(extra) if late else Script().send(wanted + extra)
    response = client.request("GET", script.path(), timeout=2)
    assert (response.status, response.body, response.headers) == (200, b"good", {"content-length": "4"})
    gevent.sleep(0.05)
    assert tell(client)["request"] == 1


def test_a_closed_client_can_be_used_again(client: HttpClient) -> None:
    tell(client)
    client.close()
    client.close()
    assert tell(client)["request"] == 1


# -- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_refused_connection_has_its_reason_and_time() -> None:
    before = time.monotonic()
    with HttpClient(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(ConnectFailed) as caught:
        client.request("GET", "/")
    assert str(caught.value) == "connection refused"
    assert caught.value.sent is not None
    assert before <= caught.value.sent <= time.monotonic()


def test_a_name_that_nobody_knows_is_a_failed_connect() -> None:
    with HttpClient("http://no-such-host.invalid") as client, pytest.raises(ConnectFailed, match="name"):
        client.request("GET", "/", timeout=10)


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: text/pl"],
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_lost_in_the_headers_is_no_response(
    client: HttpClient, before: bytes, stream: bool, end: str
) -> None:
    script = Script().send(before).at(0.02)
    with pytest.raises(ConnectionLost) as caught:
        client.request("POST", (script.close() if end == "close" else script.reset()).path(), stream=stream, timeout=2)
    assert caught.value.sent is not None
    assert ("reset" in str(caught.value)) == (end == "reset")


BROKEN_BODIES = {
    "known length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "between chunks": CHUNKED + chunk(b"half"),
    "in a chunk": CHUNKED + b"9\r\nhalf",
    "before the size of a chunk": CHUNKED + chunk(b"half") + b"1",
    "in the trailer": CHUNKED + chunk(b"half") + b"0\r\n",
}


@pytest.mark.parametrize("raw", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_body_that_breaks_off_is_lost_or_as_a_stream_returned_as_broken(
    client: HttpClient, raw: bytes, end: str
) -> None:
    script = Script().send(raw).at(0.02)
    path = (script.close() if end == "close" else script.reset()).path()
    with pytest.raises(ConnectionLost):
        client.request("GET", path, timeout=2)
    response = client.request("GET", path, stream=True, timeout=2)
    assert (response.status, response.body) == (200, b"half")
    assert response.broken is not None
    assert ("reset" in response.broken) == (end == "reset")
    assert tell(client)["request"] == 1


def test_a_reset_ends_a_body_that_would_end_with_the_connection_as_broken(client: HttpClient) -> None:
    script = Script().send(b"HTTP/1.1 200 OK\r\n\r\nhalf").at(0.02).reset()
    response = client.request("GET", script.path(), stream=True)
    assert (response.body, response.broken) == (b"half", "connection reset by peer")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00garbage",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_bad_response(client: HttpClient, raw: bytes) -> None:
    with pytest.raises(BadResponse, match="not a valid HTTP response"):
        client.request("GET", Script().send(raw).path(), timeout=2)
    assert tell(client)["request"] == 1


def test_headers_of_a_sensible_length_are_taken(client: HttpClient) -> None:
    assert client.request("GET", plain(headers=f"X: {'x' * 60_000}\r\n").path()).headers["x"] == "x" * 60_000


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 8000),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["one header", "many headers", "interim responses"],
)
def test_headers_without_end_are_refused_long_before_the_timeout(client: HttpClient, start: bytes, more: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(BadResponse, match=r"headers are longer than 65536 bytes|more than 1000 headers"):
        client.request("GET", Script().send(start).endless(more).path(), timeout=20)
    assert time.monotonic() - began < 5


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        Script().at(3),
        Script().send(b"HTTP/1.1 200 OK\r\nContent-").at(3),
        Script().send(CHUNKED + chunk(b"half")).at(3),
    ],
    ids=["no byte", "in the headers", "in the body"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_silent_server_runs_into_the_timeout(client: HttpClient, script: Script, stream: bool) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"no complete response within 0.2 s") as caught:
        client.request("GET", script.path(), timeout=0.2, stream=stream)
    assert 0.19 <= time.monotonic() - began < 1.5
    assert caught.value.sent is not None
    assert tell(client)["request"] == 1


def test_the_timeout_bounds_the_whole_exchange_and_not_the_pauses_in_it(client: HttpClient) -> None:
    script = Script().send(CHUNKED)
    for step in range(40):
        script.at(0.05 * step).send(chunk(b"x"))
    began = time.monotonic()
    with pytest.raises(TimedOut):
        client.request("GET", script.path(), timeout=0.3, stream=True)
    assert time.monotonic() - began < 1.5


def test_a_timeout_of_the_caller_passes_through(client: HttpClient) -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
        client.request("GET", Script().at(3).path())
    assert tell(client)["request"] == 1


@pytest.mark.parametrize("where", [Script().at(3), Script().send(CHUNKED + chunk(b"half")).at(3)])
def test_a_user_killed_in_mid_request_leaves_nothing_to_the_next_request(client: HttpClient, where: Script) -> None:
    tell(client)
    killed = gevent.spawn(client.request, "GET", where.path())
    gevent.sleep(0.1)
    killed.kill()
    assert tell(client)["request"] == 1


@pytest.mark.alone
def test_pieces_are_stamped_when_they_arrive(client: HttpClient) -> None:
    # A shared machine may be late now and then, but hardly in half of the gaps: medians.
    script = Script().at(0.1).send(CHUNKED)
    times = [0.15 + 0.02 * step for step in range(15)]
    for moment in times:
        script.at(moment).send(chunk(b"x" * 50))
    script.at(times[-1] + 0.1).send(LAST_CHUNK)
    before = time.monotonic()
    response = client.request("GET", script.path(), stream=True)
    stamps = [at - response.sent for at, _ in response.chunks]
    assert before <= response.sent < response.first_byte  # type: ignore[operator]
    assert len(stamps) == len(times)
    assert 0 <= statistics.median(stamp - planned for stamp, planned in zip(stamps, times, strict=True)) < 0.005
    assert 0 <= response.done - response.sent - times[-1] - 0.1 < 0.01


@pytest.mark.alone
def test_waiting_for_one_answer_stops_nobody_else(server: ScriptServer) -> None:
    def ask() -> Response:
        with HttpClient(server.url) as client:
            return client.request("GET", Script().at(0.3).send(b"HTTP/1.1 204 No\r\n\r\n").path())

    began = time.monotonic()
    jobs = [gevent.spawn(ask) for _ in range(40)]
    assert [job.get().status for job in jobs] == [204] * 40
    assert time.monotonic() - began < 2  # one after the other they would take 12 s


def test_a_client_leaves_no_open_sockets_behind(server: ScriptServer) -> None:
    import psutil  # noqa: PLC0415 - here alone

    process = psutil.Process()
    before = process.num_fds()
    for script in (plain(), Script().close(), Script().send(b"junk"), Script().at(1), Script().send(CHUNKED).reset()):
        for _ in range(3):
            client = HttpClient(server.url)
            with gevent.Timeout(0.05, False), contextlib.suppress(ConnectionLost, BadResponse):
                client.request("GET", script.path())
            client.close()
    assert process.num_fds() <= before + 1


# -- against another client -----------------------------------------------------------------------------------------


def generated_response(dice: random.Random) -> tuple[Script, str]:
    """A valid response, cut into pieces as a network might do it."""
    status = dice.choice([200, 200, 200, 201, 202, 203, 400, 404, 409, 429, 500, 503, 204, 304])
    method = dice.choice(["GET", "GET", "POST", "PUT", "DELETE", "HEAD"])
    body = dice.randbytes(dice.choice([0, 1, 17, 900, 5000]))
    names = ["X-A", "x-b", "Server", "Date", "Content-Type", "ETag"]
    headers = [f"{name}:{dice.choice(['', ' ', '  '])}{dice.choice(['v', 'a b', 'k=v; q=1', ''])}" for name in names]
    dice.shuffle(headers)
    framing = dice.choice(["length", "chunked", "until close"])
    has_body = status not in {204, 304} and method != "HEAD"
    raw = b"HTTP/1.1 100 Continue\r\nX-C: y\r\n\r\n" if dice.random() < 0.15 else b""
    sent = body
    if framing == "length" and status != 204:
        headers.append(f"{dice.choice(['Content-Length', 'content-length'])}: {len(body)}")
    elif framing == "chunked" and status not in {204, 304}:
        headers.append("Transfer-Encoding: chunked")
        sent, place = b"", 0
        while place < len(body):
            size = dice.randint(1, max(len(body) // 3, 1))
            sent += chunk(body[place : place + size])
            place += size
        sent += LAST_CHUNK
    elif framing == "until close":
        headers.append("Connection: close")
    raw += f"HTTP/1.1 {status} {dice.choice(['OK', 'Some Reason', ''])}\r\n".encode()
    raw += "".join(f"{line}\r\n" for line in headers).encode() + b"\r\n" + (sent if has_body else b"")
    script, place = Script(), 0
    while place < len(raw):
        size = dice.choice([1, 7, 200, 5000])
        script.send(raw[place : place + size])
        place += size
    return (script.close() if framing == "until close" else script), method


@pytest.mark.parametrize("block", range(4))
def test_valid_responses_are_read_as_the_requests_library_reads_them(
    server: ScriptServer, client: HttpClient, block: int
) -> None:
    dice = random.Random(block)
    with requests.Session() as session:
        session.trust_env = False
        for number in range(50):
            script, method = generated_response(dice)
            ours = client.request(method, script.path(), timeout=5)
            theirs = session.request(method, server.url + script.path(), timeout=5, allow_redirects=False)
            told = f"response {number} of block {block}, {method}"
            assert ours.status == theirs.status_code, told
            assert ours.body == theirs.content, told
            assert ours.headers == {name.lower(): value for name, value in theirs.headers.items()}, told


# -- other addresses ------------------------------------------------------------------------------------------------


def test_ipv6_addresses_are_spoken_to(server: ScriptServer) -> None:
    with HttpClient(server.ipv6_url) as client:
        told = tell(client)
    assert f"Host: {server.ipv6_url.removeprefix('http://')}" in told["headers"].split("\r\n")
