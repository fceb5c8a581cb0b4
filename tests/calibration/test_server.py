"""The server with known times does what its log says, seen from a plain socket."""

import json
import socket
import time
from urllib.parse import urlsplit

import numpy as np

from calibration.process import KnownServer, known_server
from calibration.stamps import percentile


def _connected(server: KnownServer) -> socket.socket:
    parts = urlsplit(server.url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def _stream(sock: socket.socket) -> tuple[list[float], bytes]:
    """Ask for a stream; return the moment of each read, and all that was read."""
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    stamps, read = [], b""
    while not read.endswith(b"0\r\n\r\n"):
        read += sock.recv(65536)
        stamps.append(time.monotonic())
    return stamps, read


def test_a_stream_is_paced_as_asked_and_logged_as_sent() -> None:
    with known_server(core=None, first_ms=60, gap_ms=30, events=5) as server, _connected(server) as sock:
        stamps, read = _stream(sock)
        log, count = server.log(), server.count()

    assert count["requests"] == count["streams"] == 1
    assert count["events"] == read.count(b'"content"') == 5
    assert log.numbers.tolist() == [1] * 5
    assert log.begun.tolist() == log.arrivals.tolist()
    # Never early, whatever the machine does; late only by what the log itself says.
    assert np.allclose(log.intended - log.arrivals[0], [0.06, 0.09, 0.12, 0.15, 0.18])
    assert (log.sends >= log.intended).all()
    assert log.sends[-1] <= stamps[-1]
    assert log.error_ms()[0] >= 0


def test_the_last_event_carries_finish_usage_and_the_number_of_the_stream() -> None:
    with known_server(core=None, first_ms=1, gap_ms=1, events=3) as server, _connected(server) as sock:
        _stream(sock)
        _, read = _stream(sock)

    events = [line[6:] for line in read.decode().split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-3])["choices"][0]["finish_reason"] == "stop"
    assert json.loads(events[-2])["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


def test_streams_can_be_kept_out_of_step() -> None:
    with known_server(core=None, first_ms=1, gap_ms=1, spread_ms=40, events=2) as server, _connected(server) as sock:
        for _ in range(8):
            _stream(sock)
        log = server.log()

    begins = np.sort(log.intended[::2] - log.begun) * 1000 - 1  # of each stream's first event
    assert 0 <= begins[0] < 8
    assert 32 < begins[-1] <= 40
    assert np.diff(begins).max() < 11  # a golden section of 40 ms by eight leaves no larger hole


def test_streams_of_several_clients_are_told_apart() -> None:
    with (
        known_server(core=None, first_ms=20, gap_ms=10, events=4) as server,
        _connected(server) as one,
        _connected(server) as two,
    ):
        for sock in (one, two):
            sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        for sock in (one, two):
            read = b""
            while not read.endswith(b"0\r\n\r\n"):
                read += sock.recv(65536)
        streams = server.log().streams()

    assert {number: len(sends) for number, sends in streams.items()} == {1: 4, 2: 4}
    assert all((np.diff(sends) > 0).all() for sends in streams.values())


def test_a_get_is_answered_at_once_and_questions_beforehand_are_no_load() -> None:
    with known_server(core=None) as server, _connected(server) as sock:
        for path in (b"/health", b"/api?limit=100", b"/api?limit=20"):
            sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(65536).endswith(b'"items":[]}')
        assert server.count()["requests"] == len(server.log().arrivals) == 1
        server.forget()
        assert len(server.log().arrivals) == 0
        assert server.count()["requests"] == 1


def test_a_stall_holds_back_what_was_due_in_it() -> None:
    with known_server(core=None, stall_at=0.05, stall_for=0.4) as server, _connected(server) as sock:
        moments = []
        for pause in (0.1, 0.0):
            asked = time.monotonic()
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(65536)
            moments.append((asked, time.monotonic()))
            time.sleep(pause)
        first = server.log().arrivals[0]

    assert moments[1][1] >= first + 0.45 > moments[0][1]


def test_percentiles_are_values_that_occurred() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert [percentile(values, share) for share in (0, 0.5, 0.51, 0.99, 1)] == [1, 2, 3, 4, 4]
