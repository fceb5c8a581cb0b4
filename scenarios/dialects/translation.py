"""The messages of a chat as the items of the Responses API."""

from collections.abc import Iterable, Iterator
from typing import Any

from data.prompts import Message

_PARTS = {"text": "input_text", "image_url": "input_image"}


def items_of(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return messages as items; calls of tools and their results are items of their own."""
    return [item for message in messages for item in _items(message)]


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}
        return
    if message.get("content"):
        yield {"role": message["role"], "content": _content(message["content"])}
    for call in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _content(content: object) -> object:
    if not isinstance(content, list):
        return content
    parts = []
    for part in content:
        kind, value = part["type"], part[part["type"]]
        parts.append({"type": _PARTS[kind], kind: value["url"] if kind == "image_url" else value})
    return parts
