"""Server-sent events: bytes in, events out, by the rules of the HTML standard's event-stream format.

Parsing happens after a stream has ended, from pieces that were stamped when they arrived, and a long stream is parsed
in slices with turns of the event loop in between, so that it never delays another user's stamp. A piece that holds
whole events, as nearly all do, is cut at its blank lines; only what is unusual is read line by line.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import gevent

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_MESSAGE = "message"
_SLICE = 256
"""Events parsed, with what their reader makes of them, in one turn of the event loop: half a millisecond."""


class Event(NamedTuple):
    """One event; `at` is the arrival of the bytes that completed it, on the clock of the pieces."""

    at: float
    data: bytes
    """As it came: whoever wants JSON need not decode it first."""
    event: str = _MESSAGE
    id: str | None = None

    @property
    def text(self) -> str:
        """The data as text; bytes that are not UTF-8 become U+FFFD."""
        return _text(self.data)


def _nothing_is_known(_at: float, _piece: bytes) -> bool:
    return False


def parse(
    pieces: Iterable[tuple[float, bytes]], is_known: Callable[[float, bytes], bool] = _nothing_is_known
) -> Iterator[Event]:
    """Yield the events of a stream that arrived in stamped pieces.

    An event that the end of the stream cut off (no blank line after it) is not yielded, as the standard has it.
    `is_known` is shown each piece that begins an event; one that it says it knows, as a whole event, is not parsed.
    """
    unfinished, left = _Unfinished(), _SLICE
    for at, piece in _without_bom(pieces):
        left = left or _after_a_turn()
        events: Iterable[Event]
        if unfinished.is_nothing and is_known(at, piece):
            left -= 1
            continue
        if not unfinished.is_nothing or b"\r" in piece or not piece.endswith(b"\n\n"):
            events = unfinished.events(at, piece)
        elif piece[:6] == b"data: " and piece.find(b"\n") == len(piece) - 2:
            events = (_event(Event, (at, piece[6:-2], _MESSAGE, unfinished.last_id)),)
        else:
            events = unfinished.whole_events(at, piece)
        for event in events:
            left = left or _after_a_turn()
            yield event
            left -= 1


def _after_a_turn() -> int:
    """Let the event loop turn; return how many events may follow."""
    gevent.sleep(0)
    return _SLICE


_event = tuple.__new__
"""Makes an event in half of the time that its own constructor takes."""


class _Unfinished:
    """What of a stream has not become an event yet: parts of a line, and lines of an event."""

    __slots__ = ("_after_cr", "_data", "_kind", "_rest", "is_nothing", "last_id")

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.is_nothing = True
        self._rest: list[bytes] = []  # of the line that has not ended; joined once, however many pieces it came in
        self._after_cr = False
        self._data: list[bytes] = []
        self._kind = ""

    def whole_events(self, at: float, piece: bytes) -> Iterator[Event]:
        """Yield the events of a piece that begins with the first line of one, and ends with a blank line, all by LF."""
        for block in piece[:-2].split(b"\n\n"):
            for line in block.split(b"\n"):
                self._take(line)
            if (event := self._dispatch(at)) is not None:
                yield event

    def events(self, at: float, piece: bytes) -> Iterator[Event]:
        """Yield the events that a piece completes; LF, CR and CRLF all end a line."""
        if not piece:
            return
        position = 1 if self._after_cr and piece.startswith(b"\n") else 0  # the second half of a split CRLF
        for match in _LINE_END.finditer(piece, position):
            self._rest.append(piece[position : match.start()])
            line = b"".join(self._rest)
            self._rest.clear()
            position = match.end()
            if line:
                self._take(line)
            elif (event := self._dispatch(at)) is not None:
                yield event
        if position < len(piece):
            self._rest.append(piece[position:])
        self._after_cr = piece.endswith(b"\r")
        self.is_nothing = not (self._rest or self._data or self._kind or self._after_cr)

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = _text(value)
        elif name == b"id" and b"\0" not in value:
            self.last_id = _text(value)
        # `retry` concerns reconnection, an empty name is a comment, and any other field is to be ignored.

    def _dispatch(self, at: float) -> Event | None:
        data, kind, self._data, self._kind = self._data, self._kind, [], ""
        return Event(at, b"\n".join(data), kind or _MESSAGE, self.last_id) if data else None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _without_bom(pieces: Iterable[tuple[float, bytes]]) -> Iterable[tuple[float, bytes]]:
    """Return the pieces without the byte order mark that a stream may begin with."""
    head, rest = b"", iter(pieces)
    for at, piece in rest:
        head += piece
        if len(head) >= len(_BOM) or not _BOM.startswith(head):
            return chain([(at, head.removeprefix(_BOM))], rest)
    return ()
