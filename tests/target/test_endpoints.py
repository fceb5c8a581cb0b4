"""What the platform's endpoints do beyond what a user of the suite asks of them."""

from __future__ import annotations

import json

import pytest

from tests.target.process import CHAT, Target, chat_body


def test_similar_texts_are_near_each_other(target: Target) -> None:
    texts = ["The tides follow the moon", "The moon moves the tides", "Bread needs flour and water"]
    body = {"model": "m", "input": texts}
    vectors = [entry["embedding"] for entry in target.ask("POST", "/v1/embeddings", body).json()["data"]]

    def likeness(a: int, b: int) -> float:
        return float(sum(x * y for x, y in zip(vectors[a], vectors[b], strict=True)))

    assert likeness(0, 1) > 0.4 > likeness(0, 2)


def test_documents_are_sorted_by_relevance_and_the_best_are_returned(target: Target) -> None:
    body = {
        "model": "m",
        "query": "How do tides follow the moon?",
        "documents": ["Bread needs flour", "The moon raises the tides", "Moon landing"],
    }
    everything = target.ask("POST", "/v1/rerank", body).json()
    assert [result["index"] for result in everything["results"]] == [1, 2, 0]
    best = target.ask("POST", "/v1/rerank", body | {"top_n": 1, "return_documents": True}).json()["results"]
    assert [(one["index"], one["document"]["text"]) for one in best] == [(1, "The moon raises the tides")]


def test_embeddings_take_their_place_in_the_batch_and_are_no_tokens(target: Target) -> None:
    prompt, spoken = target.metric("engine_prompt_tokens_total"), target.metric("engine_generation_tokens_total")
    answer = target.ask("POST", "/v1/embeddings", {"model": "m", "input": ["one two three"] * 5}).json()
    assert answer["usage"]["prompt_tokens"] == 15
    assert target.metric("engine_prompt_tokens_total") == prompt + 15
    assert target.metric("engine_generation_tokens_total") == spoken


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.mark.parametrize(
    ("question", "choice", "calls"),
    [
        ("What is the weather in Rome?", "auto", True),
        ("What is the weather in Rome?", "none", False),
        ("What is 6 times 7?", "auto", False),
        ("What is 6 times 7?", "required", True),
    ],
)
def test_a_tool_is_called_when_the_question_is_about_it(
    target: Target, question: str, choice: str, calls: bool
) -> None:
    choice_made = target.chat(question, tools=[TOOL], tool_choice=choice).json()["choices"][0]
    assert (choice_made["finish_reason"] == "tool_calls") == calls == ("tool_calls" in choice_made["message"])


def test_reasoning_is_apart_from_the_answer_and_counts_as_tokens(target: Target) -> None:
    question = "What is 17 + 25?"
    plain, thought = (target.chat(question, **more).json() for more in ({}, {"reasoning_effort": "medium"}))
    assert "reasoning_content" not in plain["choices"][0]["message"]
    message = thought["choices"][0]["message"]
    assert message["content"] == plain["choices"][0]["message"]["content"]
    assert len(message["reasoning_content"].split()) > 20
    assert thought["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"] + 40


def test_a_response_is_the_same_whole_and_in_events(target: Target) -> None:
    body = {"model": "m", "input": "Explain the tides", "max_output_tokens": 30, "reasoning": {"effort": "low"}}
    whole = target.ask("POST", "/v1/responses", body).json()
    body_of_events = target.ask("POST", "/v1/responses", body | {"stream": True}).body.decode()
    pairs = [event.split("\n") for event in body_of_events.removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in pairs]
    assert [name for name, _ in pairs] == [f"event: {event['type']}" for event in events]
    assert [event["sequence_number"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.incomplete"
    assert (kinds.count("response.reasoning_text.delta"), kinds.count("response.output_text.delta")) == (12, 18)
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert whole["output"][1]["content"][0]["text"] == text
    assert whole["usage"] == events[-1]["response"]["usage"]
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/a.png", "only data: URLs"),
        ("data:text/plain;base64,QQ==", "only data: URLs"),
        ("data:image/png;base64,%%%", "not base64"),
        ("data:image/png;base64,iVBORw0KGgo=", "no header"),
    ],
)
def test_an_image_that_is_none_is_refused(target: Target, url: str, says: str) -> None:
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = chat_body("x") | {"messages": [{"role": "user", "content": content}]}
    answer = target.ask("POST", CHAT, body)
    assert answer.status == 400
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "m", "input": []}),
        ("/v1/responses", {"model": "m", "input": [{"role": "assistant", "content": "no user"}]}),
        ("/v1/rerank", {"model": "m", "query": "q", "documents": []}),
        ("/v1/embeddings", {"model": "m", "input": []}),
    ],
)
def test_a_bad_body_gets_400_in_the_form_of_openai(target: Target, path: str, body: object) -> None:
    answer = target.ask("POST", path, body)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
