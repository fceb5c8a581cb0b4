from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from typing import Any

import psutil
import pytest
import websocket

from tests.target.process import CHAT, RUNS, Target, chat_body, events_of, eventually

pytestmark = pytest.mark.alone

LONG = "Explain how rivers form"


def seconds(target: Target, method: str = "GET", path: str = RUNS, body: object = None) -> float:
    begin = time.monotonic()
    target.ask(method, path, body)
    return time.monotonic() - begin


def test_latency_delays_its_scope_and_nothing_else(target: Target) -> None:
    target.fault("latency", ms=300, scope="crud")
    assert 0.3 < seconds(target) < 0.6
    assert seconds(target, "GET", "/v1/models") < 0.2
    target.fault("latency", ms=300, jitter_ms=50)
    assert 0.25 < seconds(target, "GET", "/v1/models") < 0.6
    assert seconds(target, "GET", "/health") < 0.2
    target.ask("DELETE", "/faults/latency")
    assert seconds(target) < 0.2


def test_a_fault_ends_after_its_duration(target: Target) -> None:
    target.fault("errors", duration_s=0.3)
    assert target.ask("GET", RUNS).status == 500
    assert target.ask("GET", "/faults").json()["active"][0]["remaining_s"] < 0.3
    assert eventually(lambda: target.ask("GET", RUNS).status == 200, timeout_s=1)
    assert target.ask("GET", "/faults").json()["active"] == []


def test_a_stall_holds_everything_back_and_then_lets_it_go_on(target: Target) -> None:
    updates = target.websocket("?rate=50")
    arrivals: list[float] = []
    stream: list[bytes] = []

    def read() -> None:
        connection = target.connect()
        request = json.dumps(chat_body("go on", max_tokens=150, ignore_eos=True, stream=True))
        connection.request("POST", CHAT, request, {"content-type": "application/json"})
        response = connection.getresponse()
        while piece := response.read1():
            arrivals.append(time.monotonic())
            stream.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    assert eventually(lambda: len(arrivals) > 5)
    target.fault("stall", seconds=0.6)
    begin = time.monotonic()
    assert target.ask("GET", "/health").status == 200
    health_s = time.monotonic() - begin
    reader.join(5)
    times = [json.loads(updates.recv())["timestamp"] for _ in range(60)]
    updates.close()
    assert 0.5 < health_s < 0.9
    assert max(after - before for before, after in itertools.pairwise(arrivals)) > 0.5
    assert events_of(b"".join(stream))[-1] == "[DONE]"
    assert max(after - before for before, after in itertools.pairwise(times)) > 0.5


def test_errors_strike_at_their_rate_and_are_the_same_sequence_each_time(target: Target) -> None:
    def statuses() -> list[int]:
        target.fault("errors", rate=0.4, status=502, scope="crud")
        return [target.ask("GET", f"{RUNS}/1").status for _ in range(40)]

    first = statuses()
    assert set(first) == {200, 502}
    assert 6 <= first.count(502) <= 26
    assert statuses() == first
    assert target.ask("GET", "/v1/models").status == 200
    assert target.ask("GET", "/faults").json()["active"][0]["strikes"] == first.count(502)


def test_reject_answers_429_with_the_time_to_retry(target: Target) -> None:
    target.fault("reject")
    refused = target.chat("hi")
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert target.ask("GET", RUNS).status == 200


def test_a_dropped_stream_is_cut_without_its_last_chunk(target: Target) -> None:
    target.fault("drop_stream")
    with pytest.raises(http.client.IncompleteRead) as cut:
        target.chat(LONG, stream=True, max_tokens=20)
    assert cut.value.partial.count(b'"content":"') == 10
    assert b"[DONE]" not in cut.value.partial


def test_a_truncated_stream_ends_cleanly_but_without_finish_reason_and_done(target: Target) -> None:
    target.fault("truncate_stream")
    events = events_of(target.chat(LONG, stream=True, max_tokens=20).body)
    assert len(events) == 1 + 10
    assert all(json.loads(event)["choices"][0]["finish_reason"] is None for event in events)


def test_a_stream_error_is_an_event_in_the_middle(target: Target) -> None:
    target.fault("stream_error")
    *tokens, last = events_of(target.chat(LONG, stream=True, max_tokens=20).body)
    assert len(tokens) == 1 + 10
    assert json.loads(last)["error"]["code"] == "engine_error"


def test_answers_can_be_garbled_looping_or_empty(target: Target) -> None:
    usual = target.say(LONG, max_tokens=40)
    target.fault("garble")
    garbled = target.say(LONG, max_tokens=40)
    assert len(garbled) == len(usual)
    assert not {"rivers", "form", "the"} & set(garbled.split())
    target.ask("DELETE", "/faults")
    target.fault("loop")
    words = target.say(LONG, max_tokens=40).split()
    assert len(set(words)) <= 5 < len(words)
    target.ask("DELETE", "/faults")
    target.fault("empty")
    assert target.say(LONG) == ""
    body = target.chat(LONG, stream=True, stream_options={"include_usage": True}).body
    assert len(events_of(body)) == 4
    assert b'"completion_tokens":0' in body


