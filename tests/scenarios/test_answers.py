"""What counts as an answer, and what is read from it: the rules of the metrics' table, one by one.

The streams are as engines send them (llama.cpp, vLLM, OpenAI and others), each event in a piece of its own and
stamped 1, 2, 3... seconds.
"""

from __future__ import annotations

import json

import pytest

from clients.http import Response
from samples.recorder import Failure
from samples.sample import Outcome, TokenSource
from scenarios import answers
from scenarios.answers import TruncatedStream
from scenarios.dialects import DIALECTS
from scenarios.dialects.base import Answer

DONE = "[DONE]"


def chunk(delta: object = None, finish: object = None, **more: object) -> str:
    """The data of one event of a chat stream."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return json.dumps({"object": "chat.completion.chunk", "choices": [choice]} | more)


def said(*words: str) -> list[str]:
    return [chunk({"content": word}) for word in words]


def usage(prompt: object, completion: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


ROLE = chunk({"role": "assistant", "content": None})
STOP = chunk(finish="stop")
USAGE = json.dumps({"choices": [], "usage": usage(12, 7)})


def streamed(*events: str, broken: str | None = None) -> Response:
    response = Response(status=200, headers={"content-type": "text/event-stream"}, broken=broken)
    response.chunks = [(float(number), f"data: {data}\n\n".encode()) for number, data in enumerate(events, 1)]
    return response


def read_stream(response: Response) -> Answer:
    return answers.read_stream(response, DIALECTS["chat"])


def read_whole(response: Response) -> Answer:
    return answers.read_whole(response, DIALECTS["chat"])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"choices":[{"delta":{"content":"a"},"logprobs":NaN}]}', "a"),
        (b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', "\ud83d"),
        (b'{"choices":[{"delta":{"content":"a\xff"}}]}', "a\ufffd"),
        (b'{"choices":[{"delta":{"content":"a"}}],"x":1' + b"0" * 400 + b"}", "a"),
        ('{"choices":[{"delta":{"content":"é😀"}}]}'.encode(), "é😀"),
    ],
)
def test_json_is_taken_as_python_takes_it(data: bytes, text: str) -> None:
    response = streamed()
    response.chunks = [(1.0, b"data: " + data + b"\n\n"), (2.0, b"data: [DONE]\n\n")]
    assert read_stream(response).text == text


def read(*events: str) -> Answer:
    return read_stream(streamed(*events))


def failure(*events: str, broken: str | None = None) -> str:
    with pytest.raises(Failure) as caught:
        read_stream(streamed(*events, broken=broken))
    assert caught.value.outcome is Outcome.BAD_CONTENT
    return caught.value.error


# -- content events -------------------------------------------------------------------------------------------------


def test_a_complete_stream_is_read_with_the_stamps_of_its_content() -> None:
    answer = read(ROLE, *said("Hello", " world"), STOP, USAGE, DONE)
    assert answer.text == "Hello world"
    assert answer.content_at == [2.0, 3.0]  # neither the role nor the finish, usage and end count
    assert answer.visible_at == 2.0
    assert answer.finish_reason == "stop"
    assert (answer.prompt_tokens, answer.output_tokens, answer.token_source) == (12, 7, TokenSource.USAGE)


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_content_and_not_visible(key: str) -> None:
    answer = read(ROLE, chunk({key: "Hm"}), chunk({key: "...", "content": None}), *said("Yes"), STOP, DONE)
    assert (answer.content_at, answer.visible_at, answer.text) == ([2.0, 3.0, 4.0], 4.0, "Yes")


def test_a_tool_call_is_content_and_an_answer_without_text() -> None:
    call = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}
    answer = read(ROLE, chunk(call), chunk(call), chunk(finish="tool_calls"), DONE)
    assert (answer.content_at, answer.visible_at, answer.text) == ([2.0, 3.0], None, "")
    assert answer.finish_reason == "tool_calls"


def test_an_answer_of_reasoning_alone_is_an_answer() -> None:
    answer = read(chunk({"reasoning": "Hm"}), chunk(finish="length"), DONE)
    assert (answer.content_at, answer.visible_at) == ([1.0], None)


@pytest.mark.parametrize("empty", [{"content": ""}, {"content": None}, {}, {"tool_calls": []}, {"reasoning": ""}])
def test_an_event_without_any_content_is_no_content_event(empty: dict[str, object]) -> None:
    assert read(chunk(empty), *said("a"), chunk(empty, "stop"), DONE).content_at == [2.0]


def test_content_may_come_with_the_finish_reason() -> None:
    answer = read(*said("a"), chunk({"content": "b"}, "length"), DONE)
    assert (answer.text, answer.content_at, answer.finish_reason) == ("ab", [1.0, 2.0], "length")


def test_text_completions_are_read_too() -> None:
    events = [json.dumps({"choices": [{"text": word, "finish_reason": None}]}) for word in ("a", "b")]
    events.append(json.dumps({"choices": [{"text": "", "finish_reason": "stop"}]}))
    answer = read(*events, DONE)
    assert (answer.text, answer.content_at, answer.finish_reason) == ("ab", [1.0, 2.0], "stop")


def test_events_that_arrive_together_have_one_stamp() -> None:
    response = streamed()
    body = "".join(f"data: {data}\n\n" for data in (*said("a", "b"), STOP, DONE)).encode()
    response.chunks = [(1.0, body[:20]), (2.0, body[20:])]
    assert read_stream(response).content_at == [2.0, 2.0]


def test_comments_and_carriage_returns_change_nothing() -> None:
    body = ":\r\n\r\n" + "".join(f"data: {data}\r\n\r\n: ping\r\n\r\n" for data in (*said("é", "€"), STOP, DONE))
    response = streamed()
    response.chunks = [(float(n), body.encode()[n : n + 1]) for n in range(len(body.encode()))]
    answer = read_stream(response)
    assert (answer.text, len(answer.content_at)) == ("é€", 2)


# -- token counts ---------------------------------------------------------------------------------------------------


def test_usage_may_come_in_the_finish_chunk() -> None:
    answer = read(*said("a", "b"), chunk(finish="stop", usage=usage(5, 4)), DONE)
    assert (answer.prompt_tokens, answer.output_tokens, answer.token_source) == (5, 4, TokenSource.USAGE)


def test_of_a_running_usage_the_last_one_counts() -> None:
    events = [chunk({"content": "a"}, usage=usage(5, n)) for n in (1, 2, 3)]
    assert read(*events, chunk(finish="stop", usage=None), DONE).output_tokens == 3


def test_without_usage_the_content_events_are_counted() -> None:
    answer = read(ROLE, *said("a", "b", "c"), STOP, DONE)
    assert (answer.prompt_tokens, answer.output_tokens, answer.token_source) == (None, 3, TokenSource.EVENTS)


@pytest.mark.parametrize("strange", [None, "7", 7.5, True, -1, 2**80, [], {}])
def test_a_usage_that_is_no_count_is_not_believed(strange: object) -> None:
    answer = read(*said("a", "b"), STOP, json.dumps({"choices": [], "usage": usage(strange, strange)}), DONE)
    assert (answer.prompt_tokens, answer.output_tokens, answer.token_source) == (None, 2, TokenSource.EVENTS)


# -- how a stream ends ----------------------------------------------------------------------------------------------


def test_a_finish_reason_without_done_is_an_end() -> None:
    assert read(*said("a"), STOP).text == "a"


def test_done_without_a_finish_reason_is_an_end() -> None:
    answer = read(*said("a"), DONE)
    assert (answer.text, answer.finish_reason) == ("a", None)


def test_what_comes_after_done_is_nobodys() -> None:
    assert read(*said("a"), STOP, DONE, *said("b"), "junk").text == "a"


@pytest.mark.parametrize("broken", [None, "connection reset by peer"])
def test_a_stream_with_neither_is_cut_however_many_tokens_it_carried(broken: str | None) -> None:
    error = failure(ROLE, *said(*("word " * 40).split()), broken=broken)
    assert error.startswith("the stream ended without a finish reason or [DONE]")
    assert (broken is not None) == ("connection reset by peer" in error)


def test_a_cut_stream_still_tells_what_had_arrived() -> None:
    with pytest.raises(TruncatedStream) as caught:
        read_stream(streamed(ROLE, *said("a", "b")))
    assert (caught.value.answer.text, caught.value.answer.content_at) == ("ab", [2.0, 3.0])


def test_a_last_event_cut_in_the_middle_is_a_cut_stream() -> None:
    response = streamed(*said("a"), STOP)
    at, data = response.chunks[-1]
    response.chunks[-1] = (at, data[:-1])
    with pytest.raises(TruncatedStream):
        read_stream(response)


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"message": "out of memory", "code": 500}}, "out of memory"),
        ({"error": "out of memory"}, "out of memory"),
        ({"error": {"code": 500}, "choices": []}, "500"),
        ({"detail": "no such model"}, "no such model"),
        ({"detail": {"error": {"message": "no such model"}}}, "no such model"),
        ({"object": "error", "message": "no such model", "code": 404}, "no such model"),
    ],
)
def test_an_error_event_spoils_the_stream_whatever_comes_after(event: dict[str, object], error: str) -> None:
    assert failure(*said("a"), json.dumps(event), STOP, DONE) == f"error event in the stream: {error}"


def test_an_event_of_the_kind_error_is_an_error() -> None:
    response = streamed(*said("a"), STOP)
    response.chunks.append((9.0, b'event: error\ndata: {"message": "gone"}\n\n'))
    with pytest.raises(Failure, match="error event in the stream: gone"):
        read_stream(response)


def test_no_error_is_no_error() -> None:
    assert read(chunk({"content": "a"}, error=None), STOP, DONE).text == "a"


@pytest.mark.parametrize("data", ["{", "hello", "", '{"choices": [}'])
def test_an_event_that_is_not_json_spoils_the_stream(data: str) -> None:
    assert failure(*said("a"), data, STOP, DONE) == "an event of the stream is not JSON"


@pytest.mark.parametrize("data", ["[]", "7", "null", '"text"'])
def test_an_event_that_is_no_object_spoils_the_stream(data: str) -> None:
    assert failure(*said("a"), data, STOP, DONE) == "an event of the stream is not a JSON object"


@pytest.mark.parametrize(
    "event",
    [
        {"choices": 7},
        {"choices": ["text"]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"content": [{"type": "text"}]}}]},
        {"choices": [{"delta": {}, "finish_reason": 7}]},
    ],
)
def test_an_event_of_another_form_is_bad_content_and_no_crash(event: dict[str, object]) -> None:
    assert failure(json.dumps(event), STOP, DONE) == "an event of the stream is not one of the chat endpoint"


@pytest.mark.parametrize("events", [[ROLE, STOP, DONE], [STOP, USAGE, DONE], [DONE], [*said(""), STOP]])
def test_an_empty_answer_is_bad_content(events: list[str]) -> None:
    assert failure(*events) == "the answer is empty"


def test_a_stream_without_any_event_is_cut() -> None:
    assert failure() == "the stream ended without a finish reason or [DONE]"


# -- answers that are not streamed ----------------------------------------------------------------------------------


def whole(body: object) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=200, headers={"content-type": "application/json"}, chunks=[(1.0, data)])


def message(**parts: object) -> dict[str, object]:
    return {"choices": [{"message": {"role": "assistant"} | parts, "finish_reason": "stop"}], "usage": usage(5, 9)}


def test_a_plain_answer_is_read() -> None:
    answer = read_whole(whole(message(content="Hello")))
    assert (answer.text, answer.finish_reason, answer.content_at, answer.visible_at) == ("Hello", "stop", [], None)
    assert (answer.prompt_tokens, answer.output_tokens, answer.token_source) == (5, 9, TokenSource.USAGE)


def test_a_plain_answer_without_usage_has_no_count() -> None:
    answer = read_whole(whole({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}))
    assert (answer.output_tokens, answer.token_source) == (None, None)


def test_a_plain_text_completion_is_read() -> None:
    assert read_whole(whole({"choices": [{"text": "Hello", "finish_reason": "stop"}]})).text == "Hello"


@pytest.mark.parametrize("parts", [{"content": None, "tool_calls": [{"id": "1"}]}, {"reasoning_content": "Hm"}])
def test_a_plain_answer_of_tool_calls_or_reasoning_is_one_as_it_is_in_a_stream(parts: dict[str, object]) -> None:
    assert read_whole(whole(message(**parts))).text == ""


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad gateway</html>",
        b"",
        b"\xff\xfe",
        {"choices": []},
        {"choices": None},
        {"choices": ["text"]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": "Hello"}]}}]},
        [],
        7,
        None,
    ],
)
def test_what_is_no_completion_is_bad_content_and_no_crash(body: object) -> None:
    with pytest.raises(Failure, match="not an answer of the chat endpoint") as caught:
        read_whole(whole(body))
    assert caught.value.outcome is Outcome.BAD_CONTENT


@pytest.mark.parametrize("text", ["", None])
def test_a_plain_answer_without_text_is_empty(text: str | None) -> None:
    with pytest.raises(Failure, match="the answer is empty"):
        read_whole(whole(message(content=text)))


@pytest.mark.parametrize(
    "body", [{"detail": "out of memory"}, {"error": {"message": "out of memory"}}, {"error": "out of memory"}]
)
def test_an_error_with_status_200_is_told_in_its_own_words(body: object) -> None:
    with pytest.raises(Failure, match="the server answered with an error: out of memory") as caught:
        read_whole(whole(body))
    assert caught.value.outcome is Outcome.BAD_CONTENT


# -- tool calls and several choices ---------------------------------------------------------------------------------


def test_the_pieces_of_tool_calls_are_put_together() -> None:
    def piece(index: int, **function: str) -> str:
        return chunk(
            {
                "tool_calls": [
                    {"index": index, "function": function} | ({"id": f"c{index}"} if function.get("name") else {})
                ]
            }
        )

    events = [
        piece(0, name="weather", arguments=""),
        piece(0, arguments='{"city": '),
        piece(0, arguments='"Oslo"}'),
        piece(1, name="clock", arguments="{}"),
    ]
    answer = read(ROLE, *events, chunk(finish="tool_calls"), DONE)
    assert [(call.id, call.name, call.arguments) for call in answer.calls.values()] == [
        ("c0", "weather", '{"city": "Oslo"}'),
        ("c1", "clock", "{}"),
    ]
    assert answer.content_at == [2.0, 3.0, 4.0, 5.0]


def test_arguments_may_come_as_the_object_that_they_stand_for() -> None:
    call = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    answer = read_whole(whole(message(content=None, tool_calls=[call])))
    assert answer.calls[0].arguments == '{"city": "Oslo"}'


def choices(*said: tuple[int, str, str | None]) -> str:
    parts = [{"index": index, "delta": {"content": text}, "finish_reason": end} for index, text, end in said]
    return json.dumps({"choices": parts})


def test_of_several_choices_the_first_is_the_answer_and_an_event_counts_once() -> None:
    answer = read(
        choices((0, "a", None), (1, "x", None)), choices((1, "y", None)), choices((0, "b", "stop"), (1, "", "length"))
    )
    assert (answer.text, answer.content_at, answer.finish_reason) == ("ab", [1.0, 2.0, 3.0], "stop")


def test_a_choice_that_never_ends_is_a_cut_stream() -> None:
    error = failure(choices((0, "a", None), (1, "x", None)), choices((0, "b", "stop")), choices((1, "y", None)))
    assert error.startswith("the stream ended without a finish reason or [DONE]")
