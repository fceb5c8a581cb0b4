"""Thousands of responses: valid ones read as urllib3 (and so `requests`) reads them, harmed ones ended by name."""

from __future__ import annotations

import http.client
import io
import random
import socket
from typing import Any

import gevent
import pytest
import urllib3
from gevent.event import Event

from clients.http import HttpClient, Options
from tests.clients import fuzz
from tests.clients.generated import Generated, cut, valid
from tests.clients.wire import WireServer, in_pieces, read_request


class _Bytes:
    """Bytes that are read as from a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


def reference(one: Generated) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Status, body and headers as urllib3 reads them; interim responses it leaves to others."""
    plain = http.client.HTTPResponse(_Bytes(one.raw), method=one.method)  # type: ignore[arg-type]
    plain.begin()
    headers = [(name.lower(), value.strip(" \t")) for name, value in plain.getheaders()]
    response = urllib3.HTTPResponse(
        body=plain, headers=urllib3.HTTPHeaderDict(plain.getheaders()), status=plain.status, preload_content=False,
        request_method=one.method,
    )  # fmt: skip
    return response.status, response.read(decode_content=True), headers


@pytest.mark.parametrize("block", range(4))
def test_valid_responses_are_read_as_urllib3_reads_them(block: int) -> None:
    dice = random.Random(block)
    waiting: list[Generated] = []
    gone = Event()

    def serve(sock: Any) -> None:
        while read_request(sock):
            one = waiting.pop()
            in_pieces(sock, cut(dice, one.interim + one.raw))
            if one.closes:
                sock.shutdown(socket.SHUT_RDWR)  # gevent closes a turn later
                gone.set()
                return

    with WireServer(serve) as server, HttpClient(server.url, options=Options(compression=True)) as client:
        for number in range(750):
            one = valid(dice)
            waiting.append(one)
            ours = client.request(one.method, "/", timeout=5)
            assert (ours.status, ours.body, ours.fields) == reference(one), f"response {number} of block {block}: {one}"
            assert ours.retried is False
            if one.closes:
                assert gone.wait(5)  # no client could know of an end that has not arrived
                gone.clear()
                gevent.idle()  # until the loop has noticed: after a sleep, this greenlet may be the first to be woken


def test_harmed_responses_end_by_name_without_a_hang_or_growing_memory() -> None:
    report = fuzz.run(seed=1, seconds=60, most=1500)
    assert report.exchanges == 1500
    assert report.problems == []
    assert report.outcomes["response"] > 50  # some harm does no harm
    assert len(report.outcomes) >= 4


def test_the_fuzzer_finds_what_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(HttpClient, "_send_and_read", crash)
    assert "KeyError" in fuzz.run(seed=1, seconds=60, most=3).problems[0]
