from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
import websocket

from tests.target.process import Target, eventually


def receive(connection: websocket.WebSocket, count: int) -> list[dict[str, Any]]:
    return [json.loads(connection.recv()) for _ in range(count)]


def test_messages_carry_types_ascending_sequence_and_a_fresh_timestamp(target: Target) -> None:
    connection = target.websocket("?rate=100")
    messages = []
    for expected in range(1, 41):
        message = json.loads(connection.recv())
        assert 0 <= time.time() - message["timestamp"] < 0.2
        assert message["sequence"] == expected
        assert message["run_id"]
        assert isinstance(message["data"], dict)
        messages.append(message["type"])
    connection.close()
    counts = {kind: messages.count(kind) for kind in set(messages)}
    assert counts.keys() == {"run_update", "progress", "error", "completion"}
    assert counts["progress"] > 20


def test_the_rate_is_kept_on_absolute_times(target: Target) -> None:
    connection = target.websocket("?rate=50")
    first, *_, last = receive(connection, 51)
    connection.close()
    assert last["timestamp"] - first["timestamp"] == pytest.approx(1.0, abs=0.05)


def test_connections_opened_together_do_not_send_together(target: Target) -> None:
    connections = [target.websocket("?rate=2") for _ in range(4)]
    phases = sorted(receive(connection, 1)[0]["timestamp"] % 0.5 for connection in connections)
    for connection in connections:
        connection.close()
    around = [*phases, phases[0] + 0.5]
    assert max(after - before for before, after in itertools.pairwise(around)) < 0.35


def test_an_echo_returns_every_field_with_a_timestamp(target: Target) -> None:
    connection = target.websocket(run_id=None)
    connection.send(json.dumps({"action": "echo", "payload": {"a": [1, "é"]}, "sent_at": 12.5}))
    reply = json.loads(connection.recv())
    connection.close()
    assert abs(time.time() - reply.pop("timestamp")) < 1
    assert reply == {"type": "echo", "payload": {"a": [1, "é"]}, "sent_at": 12.5}


def test_a_subscription_to_one_run_brings_only_that_run_and_ends_on_request(target: Target) -> None:
    connection = target.websocket("?rate=50", run_id="7")
    assert {message["run_id"] for message in receive(connection, 5)} == {"7"}
    connection.send(json.dumps({"action": "unsubscribe", "run_id": "7"}))
    while (reply := json.loads(connection.recv()))["type"] != "unsubscribed":
        pass
    connection.settimeout(0.2)
    with pytest.raises(websocket.WebSocketTimeoutException):
        connection.recv()
    connection.settimeout(5)
    connection.send(json.dumps({"action": "subscribe", "run_id": "*"}))
    again, following = receive(connection, 2)
    connection.close()
    assert again["sequence"] == reply["sequence"]
    assert following["sequence"] == again["sequence"] + 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "invalid_json"),
        ("[1]", "not_an_object"),
        ('{"action": "fly"}', "unknown_action"),
        ('{"action": "subscribe"}', "bad_run_id"),
        ('{"action": "unsubscribe", "run_id": "9"}', "not_subscribed"),
    ],
)
def test_a_bad_message_is_answered_and_the_connection_lives_on(target: Target, text: str, code: str) -> None:
    connection = target.websocket("?rate=0", run_id=None)
    connection.send(text)
    reply = json.loads(connection.recv())
    assert (reply["type"], reply["code"]) == ("error", code)
    assert "sequence" not in reply
    connection.send('{"action": "echo"}')
    assert json.loads(connection.recv())["type"] == "echo"
    connection.close()


@pytest.mark.parametrize("rate", ["fast", "-1", "nan", "100000"])
def test_a_bad_rate_refuses_the_handshake_and_says_why(target: Target, rate: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        target.websocket(f"?rate={rate}")
    assert refused.value.status_code == 422
    assert rate in str(refused.value.resp_body)


def test_open_connections_and_messages_are_counted(target: Target) -> None:
    connection = target.websocket("?rate=100")
    assert target.metric("websocket_connections") == 1
    receive(connection, 5)
    assert target.metric('websocket_messages_sent_total{type="progress"}') > 0
    connection.close()
    assert eventually(lambda: target.metric("websocket_connections") == 0)
