"""The prompts that users ask: three classes of difficulty, validated when they are read."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from data.quality import Expectation

FOLDER = Path(__file__).parent / "prompts"
KINDS = ("simple", "medium", "complex")
MIXED = "mixed"


class PromptError(ValueError):
    """A file of prompts that cannot be used; the text names every problem, one a line."""


Message = dict[str, Any]
"""A message of a chat as the API has it: `role`, `content`, and what else its role needs."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question, encoded before the load, and what a good answer to it has."""

    id: str
    content_json: bytes
    """The question itself, as JSON: a text, or a list of the API's content parts."""
    expect: Expectation | None = None
    chat_json: bytes | None = None
    """All messages as a JSON list, where there are more than the question."""
    turns: tuple[str, ...] = ()
    """What the user says in the whole conversation, in its order, where the source has conversations."""
    input_tokens: int | None = None
    """The length that the plan or the trace wants, not the one that the server's tokenizer will count."""
    output_tokens: int | None = None
    """Length of the answer that is asked for; the plan's `max_tokens` when there is none."""

    @classmethod
    def of(
        cls,
        id: str,  # noqa: A002 - the field's own name
        messages: str | Sequence[Message],
        expect: Expectation | None = None,
        **more: Any,
    ) -> "Prompt":
        """Return a prompt with its text, or all of its messages, encoded; the last of these is the question."""
        if isinstance(messages, str):
            return cls(id, json.dumps(messages).encode(), expect, **more)
        content = json.dumps(messages[-1].get("content")).encode()
        return cls(id, content, expect, chat_json=json.dumps(list(messages)).encode(), **more)

    @property
    def messages_json(self) -> bytes:
        """The messages of the chat as a JSON list; put together by copying, nothing is encoded."""
        return self.chat_json or b'[{"role": "user", "content": ' + self.content_json + b"}]"

    @property
    def messages(self) -> list[Message]:
        """The messages of the chat, decoded: not for the load path."""
        messages: list[Message] = json.loads(self.messages_json)
        return messages

    @property
    def text(self) -> str:
        """The text of the question, decoded: not for the load path."""
        content = json.loads(self.content_json)
        if isinstance(content, list):
            return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
        return str(content or "")


class Prompts(Protocol):
    """A source of prompts: a place in it always has the same prompt. Encoded, or joined from encoded parts."""

    def __len__(self) -> int:
        """Return how many places there are."""

    def __getitem__(self, place: int, /) -> Prompt:
        """Return the prompt of a place."""


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


@lru_cache(maxsize=1)
def canaries() -> tuple[Prompt, ...]:
    """Return the fixed prompts whose answers under load are held against the ones before it."""
    return read(FOLDER / "canaries.json")


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
            expect = expectation(entry["expect"])
        except PromptError as error:
            problems += str(error).splitlines()
    if problems:
        raise PromptError("\n".join(problems))
    return Prompt.of(entry["id"], entry["text"], expect)


def expectation(raw: object) -> Expectation:
    """Return what a file says of good answers. Raises PromptError with every problem."""
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
