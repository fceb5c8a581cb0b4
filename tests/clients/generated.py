"""Responses made from random numbers: valid ones, and valid ones that came to harm."""

from __future__ import annotations

import gzip
import random
import zlib
from dataclasses import dataclass

import brotli

_NAMES = [
    "X-A",
    "x-b",
    "Server",
    "Date",
    "Content-Type",
    "ETag",
    "Set-Cookie",
    "Set-Cookie",
    "Vary",
    "X_Under",
    "x.dot",
]
_VALUES = ["v", "a b", "k=v; q=1", "", '"quoted, text"', "x" * 300, "caf\xe9", "a\tb"]
_INTERIM = [
    b"HTTP/1.1 100 Continue\r\nX-C: y\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-A: early\r\n\r\n",
]


@dataclass(frozen=True, slots=True)
class Generated:
    """A response to `method`; `interim` comes before it, and the connection closes after it where `closes`."""

    method: str
    interim: bytes
    raw: bytes
    closes: bool


def valid(dice: random.Random) -> Generated:
    """Return a response by the rules of HTTP/1.1, in one of the many forms that they allow."""
    status = dice.choice([200, 200, 200, 201, 202, 203, 206, 302, 400, 404, 409, 429, 500, 503, 599, 204, 304])
    method = dice.choice(["GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
    body = dice.randbytes(dice.choice([0, 1, 17, 300])) * dice.choice([1, 1, 1, 20])
    margins = ["", " ", "  ", "\t"]
    headers = [f"{name}:{dice.choice(margins)}{dice.choice(_VALUES)}{dice.choice(margins)}" for name in _NAMES]
    headers = dice.sample(headers, dice.randint(0, len(headers)))
    encoding = dice.choice(["", "", "", "gzip", "deflate", "br"])
    if encoding:
        body = _coded(body, encoding)
        headers.append(f"Content-Encoding: {encoding}")
    bodiless = status in {204, 304} or method == "HEAD"
    framing = dice.choice(["length", "chunked", "until close"]) if status != 204 else "none"
    if status == 304 and framing == "chunked":
        framing = "length"  # it may name a coding of the body that it does not have; http.client waits for it then
    version, data = "1.1", body
    if framing == "length":
        headers.append(f"{dice.choice(['Content-Length', 'content-length', 'CONTENT-LENGTH'])}: {len(body)}")
    elif framing == "chunked":
        headers.append(f"Transfer-Encoding: {dice.choice(['chunked', 'Chunked'])}")
        data = _chunked(dice, body)
    elif framing == "until close":
        version = dice.choice(["1.1", "1.0"])
        headers += dice.choice([[], ["Connection: close"]])
    dice.shuffle(headers)
    lines = "".join(f"{line}\r\n" for line in headers)
    start = f"HTTP/{version} {status} {dice.choice(['OK', 'Some Reason', ''])}\r\n"
    raw = (start + lines + "\r\n").encode("latin-1") + (b"" if bodiless else data)
    interim = b"".join(dice.choices(_INTERIM, k=dice.randint(1, 3))) if dice.random() < 0.15 else b""
    return Generated(method, interim, raw, closes=framing == "until close")


def _coded(body: bytes, encoding: str) -> bytes:
    if encoding == "br":
        return bytes(brotli.compress(body, quality=4))
    return gzip.compress(body) if encoding == "gzip" else zlib.compress(body)


def _chunked(dice: random.Random, body: bytes) -> bytes:
    sent, place = b"", 0
    while place < len(body):
        size = dice.choice([1 + len(body) // 500, 7 + len(body) // 100, 100, 3000])
        piece = body[place : place + size]
        digits = f"{len(piece):x}"
        digits = dice.choice([digits, digits.upper(), digits.zfill(4)])
        extension = dice.choice(["", "", ";a", ";name=value", ';q="x y"'])
        sent += f"{digits}{extension}\r\n".encode() + piece + b"\r\n"
        place += size
    trailer = dice.choice([b"", b"", b"X-Sum: 5\r\n", b"X-A: trailer\r\nSet-Cookie: t=1\r\n"])
    return sent + dice.choice([b"0", b"000"]) + b"\r\n" + trailer + b"\r\n"


def cut(dice: random.Random, raw: bytes) -> list[bytes]:
    """Return the bytes in the pieces that a network might make of them, at any place."""
    places = sorted(dice.choices(range(len(raw) + 1), k=dice.choice([0, 1, 3, 12])))
    return [piece for a, b in zip([0, *places], [*places, len(raw)], strict=True) if (piece := raw[a:b])]


_HARM = [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"-1",
         b"ffffffffffffffff", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 9, b"9" * 40,
         b"Connection: upgrade\r\nUpgrade: x\r\n", b"HTTP/2.0", b"0\r\n\r\n", b"x" * 70_000]  # fmt: skip


def harmed(dice: random.Random, raw: bytes) -> bytes:
    """Return the bytes with some of them changed, lost, doubled or put elsewhere."""
    for _ in range(dice.choice([1, 1, 2, 5])):
        a, b = sorted(dice.choices(range(len(raw) + 1), k=2))
        kind = dice.randrange(6)
        if kind == 0:
            raw = raw[:a] + dice.choice(_HARM) + raw[a:]
        elif kind == 1:
            raw = raw[:a] + raw[b:]
        elif kind == 2:
            raw = raw[:b] + raw[a:b] + raw[b:]
        elif kind == 3 and raw:
            place = min(a, len(raw) - 1)
            raw = raw[:place] + bytes([dice.randrange(256)]) + raw[place + 1 :]
        elif kind == 4:
            raw = raw[:a]
        else:
            raw = raw[:a] + dice.randbytes(dice.randint(1, 40)) + raw[a:]
    return raw
