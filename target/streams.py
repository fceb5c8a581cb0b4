"""Completions on the wire: the JSON of a whole answer, or its server-sent events as real engines send them.

The fixed text around a token is made once per request; per token there is one cached lookup and one
concatenation.
"""

from __future__ import annotations

import asyncio
import enum
import json
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .engine import Generation
from .errors import openai_error

DONE = b"data: [DONE]\n\n"
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class Fate(enum.StrEnum):
    """How a stream ends."""

    WHOLE = "whole"
    DROPPED = "dropped"
    TRUNCATED = "truncated"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Answer:
    """What will be said, as tokens, and how it is accounted for."""

    tokens: tuple[str, ...]
    """All that the engine generates: first the reasoning, then the text or the arguments of a tool call."""
    finish_reason: str
    prompt_tokens: int
    thoughts: int = 0
    """How many of the tokens are reasoning."""
    tool: str | None = None
    """Name of the tool that is called with what follows the reasoning."""

    def reasoning(self) -> str:
        """What the model thinks and no reader sees."""
        return "".join(self.tokens[: self.thoughts])

    def said(self) -> str:
        """The text of the answer, or the arguments of its tool call."""
        return "".join(self.tokens[self.thoughts :])

    def usage(self) -> dict[str, int]:
        """Token counts as OpenAI's API reports them."""
        spoken = len(self.tokens)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": spoken,
            "total_tokens": self.prompt_tokens + spoken,
        }


class Events(Protocol):
    """The bytes of one stream's events in one wire format."""

    def first(self) -> bytes:
        """What comes before the first token."""

    def thought(self, piece: str) -> bytes:
        """Some reasoning."""

    def call(self, name: str) -> bytes:
        """The begin of a tool call."""

    def arguments(self, piece: str) -> bytes:
        """A piece of the arguments of the tool call."""

    def text(self, piece: str) -> bytes:
        """A piece of the answer."""

    def tail(self, answer: Answer) -> bytes:
        """Everything after the last token."""

    def error(self, error: dict[str, object]) -> bytes:
        """The event that says that the engine failed."""


class Wire(Protocol):
    """One wire format."""

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""

    def events(self) -> Events:
        """The same for a stream of events."""


