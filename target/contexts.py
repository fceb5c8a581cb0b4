"""What a chat session remembers, in memory of its own that the operating system gets back, and its compaction.

A message is kept as text beside a signature of its words; a new one is held against all that went before, so a
longer conversation costs more time and more memory, for real.
"""

from __future__ import annotations

import mmap
import re
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from itertools import islice

from .prose import STOP_WORDS

SIGNATURE_BYTES = 1024
SMALLEST_BLOCK, LARGEST_BLOCK = 2**16, 2**20
_SUMMARY_SENTENCES = 12
_LOOKED_AT = 16
_WORD = re.compile(r"[\w'-]+")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_REMEMBER = re.compile(r"\s*remember\b", re.IGNORECASE)


class Role(IntEnum):
    """Who said a message; a fact is what the user asked to remember, a summary what a compaction left."""

    USER = 0
    FACT = 1
    ASSISTANT = 2
    TOOL = 3
    SUMMARY = 4


_TO_QUOTE = frozenset({Role.USER, Role.FACT, Role.SUMMARY})
"""Where an answer is looked for: not in the assistant's own words."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did: counts of messages and bytes before and after, and its time in seconds."""

    compacted: int
    before: int
    after: int
    bytes_before: int
    bytes_after: int
    seconds: float

    def described(self) -> dict[str, object]:
        """As the routes return it."""
        return {
            "compacted": self.compacted,
            "messages_before": self.before,
            "messages_after": self.after,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "duration_ms": round(self.seconds * 1e3, 3),
        }


class _Store:
    """Bytes that only grow, in memory mappings: closing them lowers the resident size at once, on every allocator."""

    def __init__(self) -> None:
        self._blocks: list[mmap.mmap] = []
        self._free = 0
        self.used = 0

    def add(self, data: bytes) -> tuple[int, int]:
        """Keep some bytes, all in one block; return the block's number and the place in it."""
        if len(data) > self._free:
            size = min(SMALLEST_BLOCK << len(self._blocks), LARGEST_BLOCK)
            size = max(size, -(-len(data) // mmap.PAGESIZE) * mmap.PAGESIZE)
            self._blocks.append(mmap.mmap(-1, size))
            self._free = size
        block = self._blocks[-1]
        at = len(block) - self._free
        block[at : at + len(data)] = data
        self._free -= len(data)
        self.used += len(data)
        return len(self._blocks) - 1, at

    def read(self, block: int, begin: int, end: int) -> bytes:
        """Return bytes of a block."""
        return self._blocks[block][begin:end]

    def close(self) -> None:
        """Give the memory back."""
        for block in self._blocks:
            block.close()
        self._blocks.clear()
        self._free = self.used = 0


class Context:
    """The messages of one session."""

    def __init__(self) -> None:
        self._store = _Store()
        self._blocks, self._begins, self._ends = array("L"), array("L"), array("L")
        self._roles = bytearray()
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._roles)

    @property
    def bytes(self) -> int:
        """Bytes that the messages take."""
        return self._store.used

    def add(self, role: Role, text: str) -> None:
        """Keep a message; a user's that begins with "remember" is a fact."""
        role = self.kind_of(text) if role is Role.USER else role
        words = _words(text)
        self.tokens += len(words)
        block, begin = self._store.add(signature(words).to_bytes(SIGNATURE_BYTES, "little") + text.encode())
        self._blocks.append(block)
        self._begins.append(begin)
        self._ends.append(begin + SIGNATURE_BYTES + len(text.encode()))
        self._roles.append(role)

    @staticmethod
    def kind_of(said: str) -> Role:
        """Return what a user's message is: a fact when it begins with "remember"."""
        return Role.FACT if _REMEMBER.match(said) else Role.USER

    def role(self, number: int) -> Role:
        """Return who said the message `number`, from 0."""
        return Role(self._roles[number])

    def text(self, number: int) -> str:
        """Return what was said in it."""
        begin = self._begins[number] + SIGNATURE_BYTES
        return self._store.read(self._blocks[number], begin, self._ends[number]).decode()

    def relevant(self, question: str, most: int = 1) -> list[int]:
        """Return the numbers of the messages that share most words with a question, best and latest first.

        Every signature is read. Questions are no answers: what ends with a question mark is left out.
        """
        words = _words(question)
        found = [(shared, number) for number, shared in self._shared(signature(words)) if shared]
        found.sort(reverse=True)
        texts = ((number, self.text(number)) for _, number in found)
        statements = islice(((number, text) for number, text in texts if not text.rstrip().endswith("?")), _LOOKED_AT)
        # Two words may have one bit: the few best are told apart by the words themselves.
        ranked = sorted(statements, key=lambda one: (len(set(words) & set(_words(one[1]))), one[0]), reverse=True)
        return [number for number, _ in ranked[:most]]

    def _shared(self, wanted: int) -> Iterator[tuple[int, int]]:
        read, places = self._store.read, zip(self._blocks, self._begins, self._roles, strict=True)
        for number, (block, begin, role) in enumerate(places):
            kept = int.from_bytes(read(block, begin, begin + SIGNATURE_BYTES), "little")
            shared = (kept & wanted).bit_count()
            yield number, shared if role in _TO_QUOTE else 0

    def compact(self, keep: int) -> Compaction:
        """Replace all but the last `keep` messages by a summary of them; facts stay as they were said."""
        begin = time.perf_counter()
        before, bytes_before = len(self), self.bytes
        old = max(before - keep, 0)
        if old == 0:
            return Compaction(0, before, before, bytes_before, bytes_before, time.perf_counter() - begin)
        kept = [(self.role(n), self.text(n)) for n in range(before) if n >= old or self.role(n) is Role.FACT]
        summary = summarised([self.text(number) for number in range(old) if self.role(number) is not Role.FACT])
        self.close()
        if summary:
            self.add(Role.SUMMARY, summary)
        for role, text in kept:
            self.add(role, text)
        return Compaction(old, before, len(self), bytes_before, self.bytes, time.perf_counter() - begin)

    def close(self) -> None:
        """Forget everything."""
        self._store.close()
        for one in (self._blocks, self._begins, self._ends, self._roles):
            del one[:]
        self.tokens = 0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def signature(words: list[str]) -> int:
    """A set of words as bits, common words left out."""
    bits = 0
    for word in words:
        if word not in STOP_WORDS:
            bits |= 1 << _bit(word)
    return bits


_BITS: dict[str, int] = {}


def _bit(word: str) -> int:
    bit = _BITS.get(word)
    if bit is None:
        bit = int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "big") % (SIGNATURE_BYTES * 8)
        if len(_BITS) < 50_000:
            _BITS[word] = bit
    return bit


def summarised(texts: list[str]) -> str:
    """The sentences whose words come most often, in the order in which they were said: extraction by frequency."""
    sentences = [found.strip() for text in texts for found in _SENTENCE.findall(text) if found.strip()]
    words = [[word for word in _words(one) if word not in STOP_WORDS] for one in sentences]
    counts = Counter(word for found in words for word in found)
    scores: dict[str, float] = {}
    for sentence, found in zip(sentences, words, strict=True):
        if found:
            scores.setdefault(sentence, sum(counts[word] for word in found) / len(found))
    best = set(sorted(scores, key=lambda sentence: scores[sentence], reverse=True)[:_SUMMARY_SENTENCES])
    return " ".join(sentence for sentence in scores if sentence in best)
