"""Reading alike events by their likeness is the same as decoding each of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.response import Response
from clients.sse import Event
from samples.recorder import Failure
from scenarios import answers
from scenarios.dialects.base import Answer, Dialect
from scenarios.dialects.chat import ChatDialect
from scenarios.dialects.completions import CompletionsDialect
from scenarios.likeness import Likeness

TEXTS = st.one_of(
    st.sampled_from(["word ", " the", "", '"', "\\", "a\nb", "é", "😀", "content", '","content":"', "stop", "null"]),
    st.text(max_size=8),
)
FINISH = st.one_of(st.none(), st.none(), st.none(), st.just("stop"))


def chat(text: str, finish: str | None, more: dict[str, object]) -> dict[str, object]:
    return {"id": "1", "choices": [{"index": 0, "delta": {"content": text} | more, "finish_reason": finish}]}


def completion(text: str, finish: str | None, more: dict[str, object]) -> dict[str, object]:
    return {"id": "1", "choices": [{"index": 0, "text": text, "finish_reason": finish}]} | more


EVENTS = st.lists(
    st.tuples(
        TEXTS,
        FINISH,
        st.sampled_from([{}, {}, {}, {}, {"role": "word "}, {"reasoning_content": "hm"}, {"usage": {"x": 1}}]),
        st.booleans(),
    ),
    max_size=30,
)


@pytest.mark.parametrize(("dialect", "event"), [(ChatDialect(), chat), (CompletionsDialect(), completion)])
@settings(max_examples=150, deadline=None)
@given(events=EVENTS, ending=st.sampled_from([b"data: [DONE]\n\n", b"", b'data: {"error": {"message": "full"}}\n\n']))
def test_a_stream_says_the_same_either_way(
    dialect: Dialect,
    event: Callable[[str, str | None, dict[str, object]], dict[str, object]],
    events: list[tuple[str, str | None, dict[str, object], bool]],
    ending: bytes,
) -> None:
    pieces = [
        b"data: " + json.dumps(event(text, finish, more), ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n\n"
        for text, finish, more, ascii_only in events
    ]
    with pytest.MonkeyPatch.context() as patch:
        quick = read([*pieces, ending], dialect)
        patch.setattr(answers, "_LIKENESSES", 0)
        assert quick == read([*pieces, ending], dialect)


def read(pieces: list[bytes], dialect: Dialect) -> tuple[object, str | None]:
    response = Response()
    response.chunks = [(float(number), piece) for number, piece in enumerate(pieces) if piece]
    try:
        return answers.read_stream(response, dialect), None
    except answers.BrokenAnswer as failure:
        return failure.answer, failure.error
    except Failure as failure:
        return None, failure.error


def likeness(data: bytes, text: str) -> Likeness | None:
    def read_into(event: Event, answer: Answer) -> None:
        ChatDialect().read_event(json.loads(event.data), event, answer)

    return Likeness.of(Event(1.0, data), text, read_into)


CONTENT = b'{"choices":[{"index":0,"delta":{"content":"word "}}]}'


def test_an_event_that_is_alike_needs_no_decoding() -> None:
    found = likeness(CONTENT, "word ")
    assert found is not None
    assert found.text_of(b"data: " + CONTENT.replace(b"word ", "thé".encode()) + b"\n\n") == "thé"


@pytest.mark.parametrize(
    "piece",
    [
        b"data: " + CONTENT.replace(b"word ", b'a","role":"b') + b"\n\n",
        b"data: " + CONTENT.replace(b"word ", b"a\\n") + b"\n\n",
        b"data: " + CONTENT.replace(b"word ", b"a\x01") + b"\n\n",
        b"data: " + CONTENT.replace(b"word ", b"a\n\ndata: b") + b"\n\n",
        b"data: " + CONTENT.replace(b"word ", b"\xff") + b"\n\n",
        b"data: " + CONTENT.replace(b"word ", b"") + b"\n\n",
        b"data: " + CONTENT.replace(b'"index":0', b'"index":1') + b"\n\n",
        b"data: " + CONTENT + b"\r\n\r\n",
        b"data: " + CONTENT + b"\n",
    ],
)
def test_what_is_not_alike_or_needs_decoding_is_left_to_it(piece: bytes) -> None:
    found = likeness(CONTENT, "word ")
    assert found is not None
    assert found.text_of(piece) is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"choices":[{"index":0,"delta":{"content":"word "}}],"note":"word "}', "word "),
        (b'{"choices":[{"index":0,"delta":{"content":"word "}}],"usage":{"completion_tokens":3}}', "word "),
        (b'{"choices":[{"index":0,"delta":{"content":"stop"},"finish_reason":"stop"}]}', "stop"),
        (b'{"choices":[{"index":0,"delta":{"content":"\\u0061"}}]}', "a"),
    ],
)
def test_an_event_that_says_more_than_a_text_has_no_likeness(data: bytes, text: str) -> None:
    assert likeness(data, text) is None
