"""The prompts that users ask: three classes of difficulty, validated when they are read."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.quality import Expectation

FOLDER = Path(__file__).parent / "prompts"
KINDS = ("simple", "medium", "complex")
MIXED = "mixed"


class PromptError(ValueError):
    """A file of prompts that cannot be used; the text names every problem, one a line."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question, and what a good answer to it has."""

    id: str
    text: str
    expect: Expectation | None = None


@lru_cache(maxsize=8)
def load(kind: str) -> tuple[Prompt, ...]:
    """Return the prompts of a class, or of all of them for `mixed`; read once per process.

    Raises PromptError for a class that does not exist and for files with mistakes.
    """
    if kind == MIXED:
        return tuple(prompt for each in KINDS for prompt in load(each))
    if kind not in KINDS:
        raise PromptError(f"prompts must be one of {', '.join((*KINDS, MIXED))}, got {kind!r}")
    return read(FOLDER / f"{kind}.json")


def read(path: Path) -> tuple[Prompt, ...]:
    """Return the prompts in a JSON file. Raises PromptError with every problem."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PromptError(f"{path}: is not valid JSON: {error}") from None
    if not isinstance(raw, list) or not raw:
        raise PromptError(f"{path}: must be a list of at least one prompt, got {type(raw).__name__}")
    problems: list[str] = []
    prompts: list[Prompt] = []
    seen: set[str] = set()
    for index, entry in enumerate(raw):
        try:
            prompt = _prompt(entry)
            if prompt.id in seen:
                raise PromptError(f".id must be unique, got {prompt.id!r} again")
        except PromptError as error:
            problems += [f"{path}: [{index}]{line}" for line in str(error).splitlines()]
        else:
            seen.add(prompt.id)
            prompts.append(prompt)
    if problems:
        raise PromptError("\n".join(problems))
    return tuple(prompts)


def _prompt(entry: object) -> Prompt:
    if not isinstance(entry, dict):
        raise PromptError(f" must be a mapping, got {entry!r}")
    problems = [
        f".{key} is not a known key; known are id, text, expect" for key in set(entry) - {"id", "text", "expect"}
    ]
    problems += [
        f".{key} must be text that is not empty, got {entry.get(key)!r}"
        for key in ("id", "text")
        if not _is_text(entry.get(key))
    ]
    expect = None
    if "expect" in entry:
        try:
            expect = _expectation(entry["expect"])
        except PromptError as error:
            problems += str(error).splitlines()
    if problems:
        raise PromptError("\n".join(problems))
    return Prompt(entry["id"], entry["text"], expect)


def _expectation(raw: object) -> Expectation:
    if not isinstance(raw, dict) or not raw:
        raise PromptError(f".expect must be a mapping with at least one expectation, got {raw!r}")
    problems: list[str] = []
    for key, value in raw.items():
        if key not in _CHECKS:
            problems.append(f".expect.{key} is not a known key; known are {', '.join(_CHECKS)}")
            continue
        holds, wanted = _CHECKS[key]
        if not holds(value):
            problems.append(f".expect.{key} must be {wanted}, got {value!r}")
    if problems:
        raise PromptError("\n".join(problems))
    checked: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    return Expectation(**checked)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_text(part) for part in value)


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(value) and re.compile(value) is not None
    except re.error:
        return False


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "contains_all": (_are_texts, "a list of texts"),
    "contains_any": (_are_texts, "a list of texts"),
    "regex": (_is_pattern, "a regular expression"),
    "exact": (_is_text, "text that is not empty"),
    "min_words": (_is_count, "a whole number >= 1"),
    "max_repetition": (_is_share, "a number from 0 to 1"),
}
