"""The Responses API: its typed events and its documents, each event stamped 1, 2, 3... seconds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clients.http import Response
from data.prompts import Message, Prompt
from samples.recorder import Failure
from samples.sample import Outcome, TokenSource
from scenarios.answers import TruncatedStream, read
from scenarios.bodies import Template
from scenarios.dialects import DIALECTS
from scenarios.dialects.base import Answer, Settings

DIALECT = DIALECTS["responses"]
CREATED = {"type": "response.created", "response": {"status": "in_progress", "error": None}}
USAGE = {"input_tokens": 12, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 2}}


def delta(text: str, kind: str = "output_text", **more: object) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "delta": text, **more}


def end(status: str = "completed", **more: object) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"status": status, "usage": USAGE, **more}}


def streamed(*events: dict[str, Any]) -> Response:
    response = Response(status=200, headers={"content-type": "text/event-stream"})
    response.chunks = [
        (float(number), f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        for number, event in enumerate(events, 1)
    ]
    return response


def whole(**document: object) -> Response:
    data = json.dumps(document).encode()
    return Response(status=200, headers={"content-type": "application/json"}, chunks=[(1.0, data)])


def answer(*events: dict[str, Any]) -> Answer:
    return read(streamed(*events), DIALECT)


def test_deltas_are_content_and_the_last_event_has_the_counts() -> None:
    found = answer(
        CREATED,
        {"type": "response.output_item.added", "item": {"type": "message", "content": []}},
        {"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}},
        delta("Hello"),
        delta(""),
        delta(" world"),
        {"type": "response.output_text.done", "text": "Hello world"},
        end(),
    )
    assert (found.text, found.content_at, found.visible_at) == ("Hello world", [4.0, 6.0], 4.0)
    assert (found.prompt_tokens, found.output_tokens, found.token_source) == (12, 7, TokenSource.USAGE)
    assert found.finish_reason == "stop"


@pytest.mark.parametrize("kind", ["reasoning_text", "reasoning_summary_text"])
def test_reasoning_is_the_first_token_and_not_the_first_visible_one(kind: str) -> None:
    found = answer(CREATED, delta("Hm", kind), delta("...", kind), delta("Yes"), end())
    assert (found.text, found.content_at, found.visible_at) == ("Yes", [2.0, 3.0, 4.0], 4.0)


@pytest.mark.parametrize("places", [[{"output_index": 0}, {"output_index": 1}], [{}, {}]])
def test_tool_calls_are_put_together_with_and_without_places(places: list[dict[str, int]]) -> None:
    """llama.cpp sends no output_index: there the ids tell the items apart."""
    events = []
    for number, place in enumerate(places):
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"c{number}", "name": "clock"}
        events.append({"type": "response.output_item.added", "item": item, **place})
        parts = ('{"zone": ', f'"{number}"}}')
        events += [delta(part, "function_call_arguments", item_id=f"fc_{number}", **place) for part in parts]
    found = answer(CREATED, *events, end())
    assert [(call.id, call.name, call.arguments) for call in found.calls.values()] == [
        ("c0", "clock", '{"zone": "0"}'),
        ("c1", "clock", '{"zone": "1"}'),
    ]
    assert (found.content_at, found.visible_at) == ([2.0, 3.0, 4.0, 5.0, 6.0, 7.0], None)
    assert found.finish_reason == "tool_calls"


def test_arguments_may_come_with_the_end_of_the_item_only() -> None:
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "clock"}
    done = item | {"arguments": "{}"}
    found = answer(
        {"type": "response.output_item.added", "item": item}, {"type": "response.output_item.done", "item": done}, end()
    )
    assert [(call.name, call.arguments) for call in found.calls.values()] == [("clock", "{}")]


def test_an_answer_that_was_cut_by_its_length_says_so() -> None:
    found = answer(delta("Hello"), end("incomplete", incomplete_details={"reason": "max_output_tokens"}))
    assert (found.text, found.finish_reason) == ("Hello", "length")


def test_a_server_that_streams_no_deltas_says_everything_at_the_end() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]
    found = answer(CREATED, end(output=output))
    assert (found.text, found.content_at) == ("Hello", [2.0])


@pytest.mark.parametrize(
    "event",
    [
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "x", "message": "out of memory"}},
        },
        {"type": "error", "code": "server_error", "message": "out of memory"},
        {"type": "error", "error": {"message": "out of memory"}},
    ],
)
def test_an_error_spoils_the_stream(event: dict[str, Any]) -> None:
    with pytest.raises(Failure, match="error event in the stream: out of memory") as caught:
        answer(CREATED, delta("Hello"), event)
    assert caught.value.outcome is Outcome.BAD_CONTENT


def test_without_its_last_event_a_stream_is_cut() -> None:
    with pytest.raises(TruncatedStream) as caught:
        answer(CREATED, delta("Hello"), {"type": "response.output_text.done", "text": "Hello"})
    assert caught.value.answer.content_at == [2.0]


@pytest.mark.parametrize(
    "event",
    [{"type": "response.completed"}, {"type": 7}, delta("") | {"delta": 7}, {"type": "response.output_item.added"}],
)
def test_an_event_of_another_form_is_bad_content_and_no_crash(event: dict[str, Any]) -> None:
    with pytest.raises(Failure, match="not one of the responses endpoint"):
        answer(delta("Hello"), event, end())


def test_a_document_is_read() -> None:
    output = [
        {"type": "reasoning", "summary": []},
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "It is "}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"},
    ]
    found = read(whole(status="completed", error=None, output=output, usage=USAGE), DIALECT)
    assert (found.text, found.finish_reason, found.output_tokens) == ("It is no", "tool_calls", 7)
    assert [(call.id, call.name) for call in found.calls.values()] == [("c", "clock")]


@pytest.mark.parametrize("document", [{"status": "completed"}, {"output": 7}, {"output": [{}]}, {"choices": []}])
def test_another_document_is_bad_content(document: dict[str, object]) -> None:
    with pytest.raises(Failure, match="not an answer of the responses endpoint"):
        read(whole(**document), DIALECT)


def test_a_request_is_written_in_the_words_of_this_api() -> None:
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    settings = Settings("m", 0.5, [tool], {"reasoning": {"effort": "low"}})
    prompt = Prompt.of(
        "p",
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:a"}}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "function": {"name": "clock", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "noon"},
        ],
    )
    template = Template(DIALECT.body(settings, stream=True, usage=True))
    assert json.loads(template.filled(DIALECT.prompt_json(prompt), 9)) == {
        "model": "m",
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": "data:a"}],
            },
            {"type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "noon"},
        ],
        "max_output_tokens": 9,
        "temperature": 0.5,
        "stream": True,
        "store": False,
        "tools": [{"type": "function", "name": "clock", "parameters": {"type": "object"}}],
        "reasoning": {"effort": "low"},
    }


def test_a_text_completion_has_the_texts_of_all_messages() -> None:
    completions = DIALECTS["completions"]
    parts = [{"type": "text", "text": "Who?"}, {"type": "image_url", "image_url": {"url": "data:a"}}]
    messages: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert json.loads(completions.prompt_json(Prompt.of("p", messages))) == "Be brief.\n\nWho?"
    assert json.loads(completions.prompt_json(Prompt.of("p", "Who?"))) == "Who?"
