"""The pieces of a chat completion on the wire, and what runs a chat user against them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.clients.servers import CHUNKED, LAST_CHUNK, Script, chunk

Run = Callable[..., list[dict[str, Any]]]
Load = Callable[..., dict[str, Any]]

SSE = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n")


def event(content: str, end: str = "\n") -> bytes:
    """One event of a chat stream."""
    chunk_of = {"choices": [{"delta": {"content": content}}]}
    return f"data: {json.dumps(chunk_of, separators=(',', ':'))}{end}{end}".encode()


def sized(content: str, size: int) -> bytes:
    """One event of exactly `size` bytes: of a text completion when it is too short for a chat's."""
    data = event(content)
    if len(data) > size:
        data = f'data: {{"choices":[{{"text":"{content}"}}]}}\n\n'.encode()
    return data[:-2] + b" " * (size - len(data)) + data[-2:]


FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def usage(tokens: int) -> bytes:
    return f'data: {{"choices":[],"usage":{{"prompt_tokens":9,"completion_tokens":{tokens}}}}}\n\n'.encode()


WORDS = [event(word) for word in ("The ", "answer ", "is ", "4", "2")]


def stream(*events: bytes) -> Script:
    """A stream of events, 10 ms apart, without the end of the body."""
    script = Script().send(SSE)
    for number, one in enumerate(events):
        script.at(0.01 * number).send(chunk(one))
    return script


def whole(*events: bytes) -> Script:
    return stream(*events).send(LAST_CHUNK)
