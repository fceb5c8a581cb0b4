"""Conversations that people had: ShareGPT's JSON, and the OpenAI API's messages in JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.prompts import Message, Prompt, PromptError, expectation

SHAREGPT, MESSAGES = "sharegpt", "messages"
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant"} | {
    "bard": "assistant", "assistant": "assistant", "system": "system",
}  # fmt: skip
_API_ROLES = ("system", "developer", "user", "assistant", "tool")
_MOST_PROBLEMS = 5


def read(path: Path, form: str, *, whole: bool = False) -> tuple[Prompt, ...]:
    """Return the prompts in a file: up to the first question of each conversation, or up to the last (`whole`).

    Raises PromptError with the first problems, by entry, field and value.
    """
    prompts, problems = list[Prompt](), list[str]()
    try:
        for place, entry in _entries(path, form):
            try:
                prompt = _sharegpt(place, entry, whole) if form == SHAREGPT else _messages(place, entry, whole)
            except PromptError as error:
                problems.append(f"{path}: {place}{error}")
                if len(problems) == _MOST_PROBLEMS:
                    break
            else:
                prompts += [prompt] if prompt else []
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PromptError(f"{path}: is not text in UTF-8") from None
    if problems:
        raise PromptError("\n".join(problems))
    if not prompts:
        raise PromptError(f"{path}: must hold at least one conversation in which a user says something, got none")
    return tuple(prompts)


def _entries(path: Path, form: str) -> Iterator[tuple[str, Any]]:
    """Yield where an entry stands, and the entry."""
    if form == SHAREGPT:
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise PromptError(f"{path}: is not valid JSON: {error}") from None
        if not isinstance(raw, list):
            raise PromptError(f"{path}: must be a list of conversations, got {type(raw).__name__}")
        yield from ((f"[{index}]", entry) for index, entry in enumerate(raw))
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError as error:
                    raise PromptError(f"{path}: line {number}: is not valid JSON: {error}") from None
                yield f"line {number}: ", entry


def _sharegpt(place: str, entry: object, whole: bool) -> Prompt | None:
    """Return the prompt of `{"id": ..., "conversations": [{"from": "human", "value": ...}, ...]}`."""
    said = entry.get("conversations") if isinstance(entry, dict) else None
    if not isinstance(said, list):
        raise PromptError(f".conversations must be a list, got {_shown(said)}")
    messages: list[Message] = []
    for number, turn in enumerate(said):
        role = _ROLES.get(str(turn.get("from"))) if isinstance(turn, dict) else None
        if role is None:
            speaker = turn.get("from") if isinstance(turn, dict) else turn
            raise PromptError(
                f".conversations[{number}].from must be one of {', '.join(_ROLES)}, got {_shown(speaker)}"
            )
        if not isinstance(turn.get("value"), str):
            raise PromptError(f".conversations[{number}].value must be text, got {_shown(turn.get('value'))}")
        messages.append({"role": role, "content": turn["value"]})
    assert isinstance(entry, dict)
    return _prompt(str(entry.get("id", place.strip("[]"))), messages, whole)


def _messages(place: str, entry: object, whole: bool) -> Prompt | None:
    """Return the prompt of a line: a chat, or a request of the batch API with a chat as its `body`."""
    if not isinstance(entry, dict):
        raise PromptError(f"must be a JSON object, got {_shown(entry)}")
    field, request = ("body.", entry["body"]) if isinstance(entry.get("body"), dict) else ("", entry)
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise PromptError(f"{field}messages must be a list, got {_shown(messages)}")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _API_ROLES:
            role = message.get("role") if isinstance(message, dict) else message
            raise PromptError(
                f"{field}messages[{number}].role must be one of {', '.join(_API_ROLES)}, got {_shown(role)}"
            )
    length = request.get("max_completion_tokens", request.get("max_tokens"))
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise PromptError(f"{field}max_tokens must be a whole number >= 1, got {_shown(length)}")
    expect = expectation(entry["expect"]) if "expect" in entry else None
    name = str(entry.get("custom_id", entry.get("id", place.removesuffix(": "))))
    return _prompt(name, messages, whole, expect=expect, output_tokens=length)


def _prompt(name: str, messages: list[Message], whole: bool, **more: Any) -> Prompt | None:
    """Return the conversation up to its first question, or its last one; None when nobody asks anything."""
    asked = [number for number, message in enumerate(messages) if message["role"] == "user" and message.get("content")]
    if not asked:
        return None
    turns = tuple(content for number in asked if isinstance(content := messages[number]["content"], str))
    upto = messages[: (asked[-1] if whole else asked[0]) + 1]
    alone = upto[0]["content"] if len(upto) == 1 else None
    return Prompt.of(name, alone if isinstance(alone, str) else upto, turns=turns, **more)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
