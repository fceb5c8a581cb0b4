"""Reading the answer of an LLM server, streamed or not, by the rules that all wire formats share."""

import json
from itertools import pairwise
from typing import Any

import orjson

from clients import sse
from clients.http import Response
from samples.recorder import Failure
from samples.sample import Defect, Outcome, Sample, TokenSource
from scenarios.dialects.base import Answer, Dialect, ServerError, message_of
from scenarios.likeness import Likeness

_OTHER_FORM = (TypeError, AttributeError, LookupError)


_LONGEST_GAP_US = 2**31 - 1
"""What the column holds: 36 minutes."""
_LIKENESSES = 4
"""So often the events of a stream may change their form; beyond, they are decoded one by one."""


def read(response: Response, dialect: Dialect) -> Answer:
    """Return the answer in a response. Raises Failure when there is none, or only a part of one."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return read_stream(response, dialect)
    return read_whole(response, dialect)


def read_whole(response: Response, dialect: Dialect) -> Answer:
    """Return a plain answer. Raises Failure when it is not one."""
    answer = Answer()
    content = json_of(response, dialect.name)
    try:
        dialect.read_whole(content, answer)
    except ServerError as error:
        raise Failure(Outcome.BAD_CONTENT, f"the server answered with an error: {error}") from None
    except _OTHER_FORM as error:
        raise not_a(dialect.name, error) from None
    return _checked(answer)


def json_of(response: Response, what: str) -> Any:
    """Return the JSON of a plain answer. Raises Failure for anything else, and for an error in it."""
    try:
        content = _decoded(response.body)
    except (ValueError, RecursionError) as error:
        raise not_a(what, error) from None
    said = _error_in(content) if isinstance(content, dict) else None
    if said is not None:
        raise Failure(Outcome.BAD_CONTENT, f"the server answered with an error: {said}")
    return content


def not_a(what: str, error: Exception) -> Failure:
    """Return the failure of an answer that is not what its endpoint answers with."""
    return Failure(Outcome.BAD_CONTENT, f"not an answer of the {what} endpoint: {type(error).__name__}")


def read_stream(response: Response, dialect: Dialect) -> Answer:
    """Return a streamed answer. Raises Failure when it broke off, carried an error, or is no such stream.

    A stream is complete with a finish reason or `[DONE]`; engines differ in which of the two they send.
    """
    stream = _Stream(dialect)
    done = stream.read(response.chunks)
    answer = stream.answer
    answer.text = "".join(answer.parts)
    if not done and not answer.complete:
        why = f" ({response.broken})" if response.broken else ""
        raise TruncatedStream(f"the stream ended without a finish reason or [DONE]{why}", answer)
    if answer.output_tokens is None and answer.content_at:
        answer.output_tokens, answer.token_source = len(answer.content_at), TokenSource.EVENTS
    return _checked(answer)


class _Stream:
    """The answer of a stream while it is read."""

    def __init__(self, dialect: Dialect) -> None:
        self.answer, self._dialect = Answer(), dialect
        self._likeness: Likeness | None = None
        self._tries = _LIKENESSES

    def read(self, pieces: list[tuple[float, bytes]]) -> bool:
        """Read the events; return whether the server said `[DONE]`."""
        answer = self.answer
        for event in sse.parse(pieces, self._is_known):
            if event.data == b"[DONE]":
                return True
            parts = len(answer.parts)
            self._read_event(event, answer)
            # This event may have ended the answer, and then one like those before would not mean the same.
            self._likeness = None
            if self._tries and len(answer.parts) == parts + 1:
                self._tries -= 1
                self._likeness = Likeness.of(event, answer.parts[-1], self._read_event)
        return False

    def _is_known(self, at: float, piece: bytes) -> bool:
        if self._likeness is None or (text := self._likeness.text_of(piece)) is None:
            return False
        self.answer.parts.append(text)
        self.answer.content_at.append(at)
        return True

    def _read_event(self, event: sse.Event, answer: Answer) -> None:
        chunk = _chunk(event)
        try:
            self._dialect.read_event(chunk, event, answer)
        except ServerError as error:
            raise Failure(Outcome.BAD_CONTENT, f"error event in the stream: {error}") from None
        except _OTHER_FORM:
            what = f"an event of the stream is not one of the {self._dialect.name} endpoint"
            raise Failure(Outcome.BAD_CONTENT, what) from None


class BrokenAnswer(Failure):
    """An answer that is worth nothing, whatever was asked; `answer` is what had arrived."""

    def __init__(self, error: str, answer: Answer, defect: Defect) -> None:
        super().__init__(Outcome.BAD_CONTENT, error)
        self.answer, self.defect = answer, defect


class TruncatedStream(BrokenAnswer):
    """A stream that broke off."""

    def __init__(self, error: str, answer: Answer) -> None:
        super().__init__(error, answer, Defect.TRUNCATED)


class EmptyAnswer(BrokenAnswer):
    """A complete answer without any content."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the answer is empty", answer, Defect.EMPTY)


def _chunk(event: sse.Event) -> dict[str, Any]:
    try:
        chunk = _decoded(event.data)
    except (ValueError, RecursionError):
        raise Failure(Outcome.BAD_CONTENT, "an event of the stream is not JSON") from None
    if not isinstance(chunk, dict):
        raise Failure(Outcome.BAD_CONTENT, "an event of the stream is not a JSON object")
    error = message_of(chunk) if event.event == "error" else _error_in(chunk)
    if error is not None:
        raise Failure(Outcome.BAD_CONTENT, f"error event in the stream: {error}")
    return chunk


def _decoded(data: bytes) -> Any:
    """Return JSON, fast; what the fast decoder refuses, such as NaN or half a surrogate pair, Python's may take."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data.decode("utf-8", "replace"))


def _error_in(content: dict[str, Any]) -> str | None:
    """Return the error that JSON of any server carries instead of an answer; None when there is none."""
    if content.get("error"):
        return message_of(content["error"])
    if content.get("detail") or content.get("type") == "error" or content.get("object") == "error":
        return message_of(content)
    return None


def _checked(answer: Answer) -> Answer:
    if not answer.text and not answer.content_at and not answer.unseen:
        raise EmptyAnswer(answer)
    return answer


def fill(sample: Sample, answer: Answer, sent: float) -> None:
    """Put an answer's times and counts into its sample; `sent` is `time.monotonic()` seconds."""
    sample.finish_reason = answer.finish_reason
    sample.prompt_tokens, sample.output_tokens = answer.prompt_tokens, answer.output_tokens
    sample.token_source = answer.token_source
    stamps = answer.content_at
    if stamps:
        sample.events = len(stamps)
        sample.ttft_s = stamps[0] - sent
        sample.icl_us = [min(round((b - a) * 1e6), _LONGEST_GAP_US) for a, b in pairwise(stamps)]
    if answer.visible_at is not None:
        sample.ttfo_s = answer.visible_at - sent
