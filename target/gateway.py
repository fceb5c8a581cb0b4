"""The outermost ASGI layer: counts every request and lets the faults that concern all routes strike.

Plain ASGI, because it sits in the way of every streamed token. /faults is exempt from every fault, so that
what was switched on can be switched off; /health and /metrics are exempt from all but a stall, which stops a
whole process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import openai_error
from .faults import STATIONS, Faults
from .telemetry import RouteNames, Telemetry

LOG = logging.getLogger("target")
OPERATIONS = frozenset({"/health", "/metrics"})


class Gateway:
    """Wraps the application; one instance serves the whole process."""

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        telemetry: Telemetry,
        routes: RouteNames,
        crash: Callable[[], None],
    ) -> None:
        self._app = app
        self._crash = crash
        self._inside = 0
        self._faults = faults
        self._telemetry = telemetry
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
            return
        try:
            await self._app(scope, receive, self._stallable(send))
        except Exception:
            LOG.exception("unhandled error in %s", scope.get("path"))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        path: str = scope["path"]
        exempt = path.startswith("/faults")
        faults, status = self._faults, 0

        async def watched(message: Message) -> None:
            nonlocal status
            if faults.stalled and not exempt:
                await faults.wait_while_stalled()
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._telemetry.in_progress.inc()
        self._inside += 1
        try:
            if exempt or path in OPERATIONS or not await self._struck(path, watched):
                await self._app(scope, receive, watched)
        except Exception:
            LOG.exception("unhandled error in %s %s", scope["method"], path)
            if status == 0:
                await _respond(watched, path, 500, "internal_error", "Internal server error.")
        finally:
            self._telemetry.in_progress.dec()
            self._inside -= 1
            elapsed = time.perf_counter() - begin
            self._telemetry.observe(scope["method"], self._routes.of(path), status, elapsed)

    async def _struck(self, path: str, send: Send) -> bool:
        """Apply the faults for this path; true when one of them has answered the request."""
        faults = self._faults
        kind = "llm" if path.startswith("/v1/") else "crud" if path.startswith("/api/") else "other"
        crash = faults.get("crash")
        if crash is not None and self._inside > crash.number("in_flight"):
            self._crash()
        if not await self._passed(kind):
            await _respond(send, path, 503, "overloaded", "The queue is full. Retry later.", retry_after_s=1)
            return True
        latency = faults.get("latency")
        if latency is not None and latency.covers(kind):
            await asyncio.sleep(latency.delay_s())
        if kind == "llm" and faults.get("unhealthy") is not None:
            await _respond(send, path, 503, "unhealthy", "The model is not available.", retry_after_s=1)
            return True
        if kind == "llm" and faults.strikes("reject"):
            await _respond(send, path, 429, "rate_limited", "Too many requests. Retry later.", retry_after_s=1)
            return True
        errors = faults.get("errors")
        if errors is not None and errors.covers(kind) and errors.strikes_now():
            await _respond(send, path, int(errors.number("status")), "injected_error", "The request failed.")
            return True
        return False

    async def _passed(self, kind: str) -> bool:
        """Wait for the turn of a request at each queue that is on for it; false when one is full."""
        for name in STATIONS:
            fault, station = self._faults.get(name), self._faults.station(name)
            if fault is not None and station is not None and fault.covers(kind) and not await station.passed():
                return False
        return True

    def _stallable(self, send: Send) -> Send:
        async def held(message: Message) -> None:
            if self._faults.stalled:
                await self._faults.wait_while_stalled()
            await send(message)

        return held


async def _respond(
    send: Send, path: str, status: int, code: str, message: str, *, retry_after_s: int | None = None
) -> None:
    detail = openai_error(status, code, message) if path.startswith("/v1/") else {"detail": message}
    body = json.dumps(detail).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
