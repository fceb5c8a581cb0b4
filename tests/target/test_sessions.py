"""Chat sessions of the embedded platform: what is said is remembered, memory is real and comes back, tools compute."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from target.contexts import SIGNATURE_BYTES, Context, Role
from target.faults import Faults
from target.sessions import NewSession, Sessions
from tests.target.process import Answer, Target, events_of, eventually

SESSIONS = "/api/v1/sessions"
Say = Callable[..., dict[str, Any]]


class Chat:
    """One session over one kept connection."""

    def __init__(self, target: Target, **options: object) -> None:
        self.target, self._connection = target, target.connect()
        self.id = self.post("", options)["id"]

    def post(self, path: str, body: object) -> Any:
        self._connection.request("POST", SESSIONS + path, json.dumps(body), {"content-type": "application/json"})
        response = self._connection.getresponse()
        return json.loads(response.read())

    def say(self, content: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.post(f"/{self.id}/messages", {"content": content})
        return answer

    def ask(self, method: str, path: str = "", body: object = None) -> Answer:
        return self.target.ask(method, f"{SESSIONS}/{self.id}{path}", body)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def chat(target: Target) -> Iterator[Chat]:
    opened = Chat(target)
    yield opened
    opened.ask("DELETE")
    opened.close()


def test_a_session_remembers_its_own_and_nothing_of_others(target: Target, chat: Chat) -> None:
    other = Chat(target)
    chat.say("Remember that the code word of parcel-1 is kestrel.")
    other.say("Remember that the code word of parcel-1 is heron.")
    for one, word, wrong in ((chat, "kestrel", "heron"), (other, "heron", "kestrel")):
        for text in ("Tell me about winter.", "And about harbours?"):
            one.say(text)
        reply = one.say("What is the code word of parcel-1?")
        assert reply["turn"] == 4
        assert word in reply["content"]
        assert wrong not in reply["content"]
        assert reply["context"]["messages"] == 8
    shown = chat.ask("GET", "?messages=3").json()
    assert [one["role"] for one in shown["messages"]] == ["assistant", "user", "assistant"]
    assert shown["messages"][1]["content"] == "What is the code word of parcel-1?"
    assert other.ask("DELETE").status == 204
    assert [other.ask("GET").status, other.ask("DELETE").status] == [404, 404]
    other.close()


def test_a_streamed_reply_is_the_same_in_pieces(chat: Chat) -> None:
    chat.say("Remember that the code word of parcel-7 is plover.")
    events = [json.loads(one) for one in events_of(chat.ask("POST", "/messages", {
        "content": "What is the code word of parcel-7?", "stream": True}).body)]  # fmt: skip
    assert len(events) > 3
    reply = "".join(event["delta"] for event in events[:-1])
    assert "plover" in reply
    assert events[-1]["done"]["context"]["messages"] == 4
    assert chat.ask("GET", "?messages=1").json()["messages"][0]["content"] == reply


@pytest.mark.parametrize(
    ("tool", "arguments", "result"),
    [
        ("calculate", {"expression": "(12 + 30) * 2 - 7 % 4"}, 81),
        ("convert", {"value": "3", "unit": "km", "to": "m"}, 3000),
        ("days_between", {"begin": "2024-02-28", "end": "2024-03-01"}, 2),
        ("search_session", {"query": "code word"}, [{"message": 0, "text": "Remember: the code word is gannet."}]),
    ],
)
def test_tools_compute(chat: Chat, tool: str, arguments: dict[str, str], result: object) -> None:
    chat.say("Remember: the code word is gannet.")
    told = chat.ask("POST", f"/tools/{tool}", {"arguments": arguments}).json()
    assert told["result"] == result
    assert told["context"]["messages"] == 3


@pytest.mark.parametrize(
    ("tool", "arguments", "status", "words"),
    [
        ("guess", {}, 404, "there are: calculate, convert"),
        ("calculate", {"expression": "2 ** 9"}, 422, "only numbers, + - * / // % and brackets"),
        ("calculate", {"expression": "__import__('os')"}, 422, "only numbers"),
        ("calculate", {"expression": "1 / 0"}, 422, "division by zero"),
        ("calculate", {"expression": "1e308 * 10"}, 422, "no finite number"),
        ("calculate", {"sum": "1"}, 422, "calculate takes the arguments expression"),
        ("convert", {"value": "1", "unit": "km", "to": "kg"}, 422, "must be of one kind"),
        ("days_between", {"begin": "today", "end": "2026-01-01"}, 422, "got 'today'"),
    ],
)
def test_a_wrong_call_is_refused_and_named(
    chat: Chat, tool: str, arguments: dict[str, str], status: int, words: str
) -> None:
    answer = chat.ask("POST", f"/tools/{tool}", {"arguments": arguments})
    assert answer.status == status
    assert words in answer.json()["detail"]


def test_a_long_context_is_compacted_by_itself_and_facts_stay(target: Target) -> None:
    chat = Chat(target, context_limit=40)
    chat.say("Remember that the code word of parcel-3 is curlew.")
    turns = [chat.say(f"Tell me something of harbour {number} in winter.") for number in range(40)]
    compactions = [turn["compaction"] for turn in turns if turn["compaction"]]
    assert max(turn["context"]["messages"] for turn in turns) <= 40
    assert all(one["messages_after"] < one["messages_before"] for one in compactions)
    assert all(one["bytes_after"] < one["bytes_before"] for one in compactions)
    assert len(compactions) >= 2
    assert "curlew" in chat.say("What is the code word of parcel-3?")["content"]
    done = chat.ask("POST", "/compact", {"keep": 2}).json()
    assert done["context"]["messages"] == 4  # a summary, the fact, and the last two
    assert "curlew" in chat.say("What is the code word of parcel-3?")["content"]
    chat.ask("DELETE")
    chat.close()


def test_a_summary_has_the_sentences_whose_words_come_most_often() -> None:
    context = Context()
    for number in range(30):
        context.add(Role.USER, "The harbour is full of ships. " + f"Nothing{number} happens.")
    assert context.compact(0).compacted == 30
    assert len(context) == 1
    assert context.text(0).startswith("The harbour is full of ships.")
    assert context.compact(5).compacted == 0
    context.close()


def test_each_of_many_facts_is_found_among_all_the_others() -> None:
    """Signatures of words may collide; what is answered is told apart by the words."""
    context, random = Context(), Random(1)
    facts = {f"parcel-{number}": f"{random.getrandbits(40):010x}" for number in range(400)}
    for thing, word in facts.items():
        context.add(Role.USER, f"Remember that the code word of {thing} is {word}.")
        context.add(Role.USER, f"What is the code word of {thing}?")
    found = {thing: context.text(context.relevant(f"What is the code word of {thing}?")[0]) for thing in facts}
    assert [thing for thing, word in facts.items() if word not in found[thing]] == []
    context.close()


def test_memory_is_resident_and_comes_back_when_sessions_are_removed(start: Callable[..., Target]) -> None:
    target = start()
    process = target.tree()
    chats = [Chat(target) for _ in range(10)]
    before = process.memory_info().rss
    for chat in chats:
        for number in range(10):
            chat.ask("POST", "/messages", {"content": f"{number} " + "word " * 3900})
    used = target.metric("session_bytes")
    assert used > 10 * 10 * (2 * SIGNATURE_BYTES + 19_000)
    assert eventually(lambda: process.memory_info().rss > before + 0.9 * used)
    for chat in chats:
        assert chat.ask("DELETE").status == 204
        chat.close()
    assert (target.metric("sessions_open"), target.metric("session_bytes")) == (0, 0)
    assert eventually(lambda: process.memory_info().rss < before + 0.5 * used)


def test_the_fault_keeps_the_memory_of_removed_sessions_until_it_is_off(target: Target) -> None:
    target.fault("session_leak")
    chat = Chat(target)
    chat.say("word " * 2000)
    chat.ask("DELETE")
    chat.close()
    kept = target.metric("session_leaked_bytes")
    assert kept > 10_000
    target.ask("DELETE", "/faults/session_leak")
    assert eventually(lambda: target.metric("session_leaked_bytes") == 0, timeout_s=10)


def test_metrics_count_what_happened(target: Target) -> None:
    names = ("sessions_created", "sessions_deleted", "session_turns", "session_tool_calls", "session_compactions")
    before = {name: target.metric(f"{name}_total") for name in names}
    timed = target.metric("session_compaction_seconds_count")
    chat = Chat(target)
    chat.say("Hello there.")
    chat.ask("POST", "/tools/calculate", {"arguments": {"expression": "1 + 1"}})
    chat.ask("POST", "/compact", {"keep": 0})
    chat.ask("DELETE")
    chat.close()
    assert {name: target.metric(f"{name}_total") - before[name] for name in names} == dict.fromkeys(names, 1)
    assert target.metric("session_compaction_seconds_count") == timed + 1


def test_what_nobody_uses_expires(target: Target) -> None:
    chat = Chat(target, idle_s=0.2)
    assert eventually(lambda: not [one for one in target.ask("GET", f"{SESSIONS}?limit=100").json()["items"]
                                   if one["id"] == chat.id], timeout_s=10)  # fmt: skip
    assert chat.ask("POST", "/messages", {"content": "Hello?"}).status == 404
    chat.close()


def test_use_puts_the_expiry_off() -> None:
    now = 0.0
    sessions = Sessions(Faults(1), 1, CollectorRegistry(), clock=lambda: now)
    kept, left = (sessions.create(NewSession(idle_s=10)) for _ in range(2))
    now = 9.0
    sessions.find(kept.id)
    now = 11.0
    sessions.sweep()
    assert list(sessions.open) == [kept.id]
    assert (sessions.counts.expired, sessions.counts.deleted) == (1, 0)
    assert left.context.bytes == 0


def test_sessions_are_for_those_who_are_logged_in_where_that_is_asked_for(start: Callable[..., Target]) -> None:
    assert start("--require-login").ask("POST", SESSIONS, {}).status == 401
