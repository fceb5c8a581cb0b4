"""Bodies that came compressed."""

import zlib
from collections.abc import Callable

import brotli

from clients.errors import BadResponse

Pieces = list[tuple[float, bytes]]
ACCEPTED = "gzip, deflate, br"


def decoded(pieces: Pieces, encoding: str, limit: int, whole: bool = True) -> Pieces:
    """Return the pieces of a body without its content codings, each with the stamp of the bytes that it came in.

    At most `limit` bytes are made, whatever a few compressed ones would make. With `whole`, the end must be there.
    Raises BadResponse; codings that were not asked for stay as they are.
    """
    codings = [name.strip().lower() for name in encoding.split(",") if name.strip().lower() not in {"", "identity"}]
    for name in reversed(codings):  # the last one that was put on comes off first
        if name not in _CODINGS:
            break
        pieces = _decoded(pieces, name, limit, whole)
    return pieces


def _decoded(pieces: Pieces, name: str, limit: int, whole: bool) -> Pieces:
    coding = _CODINGS[name]()
    found, room = [], limit
    try:
        for at, piece in pieces:
            data = coding.feed(piece, room + 1)
            room -= len(data)
            if room < 0:
                raise BadResponse(f"the decompressed body is longer than {limit} bytes")
            if data:
                found.append((at, data))
    except (zlib.error, brotli.error) as error:
        raise BadResponse(f"the body is not valid {name}: {error}") from None
    if whole and pieces and not coding.is_finished():
        raise BadResponse(f"the body is not valid {name}: it ends too early")
    return found


class _Zlib:
    """gzip, of one member or several, and deflate, which some servers send without the zlib header it should have."""

    def __init__(self, raw_too: bool) -> None:
        self._raw_too = raw_too
        self._inflate = zlib.decompressobj(47)

    def feed(self, data: bytes, room: int) -> bytes:
        parts: list[bytes] = []
        while data and room > 0:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(47)
            parts.append(self._decompress(data, room))
            room -= len(parts[-1])
            data = self._inflate.unused_data or self._inflate.unconsumed_tail
        return b"".join(parts)

    def _decompress(self, data: bytes, room: int) -> bytes:
        raw_too, self._raw_too = self._raw_too, False
        try:
            return self._inflate.decompress(data, room)
        except zlib.error:
            if not raw_too:
                raise
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inflate.decompress(data, room)

    def is_finished(self) -> bool:
        return self._inflate.eof


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes, room: int) -> bytes:
        parts: list[bytes] = []
        while room > 0:
            part = self._decompressor.process(data, output_buffer_limit=room)
            parts.append(part)
            room -= len(part)
            data = b""
            if self._decompressor.can_accept_more_data() or self._decompressor.is_finished():
                break
        return b"".join(parts)

    def is_finished(self) -> bool:
        return bool(self._decompressor.is_finished())


_CODINGS: dict[str, Callable[[], _Zlib | _Brotli]] = {
    "gzip": lambda: _Zlib(raw_too=False),
    "x-gzip": lambda: _Zlib(raw_too=False),
    "deflate": lambda: _Zlib(raw_too=True),
    "br": _Brotli,
}
