"""Server-sent events: bytes in, events out, by the rules of the HTML standard's event-stream format.

Parsing happens after a stream has ended, from pieces that were stamped when they arrived, so that it never delays
another user's stamp.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `at` is the arrival of the bytes that completed it, on the clock of the pieces."""

    at: float
    data: str
    event: str = "message"
    id: str | None = None


def parse(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Event]:
    """Yield the events of a stream that arrived in stamped pieces.

    An event that the end of the stream cut off (no blank line after it) is not yielded, as the standard has it.
    Bytes that are not UTF-8 become U+FFFD; a character split over pieces is put together first.
    """
    data: list[str] = []
    kind, last_id = "", None
    for at, line in _lines(pieces):
        if not line:
            if data:
                yield Event(at, "\n".join(data), kind or "message", last_id)
            data, kind = [], ""
            continue
        name, _, value = line.partition(b":")
        text = (value[1:] if value.startswith(b" ") else value).decode("utf-8", "replace")
        if name == b"data":
            data.append(text)
        elif name == b"event":
            kind = text
        elif name == b"id" and "\0" not in text:
            last_id = text
        # `retry` concerns reconnection, an empty name is a comment, and any other field is to be ignored.


def _lines(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Yield complete lines with the arrival of the piece that ended them; LF, CR and CRLF all end a line."""
    rest: list[bytes] = []  # of the line that has not ended; joined once, however many pieces it came in
    after_cr = False
    for at, block in _without_bom(pieces):
        position = 1 if after_cr and block.startswith(b"\n") else 0  # the second half of a split CRLF
        after_cr = block.endswith(b"\r")
        for match in _LINE_END.finditer(block, position):
            rest.append(block[position : match.start()])
            yield at, b"".join(rest)
            rest.clear()
            position = match.end()
        rest.append(block[position:])


def _without_bom(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Yield the pieces that hold anything, without the byte order mark that a stream may begin with."""
    head: bytes | None = b""
    for at, piece in pieces:
        block = piece
        if head is not None:
            head += piece
            if len(head) < len(_BOM) and _BOM.startswith(head):
                continue
            block, head = head.removeprefix(_BOM), None
        if block:
            yield at, block
