"""Requests as bytes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

_PATH = re.compile(r"[!-~]*")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = _METHOD
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

LAST_CHUNK = b"0\r\n\r\n"


@lru_cache(maxsize=4096)
def request_line(method: str, prefix: str, path: str) -> bytes:
    """Return the first line of a request. Raises ValueError for what could smuggle in a second one."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"path must not hold spaces or line breaks, and be ASCII, got {path!r}")
    if not _METHOD.fullmatch(method):
        raise ValueError(f"method must be a word, got {method!r}")
    return f"{method} {prefix}{path} HTTP/1.1\r\n".encode("ascii")


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are sent. Raises ValueError; a value is not repeated in it, it may be a secret."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name of a header must be a word, got {name!r}")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of header {name} must be one line of Latin-1")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")


@lru_cache(maxsize=64)
def content_type_line(value: str) -> bytes:
    """Return the header that says what a body is."""
    return header_lines({"Content-Type": value})


def framing(method: str, body: bytes | Iterable[bytes], content_type: str) -> bytes:
    """Return the header lines that tell of a body, with the empty line after them."""
    if not isinstance(body, bytes):
        return content_type_line(content_type) + b"Transfer-Encoding: chunked\r\n\r\n"
    if body or method in _WITH_BODY:
        return b"%bContent-Length: %d\r\n\r\n" % (content_type_line(content_type), len(body))
    return b"\r\n"


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a body of unknown length as they are sent; an empty piece would end it and is left out."""
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield LAST_CHUNK
