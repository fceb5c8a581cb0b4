"""Chat completions: messages with roles in, `choices` with deltas out."""

import json
from typing import Any

from clients.sse import Event
from data.prompts import Prompt
from scenarios.bodies import LENGTH, PROMPT
from scenarios.dialects.base import Answer, Dialect, Settings, ToolCall, text_of

_THOUGHTS = ("reasoning_content", "reasoning")


class ChatDialect(Dialect):
    """`POST /v1/chat/completions` as OpenAI, vLLM, llama.cpp, SGLang, TGI and others speak it."""

    name = "chat"
    path = "/v1/chat/completions"
    usage_is_asked_for = True

    def body(self, settings: Settings, *, stream: bool, usage: bool) -> dict[str, object]:
        """The prompt is a list of messages."""
        return {"model": settings.model, "messages": PROMPT} | sampling(settings, stream, usage)

    def prompt_json(self, prompt: Prompt) -> bytes:
        """Messages are written as they are."""
        return prompt.messages_json

    def read_event(self, chunk: dict[str, Any], event: Event, answer: Answer) -> None:
        """An event with content of several choices is one content event: it arrived at one moment."""
        if "usage" in chunk:
            answer.count(chunk["usage"], "prompt_tokens", "completion_tokens")
        content = visible = False
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            delta = choice.get("delta") or choice
            text = text_of(delta.get("content") or delta.get("text"))
            unseen = ("tool_calls" in delta or not text) and _unseen(delta, answer, index)
            if text and not index:
                answer.parts.append(text)
            visible, content = visible or bool(text), content or bool(text) or unseen
            if reason := text_of(choice.get("finish_reason")):
                answer.finish(reason, index)
            elif text or unseen:
                answer.speaking.add(index)
        if content:
            answer.stamp(event.at, visible)

    def read_whole(self, content: dict[str, Any], answer: Answer) -> None:
        """The first of the choices is the answer."""
        choice = content["choices"][0]
        message = choice.get("message") or choice
        answer.text = text_of(message.get("content") or message.get("text"))
        _unseen(message, answer, 0)
        answer.finish_reason = text_of(choice.get("finish_reason")) or None
        answer.count(content.get("usage"), "prompt_tokens", "completion_tokens")


def sampling(settings: Settings, stream: bool, usage: bool) -> dict[str, Any]:
    """Return the keys of a request that chat and text completions share."""
    keys: dict[str, Any] = {
        "max_tokens": LENGTH,
        "temperature": settings.temperature,
        "stream": stream,
    }
    if stream and usage:
        keys["stream_options"] = {"include_usage": True}
    if settings.tools:
        keys["tools"] = list(settings.tools)
    return keys | dict(settings.extra)


def _unseen(delta: dict[str, Any], answer: Answer, index: int) -> bool:
    """Take in what is an answer and no text; return whether there was any."""
    calls = delta.get("tool_calls")
    if calls and not index:
        for position, call in enumerate(calls):
            function = call.get("function") or {}
            place = call.get("index")
            kept = answer.calls.setdefault(position if place is None else place, ToolCall())
            kept.id = kept.id or text_of(call.get("id"))
            kept.name = kept.name or text_of(function.get("name"))
            arguments = function.get("arguments")
            # Some engines send the arguments as the object that they stand for.
            kept.arguments += json.dumps(arguments) if isinstance(arguments, dict) else text_of(arguments)
    unseen = bool(calls) or any(delta.get(key) for key in _THOUGHTS)
    answer.unseen = answer.unseen or unseen
    return unseen