def test_lost_messages_leave_gaps_in_the_sequence(target: Target) -> None:
    target.fault("ws_loss", rate=0.3)
    connection = target.websocket("?rate=200")
    sequences = [json.loads(connection.recv())["sequence"] for _ in range(60)]
    connection.close()
    assert sequences == sorted(set(sequences))
    assert 70 < sequences[-1] < 120


def test_a_connection_can_be_dropped_with_1011(target: Target) -> None:
    target.fault("ws_drop")
    connection = target.websocket("?rate=100")
    opcode, frame = connection.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(frame[:2], "big") == 1011


def test_leaked_memory_is_resident_and_freed_when_cleared(target: Target) -> None:
    process = target.tree()
    before = process.memory_info().rss
    target.fault("memory_leak", mb_per_s=100)
    assert eventually(lambda: process.memory_info().rss > before + 40 * 2**20)
    target.ask("DELETE", "/faults/memory_leak")
    assert eventually(lambda: process.memory_info().rss < before + 15 * 2**20, timeout_s=1)


def test_burnt_cpu_shows_in_the_process_tree_and_leaves_no_child(target: Target) -> None:
    target.fault("cpu", cores=0.5)
    children = target.tree().children()
    assert len(children) == 1
    time.sleep(0.2)
    begin, used = time.monotonic(), sum(children[0].cpu_times()[:2])
    time.sleep(1.0)
    cores = (sum(children[0].cpu_times()[:2]) - used) / (time.monotonic() - begin)
    target.ask("DELETE", "/faults/cpu")
    assert 0.25 < cores < 0.65
    assert not psutil.pid_exists(children[0].pid)


def test_the_first_token_and_the_decoding_can_be_slowed(target: Target) -> None:
    request = chat_body("go on", max_tokens=20, ignore_eos=True)
    usual = seconds(target, "POST", CHAT, request)
    target.fault("slow_first_token", ms=400)
    assert 0.35 < seconds(target, "POST", CHAT, request) - usual < 0.7
    target.ask("DELETE", "/faults")
    target.fault("slow_decode", factor=3)
    assert 2.2 < seconds(target, "POST", CHAT, request) / usual < 4.5


def test_unhealthy_shows_in_health_and_refuses_completions(target: Target) -> None:
    target.fault("unhealthy")
    health = target.ask("GET", "/health")
    assert (health.status, health.json()["status"]) == (503, "unhealthy")
    assert target.chat("hi").status == 503
    target.ask("DELETE", "/faults/unhealthy")
    assert target.ask("GET", "/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"kind": "latncy", "ms": 1}, "kind", "latency"),
        ({"ms": 1}, "kind", "unhealthy"),
        ({"kind": "latency"}, "ms", "a number from 0"),
        ({"kind": "latency", "ms": -5}, "ms", "a number from 0"),
        ({"kind": "latency", "ms": True}, "ms", "a number"),
        ({"kind": "latency", "ms": 5, "scope": "sql"}, "scope", "one of all, llm, crud"),
        ({"kind": "errors", "rate": 1.5}, "rate", "a number from 0 to 1"),
        ({"kind": "errors", "status": 200}, "status", "a whole number from 400 to 599"),
        ({"kind": "unhealthy", "speed": 1}, "speed", "only kind, duration_s"),
        ({"kind": "unhealthy", "duration_s": 0}, "duration_s", "a number from 0.001"),
        ([1], "body", "an object"),
    ],
)
def test_a_bad_fault_is_refused_naming_field_value_and_what_is_allowed(
    target: Target, body: Any, field: str, allowed: str
) -> None:
    answer = target.ask("PUT", "/faults", body)
    assert answer.status == 422
    problem = answer.json()["detail"][0]
    assert problem["field"] == field
    assert allowed in problem["allowed"]
    if isinstance(body, dict):
        assert problem["value"] == body.get(field)
    assert target.ask("GET", "/faults").json()["active"] == []


def test_unknown_kinds_come_with_suggestions_and_the_list_shows_all(target: Target) -> None:
    answer = target.ask("PUT", "/faults", {"kind": "latncy"})
    assert answer.json()["detail"][0]["suggestions"][0] == "latency"
    assert target.ask("PUT", "/faults", b"{").status == 422
    assert target.ask("DELETE", "/faults/latncy").status == 404
    kinds = target.ask("GET", "/faults").json()["kinds"]
    assert kinds["errors"]["status"] == {"default": 500, "allowed": "a whole number from 400 to 599"}
