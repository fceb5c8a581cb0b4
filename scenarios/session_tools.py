"""Tool calls whose results are known beforehand, because the load made the arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from math import isclose
from random import Random
from typing import Any

_WORDS = ("harbour", "winter", "lamp", "index", "garden", "signal", "copper", "letter", "bridge", "morning", "engine")
_FIRST_DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: the tool, its arguments, and whether a result is the right one."""

    tool: str
    arguments: dict[str, str]
    right: Callable[[Any], bool]


def tool_call(random: Random, facts: dict[str, str]) -> ToolCall:
    """Return a call by chance; `facts` are what the session was asked to remember, by what it is about."""
    kinds = [_calculate, _convert, _days_between, _text_statistics]
    if facts and random.random() < 1 / (len(kinds) + 1):
        about, word = random.choice(list(facts.items()))
        arguments = {"query": f"the code word of {about}"}
        return ToolCall("search_session", arguments, lambda found: any(word in str(one) for one in found))
    return random.choice(kinds)(random)


def _calculate(random: Random) -> ToolCall:
    a, b, c = (random.randint(2, 999) for _ in range(3))
    return ToolCall("calculate", {"expression": f"({a} + {b}) * {c}"}, lambda result: result == (a + b) * c)


def _convert(random: Random) -> ToolCall:
    km = random.randint(1, 9999)
    arguments = {"value": str(km), "unit": "km", "to": "m"}
    return ToolCall("convert", arguments, lambda result: isclose(result, km * 1000))


def _days_between(random: Random) -> ToolCall:
    days, begin = random.randint(0, 3000), _FIRST_DAY + timedelta(random.randint(0, 365))
    arguments = {"begin": begin.isoformat(), "end": (begin + timedelta(days)).isoformat()}
    return ToolCall("days_between", arguments, lambda result: result == days)


def _text_statistics(random: Random) -> ToolCall:
    words = random.choices(_WORDS, k=random.randint(5, 60))
    right = {"words": len(words), "different": len(set(words))}
    return ToolCall("text_statistics", {"text": " ".join(words)}, lambda result: right.items() <= result.items())
