"""The Responses API: its requests as the chat that they stand for, and its typed events."""

from __future__ import annotations

import json
import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from .messages import Asked, Call, CalledFunction, Function, ImageUrl, Message, Part
from .streams import Answer, call_id, quoted

_INCOMPLETE = {"length": "max_output_tokens"}


class InputPart(BaseModel):
    """A part of an item's content."""

    type: Literal["input_text", "output_text", "input_image"]
    text: str = ""
    image_url: str | None = None


class InputItem(BaseModel):
    """One item of the input: a message, a call of a tool, or its result."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: str | list[InputPart] = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""

    def message(self) -> Message | None:
        """The message of a chat that stands for the item; none for reasoning."""
        if self.type == "reasoning":
            return None
        if self.type == "function_call":
            function = CalledFunction(name=self.name, arguments=self.arguments)
            return Message(role="assistant", tool_calls=[Call(id=self.call_id, function=function)])
        if self.type == "function_call_output":
            return Message(role="tool", content=self.output, tool_call_id=self.call_id)
        if isinstance(self.content, str):
            return Message(role=self.role, content=self.content)
        parts = [
            Part(type=part.type, text=part.text, image_url=ImageUrl(url=part.image_url) if part.image_url else None)
            for part in self.content
        ]
        return Message(role=self.role, content=parts)


class FlatTool(Function):
    """A tool in the form of the Responses API: without a mapping around its function."""

    type: Literal["function"]


class Reasoning(BaseModel):
    """How much the model is to think."""

    effort: Literal["low", "medium", "high"] | None = None


def _as_items(given: object) -> object:
    return [{"content": given}] if isinstance(given, str) else given


class ResponsesRequest(BaseModel):
    """Body of POST /v1/responses."""

    model: str = Field(min_length=1, max_length=200)
    input: Annotated[list[InputItem], BeforeValidator(_as_items)] = Field(min_length=1)
    instructions: str | None = None
    stream: bool = False
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    tools: list[FlatTool] = Field(default_factory=list)
    tool_choice: Literal["auto", "required", "none"] = "auto"
    reasoning: Reasoning | None = None
    ignore_eos: bool = False
    min_tokens: int = Field(default=0, ge=0)

    def asked(self) -> Asked:
        """What the model is to answer."""
        messages = [message for item in self.input if (message := item.message()) is not None]
        if self.instructions:
            messages.insert(0, Message(role="system", content=self.instructions))
        return Asked(
            messages=messages,
            tools=[] if self.tool_choice == "none" else list(self.tools),
            must_call=self.tool_choice == "required",
            effort=self.reasoning.effort if self.reasoning else None,
        )


class ResponsesWire:
    """One response, whole or as events."""

    def __init__(self, model: str) -> None:
        self.id, self.created, self.model = f"resp_{uuid.uuid4().hex}", int(time.time()), model

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        return json.dumps(self.document(answer, "completed"), ensure_ascii=False).encode()

    def events(self) -> ResponseEvents:
        """The same for a stream of events."""
        return ResponseEvents(self)

    def document(self, answer: Answer | None, status: str) -> dict[str, Any]:
        """The response as JSON; without an answer as long as there is none."""
        document: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "model": self.model,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "usage": None,
        }
        if answer is None:
            return document
        usage, reason = answer.usage(), _INCOMPLETE.get(answer.finish_reason)
        document["output"] = _items(answer, "incomplete" if reason else "completed")
        if reason:
            document |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
        document["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": answer.thoughts},
            "total_tokens": usage["total_tokens"],
        }
        return document


def _items(answer: Answer, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.thoughts:
        content = [{"type": "reasoning_text", "text": answer.reasoning()}]
        items.append({"type": "reasoning", "id": f"rs_{uuid.uuid4().hex}", "summary": [], "content": content})
    if answer.tool is not None:
        items.append(_call(answer.tool, answer.said(), status))
    else:
        part = {"type": "output_text", "text": answer.said(), "annotations": []}
        message = {"type": "message", "id": f"msg_{uuid.uuid4().hex}", "role": "assistant", "status": status}
        items.append(message | {"content": [part]})
    return items


def _call(name: str, arguments: str, status: str) -> dict[str, Any]:
    identity = {"type": "function_call", "id": f"fc_{uuid.uuid4().hex}", "call_id": call_id()}
    return identity | {"name": name, "arguments": arguments, "status": status}


class ResponseEvents:
    """The typed events of one response. There is no `[DONE]`: the last event has everything."""

    def __init__(self, wire: ResponsesWire) -> None:
        self._wire = wire
        self._number = self._place = 0
        self._kind = ""

    def first(self) -> bytes:
        """The response exists, and is being worked on."""
        document = self._wire.document(None, "in_progress")
        return self._event("response.created", response=document) + self._event(
            "response.in_progress", response=document
        )

    def thought(self, piece: str) -> bytes:
        """Some reasoning."""
        return self._opened("reasoning", {"type": "reasoning", "summary": []}) + self._delta(
            "response.reasoning_text.delta", piece
        )

    def call(self, name: str) -> bytes:
        """The begin of a tool call."""
        return self._opened("call", _call(name, "", "in_progress"))

    def arguments(self, piece: str) -> bytes:
        """A piece of the arguments of the tool call."""
        return self._delta("response.function_call_arguments.delta", piece)

    def text(self, piece: str) -> bytes:
        """A piece of the answer."""
        item = {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
        return self._opened("message", item) + self._delta("response.output_text.delta", piece)

    def tail(self, answer: Answer) -> bytes:
        """Every item is done, and so is the response."""
        document = self._wire.document(answer, "completed")
        done = [
            self._event("response.output_item.done", output_index=place, item=item)
            for place, item in enumerate(document["output"])
        ]
        return b"".join(done) + self._event(f"response.{document['status']}", response=document)

    def error(self, error: dict[str, object]) -> bytes:
        """The response has failed."""
        document = self._wire.document(None, "failed") | error
        return self._event("response.failed", response=document)

    def _opened(self, kind: str, item: dict[str, Any]) -> bytes:
        """The event that begins another item, once for each."""
        if kind == self._kind:
            return b""
        self._place += bool(self._kind)
        self._kind = kind
        return self._event("response.output_item.added", output_index=self._place, item=item)

    def _delta(self, kind: str, piece: str) -> bytes:
        self._number += 1
        return (
            (
                f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":{self._number},"output_index":{self._place},'
                f'"content_index":0,"delta":'
            ).encode()
            + quoted(piece)
            + b"}\n\n"
        )

    def _event(self, kind: str, **more: object) -> bytes:
        self._number += 1
        data = json.dumps({"type": kind, "sequence_number": self._number, **more}, ensure_ascii=False)
        return f"event: {kind}\ndata: {data}\n\n".encode()
