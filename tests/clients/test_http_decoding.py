"""Compressed bodies: decoded when asked for, refused by name when they are wrong or too large."""

from __future__ import annotations

import gzip
import random
import zlib

import brotli
import pytest

from clients import decoding
from clients.errors import BadResponse
from clients.http import HttpClient, Options
from clients.options import Limits
from tests.clients.wire import WireServer, answering

BODY = b"".join(b"line %d of many\n" % number for number in range(2000))
RAW = zlib.compressobj(wbits=-15)
CODED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "gzip of two members": gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]),
    "deflate": zlib.compress(BODY),
    "deflate without header": RAW.compress(BODY) + RAW.flush(),
    "br": brotli.compress(BODY),
    "deflate, gzip": gzip.compress(zlib.compress(BODY)),
    "identity": BODY,
    "unheard-of": BODY,
}


def answer(body: bytes, encoding: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def header_of(case: str) -> str:
    return case.split(" of ", maxsplit=1)[0].split(" without ", maxsplit=1)[0]


@pytest.mark.parametrize("case", CODED)
def test_a_body_is_decoded_as_its_header_says(case: str) -> None:
    options = Options(compression=True)
    with (
        WireServer(answering(answer(CODED[case], header_of(case)))) as server,
        HttpClient(server.url, options=options) as client,
    ):
        response = client.request("GET", "/")
    assert (response.body, response.size) == (BODY, len(CODED[case]))


def test_nothing_is_decoded_or_asked_for_unless_wanted() -> None:
    with WireServer(answering(answer(CODED["gzip"], "gzip"))) as server, HttpClient(server.url) as client:
        assert client.request("GET", "/").body == CODED["gzip"]


@pytest.mark.parametrize("case", CODED)
def test_pieces_keep_the_stamps_of_the_bytes_that_they_came_in(case: str) -> None:
    dice, coded = random.Random(1), CODED[case]
    pieces: list[tuple[float, bytes]] = []
    place = 0
    while place < len(coded):
        size = dice.choice([1, 3, 50, 1000])
        pieces.append((float(len(pieces)), coded[place : place + size]))
        place += size
    found = decoding.decoded(pieces, header_of(case), 10**6)
    assert b"".join(data for _, data in found) == BODY
    stamps = [at for at, _ in found]
    assert stamps == sorted(stamps)
    assert set(stamps) <= {at for at, _ in pieces}
    half = decoding.decoded(pieces[: len(pieces) // 2], header_of(case), 10**6, whole=False)
    assert BODY.startswith(b"".join(data for _, data in half))


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("harm", ["cut", "changed", "no such thing"])
def test_a_body_that_is_not_what_its_header_says_is_refused(name: str, harm: str) -> None:
    good = CODED[name]
    middle = len(good) // 2
    bad = {
        "cut": good[:-10],
        "changed": good[:middle] + bytes(255 - byte for byte in good[middle : middle + 40]) + good[middle + 40 :],
        "no such thing": b"hello",
    }[harm]
    with (
        WireServer(answering(answer(bad, name))) as server,
        HttpClient(server.url, options=Options(compression=True)) as client,
        pytest.raises(BadResponse, match=f"the body is not valid {name}") as caught,
    ):
        client.request("GET", "/")
    assert caught.value.sent is not None


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_few_bytes_that_stand_for_very_many_are_refused_before_they_are_made(name: str) -> None:
    nothing = bytes(50 * 2**20)
    bomb = {"gzip": gzip.compress, "deflate": zlib.compress, "br": lambda data: brotli.compress(data, quality=1)}
    coded = gzip.compress(gzip.compress(nothing)) if name == "gzip, gzip" else bomb[name](nothing)
    with (
        WireServer(answering(answer(coded, name))) as server,
        HttpClient(server.url, options=Options(compression=True, limits=Limits(body_bytes=2**20))) as client,
        pytest.raises(BadResponse, match="longer than 1048576 bytes"),
    ):
        client.request("GET", "/")
    assert len(decoding.decoded([(0.0, coded)], name, len(nothing))) == 1
