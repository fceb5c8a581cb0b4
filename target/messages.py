"""The messages of a chat, of every endpoint that takes them, and what they cost in tokens."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, Literal

from pydantic import BaseModel, Field

from .errors import ModelError
from .prose import tokens_of

TEMPLATE_TOKENS = 4
"""What a chat template adds to each message."""
_PATCH = 28
_PNG = b"\x89PNG\r\n\x1a\n"
_UNKNOWN_IMAGE_TOKENS = 256


class ImageUrl(BaseModel):
    """Where an image is: only `data:` URLs are taken, because this server asks nobody for anything."""

    url: str


class Part(BaseModel):
    """A part of a message's content: text or an image."""

    type: str
    text: str = ""
    image_url: ImageUrl | str | None = None

    def image_tokens(self) -> int:
        """What an image costs: one token for each patch of 28 x 28 pixels. Raises `ModelError`."""
        if self.image_url is None:
            return 0
        url = self.image_url if isinstance(self.image_url, str) else self.image_url.url
        head, _, data = url.partition(";base64,")
        if not head.startswith("data:image/"):
            raise ModelError(400, "invalid_image_url", "image_url: only data: URLs with a base64 image are taken")
        try:
            raw = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise ModelError(400, "invalid_image", "image_url: the data is not base64") from None
        if not raw.startswith(_PNG):
            return _UNKNOWN_IMAGE_TOKENS
        if len(raw) < 24:
            raise ModelError(400, "invalid_image", "image_url: the PNG has no header")
        width, height = (int.from_bytes(raw[start : start + 4], "big") for start in (16, 20))
        return max(1, math.ceil(width / _PATCH) * math.ceil(height / _PATCH))


class CalledFunction(BaseModel):
    """Which function was called, and how."""

    name: str
    arguments: str = "{}"


class Call(BaseModel):
    """A tool call that the model made in an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Call] = Field(default_factory=list)
    tool_call_id: str | None = None

    def text(self) -> str:
        """The content as text."""
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content if part.text)
        return self.content or ""

    def tokens(self) -> int:
        """What the message costs. Raises `ModelError` for an image that is none."""
        images = sum(part.image_tokens() for part in self.content) if isinstance(self.content, list) else 0
        calls = sum(len(tokens_of(call.function.name + call.function.arguments)) for call in self.tool_calls)
        return len(tokens_of(self.text())) + images + calls + TEMPLATE_TOKENS


class Function(BaseModel):
    """What the model is told about a tool."""

    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)

    def tokens(self) -> int:
        """What its description costs."""
        return len(tokens_of(json.dumps(self.model_dump())))


class Tool(BaseModel):
    """A tool in the form of the chat API."""

    type: Literal["function"]
    function: Function


class Asked(BaseModel):
    """What a model is to answer, whichever endpoint it came through."""

    messages: list[Message]
    tools: list[Function] = Field(default_factory=list)
    must_call: bool = False
    effort: Literal["low", "medium", "high"] | None = None
    as_json: bool = False

    def question(self) -> str:
        """The last thing that a user said. Raises `ModelError` when no user said anything."""
        said = [message.text() for message in self.messages if message.role == "user"]
        if not said:
            raise ModelError(400, "invalid_value", "messages: at least one message must have the role 'user'")
        return said[-1]

    def result(self) -> str | None:
        """The result of a tool, when that is what was said last."""
        last = self.messages[-1]
        return last.text() if last.role == "tool" else None

    def tokens(self) -> int:
        """What the whole conversation costs."""
        return sum(message.tokens() for message in self.messages) + sum(tool.tokens() for tool in self.tools)
