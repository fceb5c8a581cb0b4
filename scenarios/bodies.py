"""Request bodies that are encoded once, with gaps for what differs from one prompt to the next."""

import json
import re

PROMPT = "\N{WHITE SQUARE} prompt"
"""Stands in a body where the prompt goes: its messages, or its text."""
LENGTH = "\N{WHITE SQUARE} length"
"""Stands in a body where the wanted length of the answer goes, in tokens."""

_GAPS = re.compile("(" + "|".join(re.escape(json.dumps(gap)) for gap in (PROMPT, LENGTH)) + ")")


class Template:
    """A body with gaps; filling them copies bytes and encodes nothing.

    >>> template = Template({"model": "m", "messages": PROMPT, "max_tokens": LENGTH})
    >>> template.filled(b'["hello"]', 64)
    b'{"model": "m", "messages": ["hello"], "max_tokens": 64}'
    """

    def __init__(self, body: dict[str, object]) -> None:
        self._pieces: list[bytes] = [piece.encode() for piece in _GAPS.split(json.dumps(body))]
        kinds = [json.loads(piece) for piece in self._pieces[1::2]]
        self._prompts = [2 * number + 1 for number, kind in enumerate(kinds) if kind == PROMPT]
        self._lengths = [2 * number + 1 for number, kind in enumerate(kinds) if kind == LENGTH]

    def filled(self, prompt: bytes, length: int) -> bytes:
        """Return the body for a prompt, given as JSON, and the length of its answer."""
        pieces = self._pieces.copy()
        for place in self._prompts:
            pieces[place] = prompt
        for place in self._lengths:
            pieces[place] = b"%d" % length
        return b"".join(pieces)
