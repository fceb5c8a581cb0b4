"""Live updates of evaluation runs over WebSocket: subscriptions, paced messages and an echo.

Pushed messages carry a `sequence` that rises by one per connection, and a `timestamp` taken right before the
send, so that a client can tell lost from late. Connections get different phases: their messages do not all
leave at once. Who comes back with the `session` of its acknowledgement and the last number it has goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import time
import uuid
from collections import deque

from fastapi import APIRouter, WebSocket
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

from .faults import Faults
from .telemetry import Telemetry

PATH = "/ws/evaluations"
DEFAULT_RATE = 2.0
MAX_RATE = 1000.0
EVERY_RUN = "*"
MAX_SUBSCRIPTIONS = 1000
KEPT_MESSAGES = 100
"""How many of a client's last messages can be sent to it once more."""
KEPT_SESSIONS = 10_000
"""How many clients that left are remembered."""
GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, taken modulo 1, spread evenly however many there are."""


class BadMessageError(Exception):
    """A message that the server does not follow; answered, never punished by closing."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Sequence:
    """The numbered messages of one client, over all its connections."""

    def __init__(self) -> None:
        self.session = uuid.uuid4().hex
        self.last = 0
        self.sent: deque[tuple[int, str, float]] = deque(maxlen=KEPT_MESSAGES)
        """Number, run and moment of the latest messages."""

    def after(self, number: int) -> list[tuple[int, str, float]] | None:
        """Return what was sent after a number; None when that is not known any more, or never was."""
        forgotten = self.sent[0][0] - 1 if len(self.sent) == KEPT_MESSAGES else 0
        return [one for one in self.sent if one[0] > number] if forgotten <= number <= self.last else None


class Updates:
    """Every open connection of the server."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.telemetry: Telemetry | None = None
        self.open = 0
        self._left: dict[str, Sequence] = {}
        self._numbers = itertools.count()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection from its handshake to its end."""
        rate = rate_of(websocket.query_params.get("rate"))
        if rate is None:
            given = websocket.query_params.get("rate")
            detail = f"rate must be a number from 0 to {MAX_RATE:g} (messages per second), got {given!r}"
            await websocket.send_denial_response(JSONResponse({"detail": detail}, 422))
            return
        await websocket.accept()
        connection = Connection(self, websocket, rate, phase=next(self._numbers) * GOLDEN % 1.0)
        self.open += 1
        try:
            await connection.serve()
        finally:
            self.open -= 1

    def leave(self, sequence: Sequence) -> None:
        """Remember a client whose connection has ended."""
        self._left[sequence.session] = sequence
        if len(self._left) > KEPT_SESSIONS:
            del self._left[next(iter(self._left))]

    def come_back(self, session: object) -> Sequence | None:
        """Return the messages of a client that had left, and forget that it had."""
        return self._left.pop(session, None) if isinstance(session, str) else None

    def count(self, kind: str) -> None:
        """Count one message that was sent."""
        if self.telemetry is not None:
            self.telemetry.websocket_messages.labels(kind).inc()


