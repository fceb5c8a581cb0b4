"""How good is an answer? The expectations of a prompt, and the share of them that an answer meets."""

import re
from dataclasses import dataclass, fields
from functools import lru_cache

_WINDOW = 4
_LOOP = 0.5
_SHORTEST_LOOP = 3 * _WINDOW
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

    def given(self) -> tuple[str, ...]:
        """Return the keys that were written."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) not in (None, ()))


def grade(expectation: Expectation, answer: str) -> float:
    """Return the share of the expectations that the answer meets; 0 for an empty or looping answer."""
    text = answer.strip()
    if not text:
        return 0.0
    if expectation.exact is not None and _bare(text) == _bare(expectation.exact):
        exact: bool | None = True
    else:
        exact = None if expectation.exact is None else False
        repeated = repetition(text)
        if repeated > _LOOP and len(text.split()) >= _SHORTEST_LOOP:
            return 0.0
    folded = text.casefold()
    met: list[bool] = [] if exact is None else [exact]
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
    runs = [tuple(words[start : start + _WINDOW]) for start in range(len(words) - _WINDOW + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _bare(text: str) -> str:
    return text.strip().strip(_QUOTES).removesuffix(".").strip()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
