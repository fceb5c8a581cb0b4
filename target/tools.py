"""Which tool does a question call for, and with which arguments? Chosen by its words, filled in by its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .messages import Function
from .prose import key_words

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the model writes it."""

    name: str
    arguments: str


def call_for(question: str, tools: Sequence[Function], must_call: bool) -> ToolCall | None:
    """The call of the tool that shares most words with the question; None when none shares any."""
    words = {word.lower() for word in key_words(question)}
    best, most = None, 0 if must_call else 1
    for tool in tools:
        own = {word.lower() for word in key_words(f"{tool.name.replace('_', ' ')} {tool.description}")}
        shared = len(words & own)
        if shared >= most and (best is None or shared > most):
            best, most = tool, shared
    if best is None:
        return None
    return ToolCall(best.name, json.dumps(_arguments(question, best.parameters), ensure_ascii=False))


def _arguments(question: str, schema: dict[str, Any]) -> dict[str, object]:
    required = schema.get("required", [])
    numbers, names = _NUMBER.findall(question), _NAME.findall(question)
    found: dict[str, object] = {}
    for key, of in schema.get("properties", {}).items():
        if key in required or any(str(value).lower() in question.lower() for value in of.get("enum", ())):
            found[key] = _value(question, of, numbers, names)
    return found


def _value(question: str, schema: dict[str, Any], numbers: list[str], names: list[str]) -> object:
    """The value of one argument; each number and name of the question is used once."""
    if choices := schema.get("enum"):
        return next((value for value in choices if str(value).lower() in question.lower()), choices[0])
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        number = float(numbers.pop(0)) if numbers else 1.0
        return int(number) if kind == "integer" or number.is_integer() else number
    if kind == "boolean":
        return not re.search(r"\b(?:no|not|without)\b", question)
    if kind == "array":
        return [_value(question, schema.get("items", {}), numbers, names)]
    if kind == "object":
        return _arguments(question, schema)
    return names.pop(0) if names else " ".join(key_words(question)[:3])
