"""Reading the answer of an OpenAI-compatible chat or completion server, streamed or not."""

import json
from dataclasses import dataclass, field
from typing import Any

from clients import sse
from clients.http import Response
from samples.recorder import Failure
from samples.sample import Outcome, TokenSource

_UNSEEN = ("reasoning_content", "reasoning", "tool_calls")
"""Parts of a message that are an answer, though nobody reads them as its text."""
_MOST_TOKENS = 2**53


@dataclass(slots=True)
class Answer:
    """What a server said. `content_at`, `visible_at`: stamps of the content events, `time.monotonic()` seconds."""

    text: str = ""
    content_at: list[float] = field(default_factory=list)
    visible_at: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    token_source: TokenSource | None = None
    finish_reason: str | None = None


def read_whole(response: Response) -> Answer:
    """Return a plain answer. Raises Failure when it is not one."""
    answer = Answer()
    try:
        content = json.loads(response.body)
        choice = content["choices"][0]
        message = choice.get("message") or choice
        answer.text = _text(message.get("content") or message.get("text"))
        answer.finish_reason = _text(choice.get("finish_reason")) or None
        _read_usage(answer, content)
        unseen = any(message.get(key) for key in _UNSEEN)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Failure(Outcome.BAD_CONTENT, f"not a chat completion: {type(error).__name__}") from None
    return answer if unseen else _checked(answer)


def read_stream(response: Response) -> Answer:
    """Return a streamed answer. Raises Failure when it broke off, carried an error, or is no such stream.

    A stream is complete with a finish reason or `[DONE]`; engines differ in which of the two they send.
    """
    answer, done = Answer(), False
    parts: list[str] = []
    for event in sse.parse(response.chunks):
        if event.data == "[DONE]":
            done = True
            break
        chunk = _chunk(event)
        try:
            _read_usage(answer, chunk)
            for choice in chunk.get("choices") or ():
                answer.finish_reason = _text(choice.get("finish_reason")) or answer.finish_reason
                _read_delta(answer, choice, event.at, parts)
        except (TypeError, AttributeError):
            raise Failure(Outcome.BAD_CONTENT, "an event of the stream is not a chunk of a completion") from None
    answer.text = "".join(parts)
    if not done and answer.finish_reason is None:
        why = f" ({response.broken})" if response.broken else ""
        raise TruncatedStream(f"the stream ended without a finish reason or [DONE]{why}", answer)
    if answer.output_tokens is None and answer.content_at:
        answer.output_tokens, answer.token_source = len(answer.content_at), TokenSource.EVENTS
    return _checked(answer)


class TruncatedStream(Failure):
    """A stream that broke off; `answer` is what had arrived."""

    def __init__(self, error: str, answer: Answer) -> None:
        super().__init__(Outcome.BAD_CONTENT, error)
        self.answer = answer


def _chunk(event: sse.Event) -> dict[str, Any]:
    try:
        chunk = json.loads(event.data)
    except ValueError:
        raise Failure(Outcome.BAD_CONTENT, "an event of the stream is not JSON") from None
    if not isinstance(chunk, dict):
        raise Failure(Outcome.BAD_CONTENT, "an event of the stream is not a JSON object")
    if event.event == "error" or chunk.get("error"):
        error = chunk.get("error") or chunk
        message = error.get("message") if isinstance(error, dict) else error
        raise Failure(Outcome.BAD_CONTENT, f"error event in the stream: {str(message)[:200]}")
    return chunk


def _read_delta(answer: Answer, choice: dict[str, Any], at: float, parts: list[str]) -> None:
    delta = choice.get("delta") or choice
    visible = _text(delta.get("content") or delta.get("text"))
    thought = any(delta.get(key) for key in _UNSEEN)
    if visible or thought:
        answer.content_at.append(at)
    if visible:
        parts.append(visible)
        if answer.visible_at is None:
            answer.visible_at = at


def _read_usage(answer: Answer, chunk: dict[str, Any]) -> None:
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        answer.prompt_tokens = _count(usage.get("prompt_tokens"))
        answer.output_tokens = _count(usage.get("completion_tokens"))
        answer.token_source = TokenSource.USAGE if answer.output_tokens is not None else None


def _text(value: object) -> str:
    """Return a text, "" for null. Raises TypeError for anything else: what a server may send has no limits."""
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None


def _checked(answer: Answer) -> Answer:
    if not answer.text and not answer.content_at:
        raise Failure(Outcome.BAD_CONTENT, "the answer is empty")
    return answer
