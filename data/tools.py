"""Tools that a model may call, questions that need one, and whether a call is one that could be made."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from data.schemas import Check

FILE = Path(__file__).parent / "tools.json"


@dataclass(frozen=True, slots=True)
class Task:
    """One question, the call that it must become, what the tool says, and what then belongs into the answer."""

    id: str
    question: str
    tool: str
    arguments: dict[str, Any]
    result: str
    answer: str

    def grade_call(self, name: str, arguments: dict[str, Any]) -> float:
        """Return the share of what was expected: the tool, and each of its arguments."""
        if name != self.tool:
            return 0.0
        met = sum(_same(arguments.get(key), value) for key, value in self.arguments.items())
        return (1 + met) / (1 + len(self.arguments))

    def grade_answer(self, text: str) -> float:
        """Return 1 when the tool's result is in the answer, else 0."""
        return float(self.answer.casefold() in text.casefold())


def problem_of(name: str, arguments: str) -> str | None:
    """Return what keeps a call from being made; None when nothing does."""
    check = checks().get(name)
    if check is None:
        return f"there is no tool {name!r}"
    try:
        given = json.loads(arguments)
    except ValueError:
        return f"the arguments of {name} are not JSON"
    problem = check.problem(given)
    return None if problem is None else f"the arguments of {name} are not of its schema: {problem[:120]}"


@cache
def checks() -> dict[str, Check]:
    """Return what the arguments of each tool are held against; ask before the load, as it takes a moment."""
    return {tool["name"]: Check(tool["parameters"]) for tool in _RAW["tools"]}


def _same(given: object, wanted: object) -> bool:
    if isinstance(given, str) and isinstance(wanted, str):
        return given.strip().casefold() == wanted.casefold()
    return given == wanted


_RAW: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
DEFINITIONS: tuple[dict[str, Any], ...] = tuple({"type": "function", "function": tool} for tool in _RAW["tools"])
"""In the form of the chat API."""
TASKS: tuple[Task, ...] = tuple(Task(**task) for task in _RAW["tasks"])
