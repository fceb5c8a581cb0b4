"""Users of chat sessions: a fast wrong answer fails, contexts are held against what was said, nothing is left."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.scenarios.streams import Load
from tests.target.process import Target

SESSIONS = "/api/v1/sessions"
Lie = Callable[[Any], Any]
ONLY = {"message": 0, "tool": 0, "history": 0, "list": 0}


class Liar:
    """Hands requests on to the platform, and changes the answers of one operation."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.lies: dict[str, Lie] = {}
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(liar.target.host, liar.target.port, timeout=10)
                connection.request(self.command, self.path, body or None, {"content-type": "application/json"})
                response = connection.getresponse()
                data = liar.told(self.command, self.path, response.read())
                connection.close()
                self.send_response(response.status)
                self.send_header("Content-Type", response.getheader("content-type", "application/json"))
                if response.status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def told(self, method: str, path: str, data: bytes) -> bytes:
        last = path.removeprefix(SESSIONS).partition("?")[0].strip("/").split("/")
        operation = {0: "", 1: "history", 2: "message", 3: "tool"}[len(last) if last[0] else 0]
        if not operation:
            operation = "create" if method == "POST" else "list"
        if last[-1] == "compact":
            operation = "compact"
        lie = self.lies.get(operation) if method != "DELETE" else None
        if lie is None:
            return data
        if data.startswith(b"data: "):
            return bytes(lie(data))
        changed = lie(json.loads(data))
        return changed.encode() if isinstance(changed, str) else json.dumps(changed).encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    running = Target("--seed-runs", "0")
    yield running
    running.stop()


@pytest.fixture
def liar(target: Target) -> Iterator[Liar]:
    running = Liar(target)
    yield running
    running.stop()


def changed(**fields: Any) -> Lie:
    return lambda answer: answer | fields


def forgotten(answer: Any) -> Any:
    return answer | {"content": re.sub(r"\b[0-9a-f]{10}\b", "something", answer["content"])}


LIES: dict[str, tuple[str, str, Lie, str]] = {
    "a page": ("message", "message", lambda _: "<html>", "the answer is not JSON"),
    "an empty reply": ("message", "message", changed(content=" "), "the reply is empty"),
    "a lost message": ("message", "message", changed(context={"messages": 0}), "the session has 0 messages where"),
    "no context": ("message", "message", changed(context=None), "does not say how many messages"),
    "a forgotten fact": ("message", "message", forgotten, "the reply does not have what was to be remembered"),
    "a wrong result": ("tool", "tool", changed(result=-1), "is wrong"),
    "another kind of result": ("tool", "tool", changed(result=None), "is wrong"),
    "no messages": ("history", "history", changed(messages=None), "no list of its last messages"),
    "another's history": (
        "history",
        "history",
        changed(messages=[{"role": "assistant", "content": "x"}]),
        "the last reply in the session is another one",
    ),
    "no items": ("list", "list", changed(items=None), "the answer has no list of sessions"),
    "no id": ("create", "message", changed(id=None), "there is no session: the answer has no id of a session"),
}


@pytest.mark.parametrize(("operation", "counted", "lie", "error"), LIES.values(), ids=LIES.keys())
def test_a_wrong_answer_is_a_failure_however_fast(
    load: Load, liar: Liar, operation: str, counted: str, lie: Lie, error: str
) -> None:
    weights = ONLY | {counted: 1.0}
    honest = load(liar.url, "SessionUser", 8, operations=weights, streaming=0)
    assert {sample["outcome"] for sample in honest["samples"]} == {"ok"}, honest["samples"]

    liar.lies = {operation: lie}
    told = load(liar.url, "SessionUser", 8, operations=weights, streaming=0)
    wrong = [one for one in told["samples"] if one["iteration"] and one["outcome"] != "ok"]
    assert wrong
    assert {one["outcome"] for one in wrong} == {"bad_content"}
    assert all(error in one["error"] for one in wrong), wrong


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (lambda data: data[: data.rindex(b"data: ")], "the stream broke off before its end"),
        (lambda data: b"data: nonsense\n\n" + data, "neither a piece nor the end"),
    ],
)
def test_a_stream_must_come_to_its_end(load: Load, liar: Liar, lie: Lie, error: str) -> None:
    weights = ONLY | {"message": 1.0}
    assert {s["outcome"] for s in load(liar.url, "SessionUser", 3, operations=weights, streaming=1)["samples"]} == {
        "ok"
    }
    liar.lies = {"message": lie}
    told = load(liar.url, "SessionUser", 3, operations=weights, streaming=1)
    assert [(one["outcome"], one["error"]) for one in told["samples"] if one["iteration"]] == [
        ("bad_content", told["samples"][1]["error"])
    ] * 3
    assert error in told["samples"][1]["error"]


