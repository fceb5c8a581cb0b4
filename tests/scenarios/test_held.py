"""What a held connection asks for: when, and what is done with the answers."""

from random import Random
from typing import cast

import pytest

from clients.errors import TimedOut
from clients.websocket import Connection
from plans.mix import WebSocketMix
from scenarios.held import Asking, Resuming, back_off


class Wire:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.pings: list[bytes] = []
        self.texts: list[str] = []

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def send(self, text: str) -> None:
        self.texts.append(text)


def speak(asking: Asking, wire: Wire, now: float) -> None:
    asking.speak(cast(Connection, wire), now)


def test_pauses_double_up_to_half_a_minute_and_differ() -> None:
    random = Random(1)
    for failed, longest in ((0, 1), (1, 2), (4, 16), (5, 30), (50, 30)):
        pauses = [back_off(failed, random) for _ in range(200)]
        assert longest / 2 <= min(pauses) < 0.55 * longest
        assert 0.95 * longest < max(pauses) <= longest


def test_pings_and_echoes_are_sent_at_their_rates() -> None:
    asking, wire = Asking(WebSocketMix(connections=1, echo=4, ping=2), 100.0, Random(1)), Wire()
    now = 100.0
    while now < 120:
        speak(asking, wire, now)
        for payload in wire.pings:
            asking.pinged(payload)
        now += asking.pause(now) + 1e-6
    assert len(wire.pings) == 10
    assert len(wire.texts) == pytest.approx(80, abs=1)
    assert len(set(wire.texts)) == len(wire.texts)


def test_an_echo_counts_once_and_a_strange_one_never() -> None:
    asking, wire = Asking(WebSocketMix(connections=1, echo=1, ping=None), 0.0, Random(1)), Wire()
    speak(asking, wire, 1.0)
    assert asking.echoed({"type": "news", "number": 0}) is None
    assert asking.echoed({"type": "echo", "number": 7}) is None
    assert asking.echoed({"type": "echo", "number": 0}) == 1.0
    assert asking.echoed({"type": "echo", "number": 0}) is None


def test_what_is_not_answered_in_time_is_told_once() -> None:
    asking, wire = Asking(WebSocketMix(connections=1, echo=1, ping=None), 0.0, Random(1)), Wire()
    speak(asking, wire, 1.0)
    assert asking.unanswered(1.0) == []
    assert asking.unanswered(1.1) == [1.0]
    assert asking.unanswered(1.1) == []


def test_a_connection_without_a_pong_is_dead() -> None:
    asking, wire = Asking(WebSocketMix(connections=1, ping=1, timeout=5), 0.0, Random(1)), Wire()
    speak(asking, wire, 1.0)
    speak(asking, wire, 5.9)
    with pytest.raises(TimedOut, match="no pong within 5 s"):
        speak(asking, wire, 6.1)


def test_a_session_is_resumed_after_the_highest_number_and_keeps_its_own_number() -> None:
    resuming = Resuming()
    assert resuming.request() == {"action": "subscribe", "run_id": "*"}
    assert resuming.take({"type": "subscribed", "sequence": 0, "session": "a", "resumed": False}, 3) == 3
    for sequence in (1, 3, 2):
        assert resuming.take({"type": "news", "sequence": sequence}, 3) == 3

    assert resuming.request() == {"action": "subscribe", "run_id": "*", "session": "a", "after": 3}
    assert resuming.take({"type": "subscribed", "sequence": 3, "session": "a", "resumed": True}, 8) == 3
    # a server that could not
    assert resuming.take({"type": "subscribed", "sequence": 0, "session": "b", "resumed": False}, 9) == 9
    assert resuming.request()["session"] == "b"


def test_a_server_without_sessions_is_never_asked_to_resume() -> None:
    resuming = Resuming()
    resuming.take({"type": "subscribed", "sequence": 4}, 1)
    resuming.take({"type": "news", "sequence": 5}, 1)
    assert resuming.request() == {"action": "subscribe", "run_id": "*"}
