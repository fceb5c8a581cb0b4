"""Text of a wanted length in tokens, cut out of a corpus that is made before the load.

Without the model's tokenizer nobody knows how many tokens a text has. Here it is characters by a constant, for a
text of common English words; the server's own count tells how far that is off. With a tokenizer the corpus is
encoded once, and texts are cut at its tokens.
"""

from array import array
from pathlib import Path
from random import Random
from typing import Any

_WORDS = (Path(__file__).parent / "words.txt").read_text(encoding="ascii").split()
CHARS_PER_TOKEN = sum(len(word) + 1 for word in _WORDS) / len(_WORDS)
"""One token a word with its blank: so common tokenizers have it, as the words are common ones. 6.2 characters."""
_CORPUS_WORDS = 1 << 18
_NAMED = 256
"""Words that spell a number, eight bits each."""
_NAME_WORDS = 5
_WHOLE = (1 << 64) - 1


class TextError(ValueError):
    """A tokenizer that cannot be used; the text says why."""


class Corpus:
    """A long text of common words; ASCII, with nothing in it that JSON would have to escape."""

    def __init__(self, seed: int, chars_per_token: float = CHARS_PER_TOKEN, tokenizer: Path | None = None) -> None:
        """Make the text, and encode it when there is a tokenizer. Raises TextError."""
        random = Random(f"{seed}:corpus")
        text = " " + " ".join(random.choices(_WORDS, k=_CORPUS_WORDS))
        self._text = text.encode()
        self._seed = mixed(seed)
        self._chars_per_token = chars_per_token
        self._ends = _token_ends(text, tokenizer) if tokenizer else array("i")

    def name(self, number: int) -> bytes:
        """Return a few words that spell a number up to 2**40: two texts that begin with them begin differently."""
        return b" ".join(_WORDS[number >> 8 * place & _NAMED - 1].encode() for place in range(_NAME_WORDS))

    def about(self, number: int, tokens: int, kind: int = 0) -> bytes:
        """Return `tokens` tokens that belong to a number, and to no other of its kind: always the same ones."""
        name = self.name(number)
        if not self._ends:
            length = max(round(tokens * self._chars_per_token), 1)
            return (name + self._cut(mixed(number ^ self._seed ^ kind << 48), length - len(name)))[:length]
        if tokens <= _NAME_WORDS:
            return b" ".join(name.split()[: max(tokens, 1)])
        return name + self._tokens(mixed(number ^ self._seed ^ kind << 48), tokens - _NAME_WORDS)

    def _cut(self, place: int, length: int) -> bytes:
        """Return so many characters from a place on, around the end."""
        if length <= 0:
            return b""
        begin = self._text.index(b" ", place % (len(self._text) - 100))  # no word is as long as that
        piece = self._text[begin : begin + length]
        while len(piece) < length:
            piece += self._text[: length - len(piece)]
        return piece

    def _tokens(self, place: int, count: int) -> bytes:
        total = len(self._ends) - 1
        begin, pieces = place % total, []
        while count > 0:
            end = min(begin + count, total)
            pieces.append(self._text[self._ends[begin] : self._ends[end]])
            count, begin = count - (end - begin), 0
        return b"".join(pieces)


def mixed(number: int) -> int:
    """Return 64 bits that look like chance (splitmix64): neighbours have nothing in common."""
    number = (number + 0x9E3779B97F4A7C15) & _WHOLE
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _WHOLE
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _WHOLE
    return number ^ (number >> 31)


def _token_ends(text: str, path: Path) -> "array[int]":
    """Return where tokens begin and end in a text, the whole of it encoded once."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra: only who gives a tokenizer needs it
    except ImportError:
        raise TextError("needs the package tokenizers: pip install tokenizers") from None
    try:
        tokenizer: Any = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TextError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # whatever the library says of a file that is none
        raise TextError(f"{path}: is not a tokenizer.json: {error}") from None
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    return array("i", [0, *ends])
