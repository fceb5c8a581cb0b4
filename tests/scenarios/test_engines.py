"""Engines speak OpenAI's API each in its own way; a chat user understands them all, and counts right.

The scripted server writes what the engine of that name or habit writes, byte for byte.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from samples.sample import Outcome, TokenSource
from tests.clients.servers import LAST_CHUNK, Script, ScriptServer, chunk, plain
from tests.scenarios.streams import DONE, SSE, Load


def data(*events: object) -> list[bytes]:
    return [f"data: {json.dumps(event)}\n\n".encode() for event in events]


def piece(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more


def streamed(*events: bytes) -> Script:
    script = Script().send(SSE)
    for number, event in enumerate(events):
        script.at(0.01 * number).send(chunk(event))
    return script.send(LAST_CHUNK)


ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}]}
COUNTS = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}

ENGINES: dict[str, tuple[Script, int, TokenSource]] = {
    "llama.cpp": (
        streamed(
            b":\n\n",
            *data(ROLE, piece("4"), piece("2"), piece("!"), piece(finish="stop")),
            *data({"choices": [], "usage": COUNTS}),
            DONE,
        ),
        3,
        TokenSource.USAGE,
    ),
    "no [DONE]": (streamed(*data(ROLE, piece("4"), piece("2"), piece(finish="stop"))), 2, TokenSource.EVENTS),
    "usage in the finish chunk": (
        streamed(*data(piece("4"), piece("2"), piece("!"), piece(finish="stop", usage=COUNTS)), DONE),
        3,
        TokenSource.USAGE,
    ),
    "usage in every chunk": (
        streamed(
            *data(
                *(piece(word, usage={"prompt_tokens": 11, "completion_tokens": n}) for n, word in enumerate("42!", 1))
            ),
            *data(piece(finish="stop", usage=COUNTS)),
            DONE,
        ),
        3,
        TokenSource.USAGE,
    ),
    "usage null until the end": (
        streamed(
            *data(
                piece("4", usage=None),
                piece("2", usage=None),
                piece(finish="stop", usage=None),
                {"choices": [], "usage": COUNTS},
            ),
            DONE,
        ),
        3,
        TokenSource.USAGE,
    ),
    "empty deltas between": (
        streamed(*data(ROLE, piece(""), piece("4"), piece(""), piece("2"), piece("", finish="stop")), DONE),
        2,
        TokenSource.EVENTS,
    ),
    "several tokens in an event": (
        streamed(*data(piece("42!"), piece(finish="length"), {"choices": [], "usage": COUNTS}), DONE),
        3,
        TokenSource.USAGE,
    ),
    "not streamed although asked to": (
        plain(
            json.dumps(
                {"choices": [{"message": {"content": "42!"}, "finish_reason": "stop"}], "usage": COUNTS}
            ).encode(),
            headers="Content-Type: application/json\r\n",
        ),
        3,
        TokenSource.USAGE,
    ),
}


@pytest.mark.parametrize(("script", "tokens", "source"), ENGINES.values(), ids=ENGINES.keys())
def test_an_engine_with_habits_of_its_own_is_understood(
    server: ScriptServer, load: Load, script: Script, tokens: int, source: TokenSource
) -> None:
    (sample,) = load(server.url, "ChatUser", path=script.path())["samples"]
    assert (sample["outcome"], sample["error"]) == (Outcome.OK, None)
    assert (sample["output_tokens"], sample["token_source"]) == (tokens, source)
    assert sample["finish_reason"] in {"stop", "length"}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ({"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]}, "422 No"),
        ({"error": "unknown field stream_options"}, "400 Bad Request"),
    ],
)
def test_a_server_that_refuses_stream_options_is_not_asked_again(
    server: ScriptServer, load: Load, refusal: object, status: str
) -> None:
    answer = streamed(*data(piece("4"), piece("2"), piece(finish="stop")), DONE)
    refused = plain(json.dumps(refusal).encode(), status, "Content-Type: application/json\r\n")
    told = load(server.url, "ChatUser", 3, path=answer.when(b"stream_options", refused).path())
    assert [sample["outcome"] for sample in told["samples"]] == ["ok"] * 3
    assert {sample["token_source"] for sample in told["samples"]} == {"events"}
    assert told["notes"] == [
        f"ChatUser: the server refuses stream_options (HTTP {status[:3]}), so streams are not asked for token counts."
    ]


def test_a_server_that_refuses_everything_is_no_server_that_refuses_stream_options(
    server: ScriptServer, load: Load
) -> None:
    told = load(server.url, "ChatUser", path=plain(b'{"detail": "no such model"}', "400 Bad Request").path())
    assert (told["samples"][0]["outcome"], told["notes"]) == ("http_error", [])
    assert told["samples"][0]["error"] == 'HTTP 400: {"detail": "no such model"}'


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (b'data: {"detail": "worker died"}\n\n', "worker died"),
        (b'data: {"error": "worker died"}\n\n', "worker died"),
        (b'data: {"error": {"message": "worker died", "code": 500}}\n\n', "worker died"),
        (b'event: error\ndata: {"code": 500, "message": "worker died"}\n\n', "worker died"),
        (b'data: {"object": "error", "message": "worker died", "code": 50001}\n\n', "worker died"),
    ],
)
def test_an_error_in_the_stream_is_read_in_every_form(
    server: ScriptServer, load: Load, event: bytes, error: str
) -> None:
    (sample,) = load(server.url, "ChatUser", path=streamed(*data(piece("4")), event).path())["samples"]
    assert (sample["outcome"], sample["error"]) == ("bad_content", f"error event in the stream: {error}")
