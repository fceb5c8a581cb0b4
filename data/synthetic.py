"""Prompts that nobody wrote: of given lengths, or with the lengths of a recording. Joined when asked for."""

from array import array
from collections.abc import Sequence

from data.prompts import Prompt
from data.text import Corpus, mixed
from data.traces.llm import BLOCK_TOKENS
from data.traces.trace import Trace

_UNIQUE, _PREFIX, _BLOCK = 0, 1, 2
"""Kinds of texts: a number of one kind has nothing in common with the same number of another."""


class Synthetic:
    """One prompt per place, no two with the same text, though lengths come again after a while."""

    def __init__(
        self,
        corpus: Corpus,
        inputs: "array[int]",
        outputs: "array[int] | None" = None,
        prefixes: int = 0,
        prefix_tokens: int = 0,
    ) -> None:
        self._corpus, self._inputs, self._outputs = corpus, inputs, outputs
        self._prefix_tokens = prefix_tokens if prefixes else 0
        self._prefixes = [corpus.about(number, prefix_tokens, _PREFIX) + b" " for number in range(prefixes)]

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, place: int) -> Prompt:
        drawn = mixed(place)  # of its own: lengths must not swing with whatever is periodic in the places
        asked = self._inputs[drawn % len(self._inputs)]
        text = self._corpus.about(place, asked, _UNIQUE)
        if self._prefixes:
            text = self._prefixes[(drawn >> 20) % len(self._prefixes)] + text
        answered = self._outputs[(drawn >> 40) % len(self._outputs)] if self._outputs else None
        return _prompt("synthetic", text, self._prefix_tokens + asked, answered)


class Recorded:
    """The rows of a recording as prompts of their lengths; the same block of two prompts is the same text."""

    def __init__(self, corpus: Corpus, trace: Trace) -> None:
        self._corpus, self._trace = corpus, trace

    def __len__(self) -> int:
        return len(self._trace)

    def __getitem__(self, row: int) -> Prompt:
        trace, corpus = self._trace, self._corpus
        asked = trace.input_tokens[row]
        blocks = trace.blocks_of(row)
        text = self._in_blocks(blocks, asked) if blocks else corpus.about(row, max(asked, 1), _UNIQUE)
        return _prompt(f"row {row + 1}", text, asked, trace.output_tokens[row] or None)

    def _in_blocks(self, blocks: Sequence[int], tokens: int) -> bytes:
        """Return the texts of the blocks, the last one cut to what is left, and a text of its own for any rest."""
        pieces = []
        for block in blocks:
            if tokens <= 0:
                break
            pieces.append(self._corpus.about(block, min(BLOCK_TOKENS, tokens), _BLOCK))
            tokens -= BLOCK_TOKENS
        if tokens > 0:
            pieces.append(self._corpus.about(mixed(hash(tuple(blocks))) >> 24, tokens, _UNIQUE))
        return b" ".join(pieces)


def _prompt(name: str, text: bytes, input_tokens: int, output_tokens: int | None) -> Prompt:
    # The corpus holds nothing that JSON would escape: quotes around it make it JSON.
    return Prompt(name, b'"' + text + b'"', input_tokens=input_tokens, output_tokens=output_tokens)