def test_a_session_has_its_turns_and_is_then_compacted_and_removed(load: Load, target: Target) -> None:
    removed = target.metric("sessions_deleted_total")
    told = load(target.url, "LongSessionUser", 24, turns=12, compact=20)
    names = Counter(sample["name"] for sample in told["samples"])
    assert names == {
        "create session": 2,
        "message (turns 1 to 10)": 20,
        "message (turns 11 to 90)": 4,
        "compact 20 messages": 2,
        "delete session": 2,
    }
    assert {sample["outcome"] for sample in told["samples"]} == {"ok"}
    assert target.metric("sessions_deleted_total") == removed + 2
    assert told["notes"] == []


def test_what_is_left_is_removed_unless_the_plan_says_otherwise(load: Load, target: Target) -> None:
    before = target.metric("sessions_open")
    load(target.url, "SessionUser", 5)
    assert target.metric("sessions_open") == before
    told = load(target.url, "SessionUser", 5, clean=False)
    assert (told["notes"], target.metric("sessions_open")) == ([], before + 1)


def test_sessions_that_were_asked_for_in_vain_are_said(load: Load, liar: Liar) -> None:
    liar.lies = {"create": lambda _: "<html>"}
    told = load(liar.url, "SessionStressUser", 2)
    assert told["notes"] == ["SessionStressUser: 2 sessions were asked for without a usable answer"]
    assert {one["outcome"] for one in told["samples"]} == {"bad_content"}


def test_a_session_that_the_server_has_lost_is_a_failure_and_the_next_one_is_a_new_one(load: Load, liar: Liar) -> None:
    ids: list[str] = []

    def another(answer: Any) -> Any:
        ids.append(answer["id"])
        return answer | ({"id": "unknown"} if len(ids) == 1 else {})

    liar.lies = {"create": another}
    told = load(liar.url, "SessionStressUser", 3)
    messages = [(one["outcome"], one["status"]) for one in told["samples"] if one["iteration"]]
    assert messages == [("http_error", 404), ("ok", 200), ("ok", 200)]
    assert len(ids) == 2


def test_a_refused_message_leaves_the_session_as_it_was(load: Load, target: Target) -> None:
    target.fault("errors", rate=0.5, status=503)
    try:
        told = load(target.url, "SessionUser", 30, operations=ONLY | {"message": 1.0}, turns=100)
    finally:
        target.ask("DELETE", "/faults")
    assert {sample["status"] for sample in told["samples"] if sample["outcome"] != "ok"} == {503}
    created = [one for one in told["samples"] if one["name"] == "create session" and one["outcome"] == "ok"]
    assert len(created) == 1  # and the code words that were told are those that are asked for
    assert [one["outcome"] for one in told["samples"]].count("ok") > 8


def test_a_compaction_in_a_turn_is_seen_in_its_name(load: Load, target: Target) -> None:
    told = load(target.url, "SessionStressUser", 30, turns=30, context_limit=20)
    names = Counter(sample["name"] for sample in told["samples"])
    assert names["message (with compaction)"] >= 2
    assert {sample["outcome"] for sample in told["samples"]} == {"ok"}
