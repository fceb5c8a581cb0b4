from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterator

import pytest

from tests.target.process import CHAT, Target, chat_body, events_of


def test_a_stream_has_role_tokens_finish_usage_and_done_in_this_order(target: Target) -> None:
    answer = target.chat("What is 17 + 25?", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["transfer-encoding"] == "chunked"
    *events, done = events_of(answer.body)
    assert done == "[DONE]"
    first, *tokens, finish, usage = map(json.loads, events)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert [token["choices"][0]["delta"] for token in tokens] == [
        {"content": piece} for piece in ("17", " +", " 25", " =", " 42")
    ]
    assert all(token["choices"][0]["finish_reason"] is None for token in tokens)
    assert finish["choices"][0]["delta"] == {}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    everything = [first, *tokens, finish, usage]
    assert {event["object"] for event in everything} == {"chat.completion.chunk"}
    assert len({event["id"] for event in everything}) == 1


def test_usage_is_streamed_only_when_asked_for(target: Target) -> None:
    body = target.chat("What is 1 + 1?", stream=True).body
    assert b"usage" not in body
    assert json.loads(events_of(body)[-2])["choices"][0]["finish_reason"] == "stop"


def test_a_whole_answer_says_the_same_as_its_stream(target: Target) -> None:
    question = "Explain the tides"
    whole = target.chat(question, max_tokens=12).json()
    events = events_of(target.chat(question, max_tokens=12, stream=True).body)[1:-2]
    streamed = "".join(json.loads(event)["choices"][0]["delta"]["content"] for event in events)
    choice = whole["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": streamed}
    assert choice["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == len(events) == 12
    assert "tides" in streamed


def test_plain_completions_stream_text_without_a_role(target: Target) -> None:
    body = {"model": "m", "prompt": "Reply with exactly: one two", "stream": True}
    events = events_of(target.ask("POST", "/v1/completions", body).body)
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [
        ("one", None),
        (" two", None),
        ("", "stop"),
    ]
    plain = target.ask("POST", "/v1/completions", body | {"stream": False}).json()
    assert (plain["object"], plain["choices"][0]["text"]) == ("text_completion", "one two")


@pytest.fixture(scope="module")
def strict() -> Iterator[Target]:
    """A server that knows two models only and sends two tokens per event."""
    target = Target("--models", "a,b", "--strict-models", "--tokens-per-event", "2")
    yield target
    target.stop()


def test_several_tokens_can_share_an_event(strict: Target) -> None:
    options = {"include_usage": True}
    body = strict.chat("What is 17 + 25?", model="a", stream=True, stream_options=options).body
    events = [json.loads(event) for event in events_of(body)[1:-3]]
    assert [event["choices"][0]["delta"]["content"] for event in events] == ["17 +", " 25 =", " 42"]
    assert b'"completion_tokens":5' in body


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What is 6 times 7? Reply with only the number.", "42"),
        ("Calculate 100 - 25 - 25.", "100 - 25 - 25 = 50"),
        ("Reply with exactly: load test in progress", "load test in progress"),
        ('Repeat exactly: "naïve café"', "naïve café"),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Name the capital of New Zealand in one word.", "Wellington"),
        ("List the numbers from 3 to 6", "3, 4, 5, 6"),
        ("Convert the following sequence of words to a number: one two three", "123"),
        ("Write these words as a number: two thousand five hundred", "2500"),
    ],
)
def test_questions_with_one_answer_get_it(target: Target, prompt: str, answer: str) -> None:
    assert target.say(prompt) == answer


def test_json_is_answered_with_the_keys_and_types_asked_for(target: Target) -> None:
    found = json.loads(target.say("Return a JSON object with keys name, age (integer) and tags (array)."))
    assert list(found) == ["name", "age", "tags"]
    assert isinstance(found["age"], int)
    assert isinstance(found["tags"], list)
    assert "answer" in json.loads(target.say("Describe rain", response_format={"type": "json_object"}))


def test_free_text_is_on_topic_repeatable_and_not_looping(target: Target) -> None:
    prompt = "Explain how a glacier shapes a valley."
    text = target.say(prompt)
    assert text == target.say(prompt)
    assert {"glacier", "valley"} <= set(text.replace(",", "").split())
    sentences = text.split(". ")
    assert len(sentences) == len(set(sentences)) > 5


def test_length_can_be_forced_and_text_be_stopped(target: Target) -> None:
    answer = target.chat("What is 1 + 1?", ignore_eos=True, max_tokens=40).json()
    assert answer["usage"]["completion_tokens"] == 40
    assert answer["choices"][0]["finish_reason"] == "length"
    assert target.say("Reply with exactly: red green blue", stop=["blue"]) == "red green "


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"model"', "not valid JSON"),
        (b"[]", "body"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "model"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": [{"content": "no role"}]}, "role"),
        ({"model": "m", "messages": [{"role": "system", "content": "no user"}]}, "user"),
        (chat_body("hi", max_tokens=0), "max_tokens"),
        (chat_body("hi", temperature=3), "temperature"),
        (chat_body("hi", n=2), "n"),
        (chat_body("hi", max_tokens=40_000), "context"),
    ],
)
def test_a_bad_body_gets_400_in_the_form_of_openai(target: Target, body: object, says: str) -> None:
    answer = target.ask("POST", CHAT, body)
    assert answer.status == 400
    error = answer.json()["error"]
    assert {"message", "type", "code"} <= error.keys()
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]


def test_models_are_listed_and_unknown_ones_refused_only_on_request(target: Target, strict: Target) -> None:
    assert [model["id"] for model in strict.ask("GET", "/v1/models").json()["data"]] == ["a", "b"]
    refused = strict.ask("POST", CHAT, chat_body("hi"))
    assert (refused.status, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert strict.ask("POST", CHAT, chat_body("hi", model="b", max_tokens=1)).status == 200
    assert target.ask("POST", CHAT, chat_body("hi", model="unheard-of", max_tokens=1)).status == 200


def test_embeddings_are_unit_vectors_that_depend_on_the_text(target: Target) -> None:
    body = {"model": "m", "input": ["one", "two"], "dimensions": 16}
    answer = target.ask("POST", "/v1/embeddings", body).json()
    one, two = (entry["embedding"] for entry in answer["data"])
    assert len(one) == 16
    assert math.isclose(sum(value * value for value in one), 1.0, abs_tol=1e-6)
    assert one != two
    assert answer["usage"]["total_tokens"] == 2
    packed = target.ask("POST", "/v1/embeddings", body | {"encoding_format": "base64"}).json()
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack("<16f", raw) == pytest.approx(one, abs=1e-6)
