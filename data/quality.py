"""How good is an answer? The expectations of a prompt, and the share of them that an answer meets."""

import re
import unicodedata
from dataclasses import dataclass, fields
from functools import lru_cache

from rapidfuzz.distance import Indel

_WINDOW = 4
_LOOP = 0.5
_SHORTEST_LOOP = 3 * _WINDOW
_TAIL = 1000
"""Signs at the end of an answer in which a loop is looked for: a model that is caught in one does not leave it."""
_SHORTEST_TAIL, _FEWEST_ROUNDS, _LOOPING_SHARE = 40, 4, 0.4
_LAST = 10
"""Signs that are looked for first; a loop has at least `_SHORTEST_TAIL`, of which one round is a quarter at most."""
_WORD = re.compile(r"[^\W\d_]+")
_VOWELS = frozenset("aeiouy")
_SYLLABIC = _VOWELS | {"l", "r"}
"""What a syllable of some languages is made of: in Czech all of "vlk zmrzl" are good words."""
_LONG_WORD, _FEWEST_LONG_WORDS = 4, 5
_VOWELLESS_SHARE, _VOICELESS_SHARE = 0.5, 0.2
_BROKEN_SHARE = 0.02
_FEWEST_MIXED, _MIXED_SHARE = 3, 0.2
_SCRIPTS = frozenset({"LATIN", "CYRILLIC", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "THAI", "HANGUL"})
"""Scripts of which a word has one. Not Greek (units and formulas mix it in), and not Chinese or Japanese."""
_QUOTES = "\"'`“”‘’"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an answer must have; each key that is given weighs the same.

    Texts are compared without regard to case, but for `exact` and `regex`.
    """

    contains_all: tuple[str, ...] = ()
    contains_any: tuple[str, ...] = ()
    regex: str | None = None
    """Searched for anywhere in the answer."""
    exact: str | None = None
    """The whole answer, but for blanks, quotes and a full stop around it."""
    min_words: int | None = None
    max_repetition: float | None = None
    """Highest `repetition` of the answer, 0 to 1."""

    def words(self) -> str:
        """Return what is expected, for people."""
        return "; ".join(f"{name.replace('_', ' ')} {_shown(getattr(self, name))}" for name in self.given())

    def given(self) -> tuple[str, ...]:
        """Return the keys that were written."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) not in (None, ()))


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def grade(expectation: Expectation, answer: str) -> float:
    """Return the share of the expectations that the answer meets; 0 for an empty, looping or garbled answer."""
    if not answer.strip() or (not literal(expectation, answer) and (loops(answer) or garbled(answer))):
        return 0.0
    return share_met(expectation, answer)


def literal(expectation: Expectation, answer: str) -> bool:
    """Return whether the answer is word for word what is expected: then nothing about it is a defect."""
    return expectation.exact is not None and _bare(answer) == _bare(expectation.exact)


def share_met(expectation: Expectation, answer: str) -> float:
    """Return the share of the expectations that an answer without defects meets."""
    text = answer.strip()
    folded = text.casefold()
    met: list[bool] = [] if expectation.exact is None else [literal(expectation, text)]
    if expectation.contains_all:
        met.append(all(part.casefold() in folded for part in expectation.contains_all))
    if expectation.contains_any:
        met.append(any(part.casefold() in folded for part in expectation.contains_any))
    if expectation.regex is not None:
        met.append(_compiled(expectation.regex).search(text) is not None)
    if expectation.min_words is not None:
        met.append(len(text.split()) >= expectation.min_words)
    if expectation.max_repetition is not None:
        met.append(repetition(text) <= expectation.max_repetition)
    return sum(met) / len(met) if met else 1.0


def repetition(answer: str) -> float:
    """Return the share of the runs of four words that stood in the answer before, 0 to 1; 0 for shorter ones.

    A healthy text has next to none; a model that is caught in a loop comes close to 1.
    """
    words = answer.casefold().split()
    runs = len(words) - _WINDOW + 1
    return 1 - len(set(zip(*(words[start:] for start in range(_WINDOW)), strict=False))) / runs if runs > 0 else 0.0