class Connection:
    """One client: what it subscribed to and how far its sequence is."""

    def __init__(self, updates: Updates, websocket: WebSocket, rate: float, phase: float) -> None:
        self._updates = updates
        self._websocket = websocket
        self._rate = rate
        self._phase = phase
        self._subscribed: list[str] = []
        self._sequence = Sequence()
        self._pusher: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Read until the client leaves; pushing goes on beside it."""
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._handle(message.get("text"))
        except (WebSocketDisconnect, RuntimeError):
            # Starlette raises RuntimeError for a send or receive after the close; both mean that nobody is
            # there.
            return
        finally:
            if self._pusher is not None:
                self._pusher.cancel()
                self._updates.leave(self._sequence)

    async def _handle(self, text: str | None) -> None:
        try:
            request = _parsed(text)
            action = request.get("action")
            if action == "subscribe":
                await self._subscribe(_run_id(request), request.get("session"), request.get("after"))
            elif action == "unsubscribe":
                run_id = _run_id(request)
                if run_id not in self._subscribed:
                    raise BadMessageError("not_subscribed", f"there is no subscription to {run_id!r}")
                self._subscribed.remove(run_id)
                await self._send({"type": "unsubscribed", "run_id": run_id, "sequence": self._sequence.last})
            elif action == "echo":
                fields = {name: value for name, value in request.items() if name != "action"}
                await self._send({**fields, "type": "echo"})
            else:
                known = "subscribe, unsubscribe or echo"
                raise BadMessageError("unknown_action", f"action must be {known}, got {action!r}")
        except BadMessageError as problem:
            await self._send({"type": "error", "code": problem.code, "message": str(problem)})

    async def _subscribe(self, run_id: str, session: object, after: object) -> None:
        if run_id not in self._subscribed:
            if len(self._subscribed) >= MAX_SUBSCRIPTIONS:
                raise BadMessageError("too_many_subscriptions", f"at most {MAX_SUBSCRIPTIONS} per connection")
            self._subscribed.append(run_id)
        missed = self._resume(session, after)
        # The last sequence number in use: the first pushed message has the next one.
        number = self._sequence.last if missed is None else after
        reply = {"type": "subscribed", "run_id": run_id, "sequence": number, "rate": self._rate}
        await self._send(reply | {"session": self._sequence.session, "resumed": missed is not None})
        for one in missed or ():
            await self._send_news(*one)
        if self._pusher is None and self._rate > 0:
            self._pusher = asyncio.create_task(self._push(), name="websocket updates")

    def _resume(self, session: object, after: object) -> list[tuple[int, str, float]] | None:
        """Go on with the messages of an earlier connection, and return those that it did not bring."""
        earlier = self._updates.come_back(session) if self._pusher is None and isinstance(after, int) else None
        missed = earlier.after(after) if earlier is not None and isinstance(after, int) else None
        if earlier is not None and missed is not None:
            self._sequence = earlier
        return missed

    async def _push(self) -> None:
        period = 1.0 / self._rate
        due = time.monotonic() + self._phase * period
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._updates.faults.stalled:
                    await self._updates.faults.wait_while_stalled()
                if time.monotonic() - due > 1.0:
                    # After a stall the rate goes on from now; a burst of old news would be no update.
                    due = time.monotonic()
                due += period
                if self._subscribed and not await self._push_one():
                    return

    async def _push_one(self) -> bool:
        """Send the next message; false when the connection was closed instead."""
        faults = self._updates.faults
        if faults.strikes("ws_drop"):
            await self._websocket.close(1011, "internal error")
            return False
        number = self._sequence.last = self._sequence.last + 1
        if not faults.strikes("ws_loss"):
            run_id = self._subscribed[number % len(self._subscribed)]
            if run_id == EVERY_RUN:
                run_id = str(1 + number % 20)
            self._sequence.sent.append((number, run_id, time.time()))
            await self._send_news(*self._sequence.sent[-1])
        return True

    async def _send_news(self, number: int, run_id: str, moment: float) -> None:
        kind, data = _news(number - 1)
        await self._send({"type": kind, "run_id": run_id, "sequence": number, "data": data}, moment)

    async def _send(self, message: dict[str, object], moment: float | None = None) -> None:
        message["timestamp"] = time.time() if moment is None else moment
        await self._websocket.send_text(json.dumps(message, separators=(",", ":")))
        self._updates.count(str(message["type"]))


def router(updates: Updates) -> APIRouter:
    """The WebSocket route."""
    routes = APIRouter()
    routes.add_api_websocket_route(PATH, updates.serve)
    return routes


def rate_of(text: str | None) -> float | None:
    """Messages per second asked for in the URL (0 for none), or None when that is no such number."""
    if text is None:
        return DEFAULT_RATE
    try:
        rate = float(text)
    except ValueError:
        return None
    return rate if 0 <= rate <= MAX_RATE else None


def _parsed(text: str | None) -> dict[str, object]:
    if text is None:
        raise BadMessageError("not_text", "messages are text frames")
    try:
        request = json.loads(text)
    except ValueError:
        raise BadMessageError("invalid_json", "the message is not valid JSON") from None
    if not isinstance(request, dict):
        raise BadMessageError("not_an_object", "the message must be a JSON object")
    return request


def _run_id(request: dict[str, object]) -> str:
    run_id = request.get("run_id")
    if isinstance(run_id, bool) or not isinstance(run_id, str | int) or not str(run_id):
        raise BadMessageError("bad_run_id", f"run_id must be the id of a run or '*', got {run_id!r}")
    return str(run_id)


def _news(number: int) -> tuple[str, dict[str, object]]:
    """Type and data of the message `number` (from 0): of twenty, fourteen are progress."""
    done = number % 10 + 1
    metrics = {"accuracy": round(0.7 + done / 50, 3), "latency_ms": 400.0 + 5 * done}
    if number % 20 == 18:
        return "error", {"code": "sample_failed", "message": "one sample was not graded", "retried": True}
    if done == 10:
        return "completion", {"status": "completed", "metrics": metrics}
    if done in {1, 6} and number % 20 != 15:
        return "run_update", {"status": "running", "metrics": metrics}
    return "progress", {"status": "running", "percent": done * 10, "completed": done * 10, "total": 100}
