"""The events of a stream are alike but for one text: what the first one means spares decoding the others.

JSON with another string in the place of a string is the same JSON with another string, as long as the new one needs no
escapes. So a piece of a stream that begins and ends as an event that was read before, byte for byte, says the same with
another text.
"""

import re
from collections.abc import Callable
from typing import Self

from clients.sse import Event
from samples.recorder import Failure
from scenarios.dialects.base import Answer

_PROBE = "another text"
_START, _END = b"data: ", b"\n\n"
_is_plain = re.compile(rb'[^"\\\x00-\x1f]+').fullmatch


class Likeness:
    """What the content events of a stream have in common: all but their text."""

    __slots__ = ("_after", "_before", "_outside")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        self._outside = len(before) + len(after)

    @classmethod
    def of(cls, event: Event, text: str, read: Callable[[Event, Answer], None]) -> Self | None:
        """Return the likeness of an event that said `text`; None when it says more than that, or in another way.

        It is put to the test: the same event with another text has to be read as that text and nothing else.
        """
        before, found, after = event.data.rpartition(b'"%s"' % text.encode("utf-8", "replace"))
        if not found:
            return None
        answer = Answer()
        try:
            read(event._replace(data=b'%s"%s"%s' % (before, _PROBE.encode(), after)), answer)
        except Failure:
            return None
        said = Answer(parts=[_PROBE], content_at=[event.at], visible_at=event.at, speaking=answer.speaking)
        return cls(_START + before + b'"', b'"' + after + _END) if answer == said else None

    def text_of(self, piece: bytes) -> str | None:
        """Return the text of a piece that is one event; None for what is not alike, or has to be decoded."""
        if not (piece.startswith(self._before) and piece.endswith(self._after)) or len(piece) <= self._outside:
            return None
        text = piece[len(self._before) : -len(self._after)]
        if not _is_plain(text):
            return None
        try:
            return text.decode()
        except UnicodeDecodeError:
            return None