class Frame:
    """The JSON around the text of one completion, for chat or for plain completions."""

    def __init__(self, model: str, chat: bool, include_usage: bool = False) -> None:
        self._chat = chat
        self._include_usage = include_usage
        self._id = ("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex
        self._created = int(time.time())
        self._model = model

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        said: dict[str, object] = {"message": _message(answer)} if self._chat else {"text": answer.said()}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": answer.finish_reason}
        body = {
            "id": self._id,
            "object": "chat.completion" if self._chat else "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": [choice],
            "usage": answer.usage(),
        }
        return json.dumps(body, ensure_ascii=False).encode()

    def events(self) -> EventFrame:
        """The same for a stream of events."""
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        head = (
            f'data: {{"id":"{self._id}","object":"{kind}","created":{self._created},'
            f'"model":{json.dumps(self._model)},"choices":['
        )
        return EventFrame(head.encode(), self._chat, self._include_usage)


def _message(answer: Answer) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": answer.said()}
    if answer.thoughts:
        message["reasoning_content"] = answer.reasoning()
    if answer.tool is not None:
        function = {"name": answer.tool, "arguments": answer.said()}
        message |= {"content": None, "tool_calls": [{"id": call_id(), "type": "function", "function": function}]}
    return message


def call_id() -> str:
    """A name for a new tool call."""
    return f"call_{uuid.uuid4().hex[:24]}"


class EventFrame:
    """The bytes around each event of one stream."""

    def __init__(self, head: bytes, chat: bool, include_usage: bool) -> None:
        self._head = head
        self._chat, self._include_usage = chat, include_usage
        # With include_usage every event but the last says that there is no usage yet, as OpenAI's own do.
        self._end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._before = head + (b'{"index":0,"delta":{"content":' if chat else b'{"index":0,"text":')
        self._rest = b',"logprobs":null,"finish_reason":null}' + self._end
        self._after = (b"}" if chat else b"") + b',"logprobs":null,"finish_reason":null}' + self._end

    def first(self) -> bytes:
        """The event before the first token: the role, with no content. Plain completions have none."""
        if not self._chat:
            return b""
        return self._delta(b'{"role":"assistant","content":null}')

    def text(self, piece: str) -> bytes:
        """The event of one or more tokens."""
        return self._before + quoted(piece) + self._after

    def thought(self, piece: str) -> bytes:
        """The event of some reasoning."""
        return self._delta(b'{"reasoning_content":' + quoted(piece) + b"}")

    def call(self, name: str) -> bytes:
        """The event that names the tool."""
        opened = {"index": 0, "id": call_id(), "type": "function", "function": {"name": name, "arguments": ""}}
        return self._delta(json.dumps({"tool_calls": [opened]}, separators=(",", ":")).encode())

    def arguments(self, piece: str) -> bytes:
        """The event of a piece of the tool call's arguments."""
        return self._delta(b'{"tool_calls":[{"index":0,"function":{"arguments":' + quoted(piece) + b"}}]}")

    def tail(self, answer: Answer) -> bytes:
        """The event that says why the answer ended, the token counts when they were asked for, and the end."""
        said = b'"delta":{}' if self._chat else b'"text":""'
        choice = b'{"index":0,' + said + b',"logprobs":null,"finish_reason":"' + answer.finish_reason.encode() + b'"}'
        usage = json.dumps(answer.usage(), separators=(",", ":")).encode()
        counts = self._head + b'],"usage":' + usage + b"}\n\n" if self._include_usage else b""
        return self._head + choice + self._end + counts + DONE

    def error(self, error: dict[str, object]) -> bytes:
        """The event that says that the engine failed."""
        return b"data: " + json.dumps(error).encode() + b"\n\n"

    def _delta(self, delta: bytes) -> bytes:
        return self._head + b'{"index":0,"delta":' + delta + self._rest


@lru_cache(maxsize=8192)
def quoted(piece: str) -> bytes:
    """A piece of text as JSON; the same pieces come again and again."""
    return json.dumps(piece, ensure_ascii=False).encode()


class Completion(Response):
    """An ASGI response that speaks while the engine produces."""

    def __init__(self, generation: Generation, answer: Answer, frame: Wire) -> None:
        super().__init__()
        self._generation = generation
        self._answer = answer
        self._frame = frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak; a client that leaves gives its slot back at once."""
        watcher = asyncio.create_task(_cancel_when_gone(receive, self._generation))
        try:
            await self._speak(send)
        finally:
            watcher.cancel()
            # Also after a cut, an error or a cancellation of this task the slot must not stay taken.
            self._generation.cancel()

    async def _speak(self, send: Send) -> None:
        await self._generation.reach(len(self._answer.tokens))
        if self._generation.cancelled:
            return
        body = self._frame.whole(self._answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class CompletionStream(Completion):
    """The same answer as server-sent events of `per_event` tokens."""

    def __init__(
        self,
        generation: Generation,
        answer: Answer,
        frame: Wire,
        *,
        per_event: int,
        fate: Fate,
    ) -> None:
        super().__init__(generation, answer, frame)
        self._per_event = per_event
        self._fate = fate

    async def _speak(self, send: Send) -> None:
        frame, tokens = self._frame.events(), self._answer.tokens
        end = len(tokens) if self._fate is Fate.WHOLE else len(tokens) // 2
        # Not even the headers leave before the first token: a queued request hears nothing, as from real
        # engines.
        ready = await self._generation.reach(min(1, end))
        if self._generation.cancelled:
            return
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        events = [frame.first()]
        sent = 0
        while True:
            while sent < end and (ready >= sent + self._per_event or ready >= end):
                until = min(sent + self._per_event, end)
                if sent < self._answer.thoughts:
                    until = min(until, self._answer.thoughts)
                piece = tokens[sent] if until == sent + 1 else "".join(tokens[sent:until])
                events.append(self._event(frame, sent, piece))
                sent = until
            if events:
                await send({"type": "http.response.body", "body": b"".join(events), "more_body": True})
                events.clear()
            if sent >= end:
                break
            ready = await self._generation.reach(min(sent + self._per_event, end))
            if self._generation.cancelled:
                return
        if self._fate is Fate.DROPPED:
            # Returning without a last body makes the server close the connection in the middle of the chunked
            # body.
            return
        await send({"type": "http.response.body", "body": self._tail(frame)})

    def _event(self, frame: Events, place: int, piece: str) -> bytes:
        """The event of the tokens from `place` on: reasoning, a piece of a tool call, or text."""
        answer = self._answer
        if place < answer.thoughts:
            return frame.thought(piece)
        if answer.tool is None:
            return frame.text(piece)
        opened = frame.call(answer.tool) if place == answer.thoughts else b""
        return opened + frame.arguments(piece)

    def _tail(self, frame: Events) -> bytes:
        if self._fate is Fate.TRUNCATED:
            return b""
        if self._fate is Fate.ERROR:
            return frame.error(openai_error(500, "engine_error", "The engine failed while generating."))
        return frame.tail(self._answer)


async def _cancel_when_gone(receive: Receive, generation: Generation) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    generation.cancel()
