"""However an exchange of a chat user ends, its one sample calls it by the name that the metrics' table gives it.

A real `ChatUser` of Locust in one process, a server that writes what the test says in another.
"""

from __future__ import annotations

import json

import pytest

from samples.sample import Outcome, TokenSource
from tests.clients.servers import LAST_CHUNK, Script, chunk, plain
from tests.scenarios.streams import DONE, FINISH, SSE, WORDS, Run, event, stream, usage, whole


def answered(body: object, status: str = "200 OK", kind: str = "application/json") -> Script:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return plain(data, status, f"Content-Type: {kind}\r\n")


ENDINGS: dict[str, tuple[Script, Outcome, str]] = {
    "whole": (whole(*WORDS, FINISH, usage(5), DONE), Outcome.OK, ""),
    "finish reason, no [DONE]": (whole(*WORDS, FINISH), Outcome.OK, ""),
    "[DONE], no finish reason": (whole(*WORDS, DONE), Outcome.OK, ""),
    "finish reason, then a reset": (stream(*WORDS, FINISH).at(0.1).reset(), Outcome.OK, ""),
    "neither": (whole(*WORDS), Outcome.BAD_CONTENT, "without a finish reason or [DONE]"),
    "closed in mid-stream": (stream(*WORDS).close(), Outcome.BAD_CONTENT, "closed the connection in the middle"),
    "reset in mid-stream": (stream(*WORDS).at(0.1).reset(), Outcome.BAD_CONTENT, "connection reset by peer"),
    "cut in an event": (whole(*WORDS, FINISH[:-1]), Outcome.BAD_CONTENT, "without a finish reason or [DONE]"),
    "closed before the headers": (Script().close(), Outcome.CONNECT_ERROR, "without a response"),
    "reset in the headers": (Script().send(SSE[:20]).at(0.05).reset(), Outcome.CONNECT_ERROR, "reset by peer"),
    "error event": (
        whole(*WORDS, b'data: {"error":{"message":"out of memory"}}\n\n', DONE),
        Outcome.BAD_CONTENT,
        "error event in the stream: out of memory",
    ),
    "junk event": (whole(*WORDS, b"data: {nope\n\n", FINISH, DONE), Outcome.BAD_CONTENT, "not JSON"),
    "no content": (whole(FINISH, DONE), Outcome.BAD_CONTENT, "the answer is empty"),
    "429": (answered({"error": {"message": "slow down"}}, "429 Too Many"), Outcome.HTTP_ERROR, "HTTP 429"),
    "503": (answered({"detail": "loading"}, "503 Unavailable"), Outcome.HTTP_ERROR, 'HTTP 503: {"detail": "loading"}'),
    "401 in text": (answered(b"who are you?", "401 No", "text/plain"), Outcome.HTTP_ERROR, "HTTP 401: who are you?"),
    "a redirect": (answered(b"", "302 Found"), Outcome.BAD_CONTENT, "HTTP 302 where 200 was expected"),
    "200 with an error": (answered({"error": {"message": "no"}}), Outcome.BAD_CONTENT, "answered with an error: no"),
    "200 with a page": (
        answered(b"<html>", kind="text/html"),
        Outcome.BAD_CONTENT,
        "not an answer of the chat endpoint",
    ),
    "no HTTP": (Script().send(b"SSH-2.0-x\r\n"), Outcome.BAD_CONTENT, "not a valid HTTP response"),
    "silent in the stream": (stream(*WORDS).at(3), Outcome.TIMEOUT, "no complete response within 0.4 s"),
    "silent from the start": (Script().at(3), Outcome.TIMEOUT, "no complete response within 0.4 s"),
}


