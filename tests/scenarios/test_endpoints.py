"""Every endpoint of a model server, asked by a real user of Locust and answered by the embedded platform."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.clients.servers import Script, ScriptServer, plain
from tests.scenarios.streams import DONE, Load
from tests.scenarios.test_engines import data, piece, streamed
from tests.target.process import Target


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    running = Target("--seed-runs", "1", "--decode-base-ms", "3")
    yield running
    running.stop()


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@pytest.mark.parametrize("streaming", [1.0, 0.0])
def test_an_endpoint_is_asked_and_its_answers_graded(
    target: Target, load: Load, endpoint: str, streaming: float
) -> None:
    url = target.url
    told = load(url, "ChatUser", 4, endpoint=endpoint, streaming=streaming, prompts="simple", max_tokens=40)
    samples = told["samples"]
    assert [(sample["outcome"], sample["error"]) for sample in samples] == [("ok", None)] * 4
    assert {sample["name"] for sample in samples} == {f"{endpoint} (stream)" if streaming else endpoint}
    assert {sample["token_source"] for sample in samples} == {"usage"}
    assert all(sample["prompt_tokens"] > 0 for sample in samples)
    assert [sample["quality"] for sample in samples] == [1.0] * 4
    if streaming:
        assert [sample["events"] for sample in samples] == [sample["output_tokens"] for sample in samples]
    else:
        assert {sample["ttft_s"] for sample in samples} == {None}


def test_further_keys_go_into_the_body(target: Target, load: Load) -> None:
    url = target.url
    (sample,) = load(url, "ChatUser", prompts="simple", max_tokens=33, extra={"ignore_eos": True})["samples"]
    assert (sample["output_tokens"], sample["finish_reason"]) == (33, "length")


# -- reasoning and images -------------------------------------------------------------------------------------------


@pytest.mark.clock
@pytest.mark.parametrize(
    ("endpoint", "extra"), [("chat", {"reasoning_effort": "low"}), ("responses", {"reasoning": {"effort": "low"}})]
)
def test_the_first_token_is_reasoning_and_the_first_visible_one_comes_after_it(
    target: Target, load: Load, endpoint: str, extra: dict[str, object]
) -> None:
    told = load(target.url, "ChatUser", 3, endpoint=endpoint, prompts="simple", max_tokens=60, extra=extra)
    for sample in told["samples"]:
        assert (sample["outcome"], sample["quality"]) == ("ok", 1.0)
        # Twelve tokens of reasoning, 3 ms each at least, before the first that a reader sees.
        assert sample["ttfo_s"] - sample["ttft_s"] > 0.03
        assert sample["output_tokens"] == sample["events"] > 12


def test_an_answer_that_is_all_reasoning_has_no_visible_token(target: Target, load: Load) -> None:
    extra = {"reasoning_effort": "high"}
    (sample,) = load(target.url, "ChatUser", prompts="simple", max_tokens=10, extra=extra)["samples"]
    assert (sample["outcome"], sample["events"], sample["ttfo_s"], sample["finish_reason"]) == (
        "ok",
        10,
        None,
        "length",
    )


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_pictures_are_sent_as_data_and_cost_tokens(target: Target, load: Load, endpoint: str) -> None:
    def counted(pictures: int) -> list[int]:
        told = load(target.url, "ChatUser", 4, endpoint=endpoint, prompts="simple", images=pictures)
        assert [(sample["outcome"], sample["quality"]) for sample in told["samples"]] == [("ok", 1.0)] * 4
        return [sample["prompt_tokens"] for sample in sorted(told["samples"], key=lambda one: one["arrival"])]

    # 64 x 64 pixels are 3 x 3 patches of 28.
    assert [a - b for a, b in zip(counted(2), counted(0), strict=True)] == [2 * 9] * 4


# -- conversations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_each_turn_carries_the_turns_before_it_and_a_conversation_begins_anew(
    target: Target, load: Load, endpoint: str
) -> None:
    told = load(target.url, "ConversationUser", 7, endpoint=endpoint, turns=3, prompts="simple", max_tokens=20)
    samples = sorted(told["samples"], key=lambda sample: sample["arrival"])
    assert [(sample["outcome"], sample["quality"]) for sample in samples] == [("ok", 1.0)] * 7
    first, later = "turn 1", "turns 2 to 9"
    assert [sample["name"] for sample in samples] == [first, later, later, first, later, later, first]
    for before, after in ((0, 1), (1, 2), (3, 4), (4, 5)):
        # What was asked, what was answered, and the template's tokens of both are in the next turn's prompt.
        least = samples[before]["prompt_tokens"] + samples[before]["output_tokens"]
        assert samples[after]["prompt_tokens"] > least
    assert samples[3]["prompt_tokens"] < samples[2]["prompt_tokens"]


def test_a_conversation_ends_with_a_turn_that_failed(server: ScriptServer, load: Load) -> None:
    good = streamed(*data(piece("fine"), piece(finish="stop")), DONE)
    path = good.when(b"assistant", plain(b'{"error": "too long"}', "500 No")).path()
    told = load(server.url, "ConversationUser", 4, turns=9, path=path)
    samples = sorted(told["samples"], key=lambda sample: sample["arrival"])
    assert [(sample["name"], sample["outcome"]) for sample in samples] == [
        ("turn 1", "ok"),
        ("turns 2 to 9", "http_error"),
    ] * 2


# -- tools ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
@pytest.mark.parametrize("streaming", [1.0, 0.0])
def test_a_question_becomes_a_call_and_its_result_an_answer(
    target: Target, load: Load, endpoint: str, streaming: float
) -> None:
    told = load(target.url, "ToolUser", 12, endpoint=endpoint, streaming=streaming)
    calls = [sample for sample in told["samples"] if sample["iteration"]]
    results = [sample for sample in told["samples"] if not sample["iteration"]]
    kind = " (stream)" if streaming else ""
    assert {sample["name"] for sample in calls} == {f"tool call{kind}"}
    assert {sample["name"] for sample in results} == {f"tool result{kind}"}
    assert len(calls) == len(results) == 12
    for sample in told["samples"]:
        assert (sample["outcome"], sample["error"], sample["quality"]) == ("ok", None, 1.0), sample["prompt_id"]
        assert sample["token_source"] == "usage"
    assert {sample["finish_reason"] for sample in calls} == {"tool_calls"}


def called(name: str, arguments: str) -> Script:
    pieces = [arguments[:3], arguments[3:]]
    first = {"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}
    deltas = [first, *({"index": 0, "function": {"arguments": part}} for part in pieces)]
    events = [{"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]} for delta in deltas]
    return streamed(*data(*events, piece(finish="tool_calls")), DONE)


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("set_timer", '{"minutes": 5', "tool call: the arguments of set_timer are not JSON"),
        (
            "set_timer",
            '{"minutes": "5"}',
            "tool call: the arguments of set_timer are not of its schema: ['minutes'] \"5\" is not",
        ),
        ("set_timer", "{}", 'tool call: the arguments of set_timer are not of its schema: "minutes" is a required'),
        ("launch_rocket", "{}", "tool call: there is no tool 'launch_rocket'"),
    ],
)
def test_a_call_that_could_not_be_made_is_a_wrong_answer(
    server: ScriptServer, load: Load, name: str, arguments: str, error: str
) -> None:
    (sample,) = load(server.url, "ToolUser", path=called(name, arguments).path())["samples"]
    assert sample["outcome"] == "bad_content"
    assert sample["error"].startswith(error)


def test_a_model_that_does_not_call_has_answered_badly(server: ScriptServer, load: Load) -> None:
    script = streamed(*data(piece("It may rain."), piece(finish="stop")), DONE)
    (sample,) = load(server.url, "ToolUser", path=script.path())["samples"]
    assert (sample["outcome"], sample["quality"]) == ("ok", 0.0)


# -- embeddings and rerank ------------------------------------------------------------------------------------------


def test_texts_are_embedded(target: Target, load: Load) -> None:
    told = load(target.url, "EmbeddingsUser", 3, batch=4, extra={"dimensions": 32})
    assert [(sample["outcome"], sample["error"]) for sample in told["samples"]] == [("ok", None)] * 3
    assert {sample["name"] for sample in told["samples"]} == {"embeddings"}
    assert all(sample["prompt_tokens"] > 8 and sample["output_tokens"] is None for sample in told["samples"])


def test_documents_are_sorted_with_the_right_one_first(target: Target, load: Load) -> None:
    told = load(target.url, "RerankUser", 5, documents=6)
    assert [(sample["outcome"], sample["quality"]) for sample in told["samples"]] == [("ok", 1.0)] * 5
    assert all(sample["prompt_tokens"] > 6 for sample in told["samples"])


def answered(body: object) -> str:
    return plain(json.dumps(body).encode(), headers="Content-Type: application/json\r\n").path()


@pytest.mark.parametrize(
    ("scenario", "body", "error"),
    [
        ("EmbeddingsUser", {"data": [{"embedding": [1.0]}]}, "2 vectors of one length were asked for, and 1 came"),
        ("EmbeddingsUser", {"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}, "of lengths [1, 2]"),
        ("EmbeddingsUser", {"data": [{"embedding": []}] * 2}, "not an answer of the embeddings endpoint"),
        ("EmbeddingsUser", {"data": [{"embedding": [float("nan")]}] * 2}, "not an answer of the embeddings endpoint"),
        ("EmbeddingsUser", {"data": [{"embedding": ["1"]}] * 2}, "not an answer of the embeddings endpoint"),
        ("EmbeddingsUser", {"detail": "no such model"}, "the server answered with an error: no such model"),
        ("RerankUser", {"results": [{"index": 9, "relevance_score": 1}]}, "not an answer of the rerank endpoint"),
        (
            "RerankUser",
            {"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]},
            "not an answer of the rerank endpoint",
        ),
        ("RerankUser", {"choices": []}, "not an answer of the rerank endpoint"),
    ],
)
def test_an_answer_without_what_was_asked_for_is_wrong(
    server: ScriptServer, load: Load, scenario: str, body: object, error: str
) -> None:
    options = {"batch": 2} if scenario == "EmbeddingsUser" else {"documents": 2}
    (sample,) = load(server.url, scenario, path=answered(body), **options)["samples"]
    assert sample["outcome"] == "bad_content"
    assert error in sample["error"]


def test_a_bare_list_of_scores_is_an_order_too(server: ScriptServer, load: Load) -> None:
    (sample,) = load(server.url, "RerankUser", documents=2, path=answered([{"index": 1, "score": 1}]))["samples"]
    assert (sample["outcome"], sample["quality"] in {0.0, 1.0}) == ("ok", True)
