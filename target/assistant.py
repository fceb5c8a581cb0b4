"""What the assistant of a chat session says and does: answers out of the context, and tools that really compute."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

from .contexts import Context, Role
from .prose import STOP_WORDS, about

_OPERATIONS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_UNITS = {
    "length": {"mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "inch": 0.0254, "foot": 0.3048, "mile": 1609.344},
    "mass": {"g": 0.001, "kg": 1.0, "t": 1000.0, "ounce": 0.028349523125, "pound": 0.45359237},
    "time": {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0},
}
_FOUND = 3
_TEXT_LIMIT = 10_000


class BadCallError(Exception):
    """A tool call that cannot be carried out; the message says why."""


def reply(context: Context, said: str, seed: int) -> str:
    """The assistant's answer to what was just said, which is not in the context yet."""
    if Role.FACT is Context.kind_of(said):
        return f"Noted: {said.strip()}"
    found = context.relevant(said)
    quoted = f'Earlier in this conversation: "{context.text(found[0])}" ' if found else ""
    return quoted + about(said, seed, sentences=2)


def call(name: str, arguments: dict[str, Any], context: Context) -> Any:
    """Carry out a tool call. Raises `BadCallError`, and KeyError for a tool that there is not."""
    tool = TOOLS[name]
    try:
        return tool(context, **arguments)
    except TypeError:
        wanted = ", ".join(tool.__code__.co_varnames[1 : tool.__code__.co_argcount])
        raise BadCallError(f"{name} takes the arguments {wanted}, as text") from None


def calculate(_: Context, expression: str) -> float:
    """Arithmetic with + - * / // % and brackets."""
    try:
        value = _value(ast.parse(_short(expression, 200).strip(), mode="eval").body)
        if not math.isfinite(value):
            raise OverflowError("the result is no finite number")
        return value
    except (SyntaxError, ValueError, RecursionError, ZeroDivisionError, OverflowError) as error:
        raise BadCallError(f"cannot calculate {expression[:80]!r}: {error}") from None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("only numbers, + - * / // % and brackets")


def convert(_: Context, value: str, unit: str, to: str) -> float:
    """A value in another unit of the same kind."""
    known = next((table for table in _UNITS.values() if unit in table and to in table), None)
    if known is None:
        allowed = "; ".join(", ".join(table) for table in _UNITS.values())
        raise BadCallError(f"unit and to must be of one kind ({allowed}), got {unit!r} and {to!r}")
    try:
        return float(value) * known[unit] / known[to]
    except ValueError:
        raise BadCallError(f"value must be a number, got {value!r}") from None


def days_between(_: Context, begin: str, end: str) -> int:
    """Days from one date to another, both as 2026-11-21."""
    try:
        return (date.fromisoformat(end) - date.fromisoformat(begin)).days
    except ValueError:
        raise BadCallError(f"begin and end must be dates such as 2026-11-21, got {begin!r} and {end!r}") from None


def text_statistics(_: Context, text: str) -> dict[str, Any]:
    """Words, different words and characters of a text, and the words that come most often."""
    words = re.findall(r"[\w'-]+", _short(text, _TEXT_LIMIT).lower())
    common = Counter(word for word in words if word not in STOP_WORDS).most_common(3)
    return {"words": len(words), "different": len(set(words)), "characters": len(text), "most_common": dict(common)}


def search_session(context: Context, query: str) -> list[dict[str, Any]]:
    """The messages of this session that share most words with a query."""
    return [{"message": number, "text": context.text(number)} for number in context.relevant(query, _FOUND)]


def _short(text: str, most: int) -> str:
    if len(text) > most:
        raise BadCallError(f"must have at most {most} characters, got {len(text)}")
    return text


TOOLS: dict[str, Any] = {
    tool.__name__: tool for tool in (calculate, convert, days_between, text_statistics, search_session)
}