@pytest.mark.parametrize(("script", "outcome", "error"), ENDINGS.values(), ids=ENDINGS.keys())
def test_every_ending_is_called_by_its_name(run: Run, script: Script, outcome: Outcome, error: str) -> None:
    (sample,) = run(script, timeout=0.4)
    assert (sample["outcome"], sample["scenario"], sample["protocol"]) == (outcome, "ChatUser", "llm")
    assert error in (sample["error"] or "")
    assert (sample["error"] is None) == (outcome is Outcome.OK)
    assert sample["sent_s"] is not None
    assert sample["due_s"] <= sample["sent_s"] <= sample["done_s"]
    said = outcome not in {Outcome.CONNECT_ERROR, Outcome.TIMEOUT} and "valid HTTP" not in error
    assert (sample["status"] is not None) == said


@pytest.mark.parametrize("name", ["closed in mid-stream", "reset in mid-stream", "neither"])
def test_a_cut_stream_keeps_the_times_of_what_arrived_and_is_worth_nothing(run: Run, name: str) -> None:
    (sample,) = run(ENDINGS[name][0])
    assert (sample["events"], len(sample["icl_us"]), sample["quality"]) == (5, 4, 0.0)
    assert sample["ttft_s"] is not None
    assert sample["finish_reason"] is None


def test_a_refused_connection_is_a_connect_error(run: Run) -> None:
    samples = run("/", count=2, host="http://127.0.0.1:9")
    assert {(sample["outcome"], sample["error"]) for sample in samples} == {("connect_error", "connection refused")}


def test_a_user_goes_on_after_every_kind_of_failure(run: Run) -> None:
    for name in ("reset in mid-stream", "no HTTP", "silent from the start"):
        samples = run(ENDINGS[name][0], count=3, timeout=0.5)
        assert [sample["outcome"] for sample in samples] == [ENDINGS[name][1]] * 3


def test_a_stream_without_usage_counts_its_events(run: Run) -> None:
    (sample,) = run(whole(*WORDS, FINISH, DONE))
    assert (sample["output_tokens"], sample["token_source"]) == (5, TokenSource.EVENTS)


def test_crlf_comments_and_split_characters_change_nothing(run: Run) -> None:
    raw = b": ping\r\n\r\n" + event("4\u20ac", end="\r\n") + b":\r\n\r\n" + event("2\U0001f600", end="\r\n")
    raw = raw.replace(b"\\u20ac", "€".encode()).replace(b"\\ud83d\\ude00", "😀".encode())
    assert "€".encode() in raw
    script = Script().send(SSE)
    for number in range(len(raw)):
        script.send(chunk(raw[number : number + 1]))
    (sample,) = run(script.send(chunk(FINISH + DONE) + LAST_CHUNK))
    assert (sample["outcome"], sample["events"], sample["finish_reason"]) == ("ok", 2, "stop")


def test_a_plain_answer_is_measured_too(run: Run) -> None:
    body = {"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
    samples = run(answered(body), count=3, streaming=0.0)
    assert [sample["outcome"] for sample in samples] == ["ok"] * 3
    assert {(sample["name"], sample["output_tokens"], sample["ttft_s"]) for sample in samples} == {("chat", 3, None)}
    assert [sample["connect_ms"] is None for sample in samples] == [False, True, True]


# -- users that are ended -------------------------------------------------------------------------------------------


def test_a_user_killed_in_flight_leaves_a_sample_that_is_cut(run: Run) -> None:
    (sample,) = run(stream(*WORDS).at(3), rate=10.0, kill_at=0.3)
    assert (sample["outcome"], sample["arrival"]) == ("cut", 0)
    assert 0.25 < sample["done_s"] < 1


@pytest.mark.parametrize("kill_at", [0.0495, 0.05, 0.0505, 0.051])
def test_a_user_killed_around_its_hand_over_loses_no_arrival(run: Run, kill_at: float) -> None:
    # The arrival is due at 0.05 s. Wherever the kill strikes, there is one sample of it.
    (sample,) = run(Script().at(3), rate=10.0, kill_at=kill_at)
    assert sample["outcome"] in {"cut", "dropped"}
