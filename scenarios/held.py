"""What a held connection asks of its server besides its messages: pings, echoes, and where to go on after a loss."""

import itertools
import json
import math
from random import Random
from typing import Any

from clients.errors import TimedOut
from clients.websocket import Connection
from plans.mix import WebSocketMix

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


def back_off(failed: int, random: Random) -> float:
    """Return how long to wait before the next connect: doubled after each failure, and never the same for all.

    Without the jitter clients that were thrown out together would come back together.
    """
    return min(_FIRST_PAUSE_S * 2.0**failed, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)


class Resuming:
    """Where the messages of a lost connection ended, for a server that can go on from there.

    Such a server names a `session` when it acknowledges a subscription. With `session` and `after` in the next
    request it sends what came after that number, and its acknowledgement says `resumed: true`.
    """

    def __init__(self) -> None:
        self._session: str | None = None
        self._number = 0
        self._last = 0

    def request(self) -> dict[str, Any]:
        """Return the subscription to send on a new connection."""
        request = {"action": "subscribe", "run_id": "*"}
        if self._session is None:
            return request
        return request | {"session": self._session, "after": self._last}

    def take(self, message: dict[str, Any], number: int) -> int:
        """Remember what a message says and return the number of the connection whose sequence it belongs to."""
        sequence = message.get("sequence")
        if message.get("type") == "subscribed":
            session = message.get("session")
            if message.get("resumed") is True and session == self._session:
                return self._number
            self._session, self._number = session if isinstance(session, str) else None, number
            self._last = 0
        if isinstance(sequence, int):
            self._last = max(self._last, sequence)
        return number


class Asking:
    """The pings and echoes of one connection: when each is due, and which wait for their answer."""

    def __init__(self, options: WebSocketMix, opened: float, random: Random) -> None:
        """Begin at a random place in the period of each, so that connections do not ask together."""
        self._timeout = options.timeout
        self._ping_every = options.ping or math.inf
        self._echo_every = 1 / options.echo if options.echo else math.inf
        self._next_ping = opened + self._ping_every * random.random() if options.ping else math.inf
        self._next_echo = opened + self._echo_every * random.random() if options.echo else math.inf
        self._numbers = itertools.count()
        self._pings: dict[bytes, float] = {}
        self._echoes: dict[int, float] = {}

    def pause(self, now: float) -> float:
        """Return the seconds until something is due."""
        return max(min(self._next_ping, self._next_echo) - now, 0.0)

    def speak(self, connection: Connection, now: float) -> None:
        """Send what is due. Raises ConnectionLost, and TimedOut when a ping has had no pong."""
        if any(now - sent > self._timeout for sent in self._pings.values()):
            raise TimedOut(f"no pong within {self._timeout:g} s")
        if now >= self._next_ping:
            payload = b"%d" % next(self._numbers)
            self._pings[payload] = now
            self._next_ping = max(self._next_ping + self._ping_every, now)
            connection.ping(payload)
        if now >= self._next_echo:
            number = next(self._numbers)
            self._echoes[number] = now
            self._next_echo = max(self._next_echo + self._echo_every, now)
            connection.send(json.dumps({"action": "echo", "number": number, "sent": now}))

    def pinged(self, payload: bytes) -> float | None:
        """Return when the ping with this pong was sent; None for a pong that nobody asked for."""
        return self._pings.pop(payload, None)

    def echoed(self, message: dict[str, Any]) -> float | None:
        """Return when the message that this one gives back was sent; None when it is no echo, or one seen before."""
        number = message.get("number")
        is_echo = "echo" in (message.get("type"), message.get("action"))
        return self._echoes.pop(number, None) if is_echo and isinstance(number, int) else None

    def unanswered(self, before: float) -> list[float]:
        """Return when the echoes were sent that have not come, of those sent before a moment, and forget them."""
        late = {number: sent for number, sent in self._echoes.items() if sent < before}
        for number in late:
            del self._echoes[number]
        return list(late.values())
