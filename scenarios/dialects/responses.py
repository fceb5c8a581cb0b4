"""The Responses API: items in, items or typed events out."""

import json
from functools import lru_cache
from typing import Any

from clients.sse import Event
from data.prompts import Prompt
from scenarios.bodies import LENGTH, PROMPT
from scenarios.dialects.base import (
    Answer,
    Dialect,
    ServerError,
    Settings,
    ToolCall,
    message_of,
    text_of,
)
from scenarios.dialects.translation import items_of

_REASONS = {"max_output_tokens": "length"}
"""Why a response is incomplete, in the words of the chat API."""


class ResponsesDialect(Dialect):
    """`POST /v1/responses`. The end of a stream is an event of its own, with the token counts."""

    name = "responses"
    path = "/v1/responses"
    usage_is_asked_for = False
    text_part = "input_text"

    def body(self, settings: Settings, *, stream: bool, usage: bool) -> dict[str, object]:
        """The prompt is a list of items. Nothing is to be stored by the server."""
        body: dict[str, object] = {
            "model": settings.model,
            "input": PROMPT,
            "max_output_tokens": LENGTH,
            "temperature": settings.temperature,
            "stream": stream,
            "store": False,
        }
        if settings.tools:
            body["tools"] = [{"type": "function", **tool["function"]} for tool in settings.tools]
        return body | dict(settings.extra)

    def prompt_json(self, prompt: Prompt) -> bytes:
        """A message of a role and a text is an item as it is; others are translated, and kept."""
        if prompt.chat_json is None and prompt.content_json.startswith(b'"'):
            return prompt.messages_json
        return _translated(prompt.messages_json)

    def picture(self, url: str) -> bytes:
        """The URL stands by itself here."""
        return json.dumps({"type": "input_image", "image_url": url}).encode()

    def read_event(self, chunk: dict[str, Any], event: Event, answer: Answer) -> None:
        """Deltas are content; everything else but the end only says where they belong."""
        kind = text_of(chunk.get("type")) or event.event
        if kind in {"response.output_text.delta", "response.refusal.delta"}:
            if text := text_of(chunk["delta"]):
                answer.parts.append(text)
                answer.stamp(event.at, visible=True)
        elif kind == "response.function_call_arguments.delta":
            _call(answer, chunk).arguments += text_of(chunk["delta"])
            answer.stamp(event.at, visible=False)
        elif kind.startswith("response.reasoning") and kind.endswith(".delta"):
            if chunk.get("delta"):
                answer.unseen = True
                answer.stamp(event.at, visible=False)
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            self._read_item(chunk, kind, event.at, answer)
        elif kind in {"response.completed", "response.incomplete", "response.failed"}:
            self._read_end(chunk["response"], event.at, answer)

    def read_whole(self, content: dict[str, Any], answer: Answer) -> None:
        """The texts of all messages among the items are the answer."""
        texts = []
        for index, item in enumerate(content["output"]):
            if item["type"] == "message":
                texts += [text_of(part.get("text") or part.get("refusal")) for part in item["content"]]
            elif item["type"] == "function_call":
                answer.calls[index] = _called(item, text_of(item.get("arguments")))
                answer.unseen = True
            elif item["type"] == "reasoning":
                answer.unseen = True
        answer.text = "".join(texts)
        _end(content, answer)

    def _read_item(self, chunk: dict[str, Any], kind: str, at: float, answer: Answer) -> None:
        item = chunk["item"]
        if item.get("type") != "function_call":
            return
        if kind.endswith(".added"):
            # Its name is content as much as its arguments are, as in a chat's stream.
            answer.calls[_place(chunk, item)] = _called(item, "")
            answer.unseen = True
            answer.stamp(at, visible=False)
        elif arguments := text_of(item.get("arguments")):
            answer.calls.setdefault(_place(chunk, item), ToolCall()).arguments = arguments

    def _read_end(self, response: dict[str, Any], at: float, answer: Answer) -> None:
        if answer.content_at or not response.get("output"):
            _end(response, answer)
            return
        # A server that streams no deltas says everything at the end.
        self.read_whole(response, answer)
        answer.parts.append(answer.text)
        if answer.text or answer.unseen:
            answer.stamp(at, visible=bool(answer.text))


@lru_cache(maxsize=4096)
def _translated(messages_json: bytes) -> bytes:
    return json.dumps(items_of(json.loads(messages_json))).encode()


def _call(answer: Answer, chunk: dict[str, Any]) -> ToolCall:
    answer.unseen = True
    return answer.calls.setdefault(_place(chunk, {"id": chunk.get("item_id")}), ToolCall())


def _place(chunk: dict[str, Any], item: dict[str, Any]) -> int | str:
    """Return what tells the items of a response apart: their place, or where there is none their id."""
    place = chunk.get("output_index")
    return text_of(item.get("id")) if place is None else int(place)


def _called(item: dict[str, Any], arguments: str) -> ToolCall:
    return ToolCall(text_of(item.get("call_id") or item.get("id")), text_of(item.get("name")), arguments)


def _end(response: dict[str, Any], answer: Answer) -> None:
    """Read how a response ended, in the words of the chat API."""
    if response.get("status") == "failed" or response.get("error"):
        raise ServerError(message_of(response.get("error")))
    answer.count(response.get("usage"), "input_tokens", "output_tokens")
    if response.get("status") == "incomplete":
        reason = text_of((response.get("incomplete_details") or {}).get("reason"))
        answer.finish(_REASONS.get(reason, reason or "incomplete"))
    else:
        answer.finish("tool_calls" if answer.calls else "stop")