def loops(answer: str) -> bool:
    """Return whether the answer is caught in a loop: it says the same again and again, or ends in doing so."""
    text = answer.strip()
    if repetition(text) > _LOOP and len(text.split()) >= _SHORTEST_LOOP:
        return True
    tail = text[-_TAIL:]
    if tail.find(tail[-_LAST:], 0, -1) < 0:
        return False  # in a loop the last signs stood there before, one round ago; in nearly all texts they did not
    length, period = _periodic_tail(tail)
    if length < max(_SHORTEST_TAIL, _LOOPING_SHARE * len(tail)) or length < _FEWEST_ROUNDS * period:
        return False
    unit = text[-period:]
    # A long number may end in many equal digits, and a rule of a table in many equal strokes.
    return not set(unit) <= set("0123456789 .,|-=_*#+~:/\\\n")


def _periodic_tail(text: str) -> tuple[int, int]:
    """Return (length, period) of the longest end of the text that is one part over and over; (0, 1) without one.

    In the text read backwards, `border[i]` is the longest beginning of the first `i + 1` signs that is their end too:
    `i + 1 - border[i]` is then their period (Knuth, Morris and Pratt).
    """
    signs = text[::-1]
    border = [0] * len(signs)
    best = (0, 1)
    matched = 0
    for index in range(1, len(signs)):
        while matched and signs[index] != signs[matched]:
            matched = border[matched - 1]
        matched += signs[index] == signs[matched]
        border[index] = matched
        length, period = index + 1, index + 1 - matched
        if length >= _FEWEST_ROUNDS * period:
            best = (length, period)
    return best


def garbled(answer: str) -> bool:
    """Return whether the answer is broken text and not language: what a broken decoder or cache puts out.

    Signs: characters that stand for undecodable bytes or control the terminal; long words without any vowel, too many
    of them; words that mix scripts. Abbreviations in capitals are no words, nor is anything with digits.
    """
    if _broken_signs(answer) > _BROKEN_SHARE * max(len(answer), 1):
        return True
    words = _WORD.findall(answer)
    long = [word for word in words if len(word) >= _LONG_WORD and not word.isupper() and _latin(word)]
    if len(long) >= _FEWEST_LONG_WORDS:
        plain = [_plain(word) for word in long]
        vowelless = sum(map(_VOWELS.isdisjoint, plain)) / len(long)
        voiceless = sum(map(_SYLLABIC.isdisjoint, plain)) / len(long)
        if vowelless > _VOWELLESS_SHARE and voiceless > _VOICELESS_SHARE:
            return True
    mixed = 0 if answer.isascii() else sum(len(_scripts(word)) > 1 for word in words)
    return mixed >= _FEWEST_MIXED and mixed > _MIXED_SHARE * len(words)


def _broken_signs(answer: str) -> int:
    controls = sum(answer.count(chr(code)) for code in range(32) if chr(code) not in "\t\n\r")
    return controls + answer.count("\ufffd")


def _plain(word: str) -> str:
    """Return the word in small letters without accents."""
    return word.lower() if word.isascii() else unicodedata.normalize("NFD", word.lower())


def _latin(word: str) -> bool:
    return word.isascii() or _scripts(word) == {"LATIN"}


def _scripts(word: str) -> set[str]:
    return set(map(_script, word)) & _SCRIPTS


@lru_cache(maxsize=4096)
def _script(sign: str) -> str:
    return unicodedata.name(sign, "").partition(" ")[0]


def similarity(answer: str, other: str) -> float:
    """Return how alike two answers are, 0 to 1: the share of their words that stand in both in the same order."""
    return float(Indel.normalized_similarity(answer.split(), other.split()))


def _bare(text: str) -> str:
    return text.strip().strip(_QUOTES).removesuffix(".").strip()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
