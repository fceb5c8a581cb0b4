"""Chat sessions of an assistant: context that grows in real memory, compaction, tools, expiry."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from . import assistant
from .assistant import TOOLS, BadCallError
from .contexts import Compaction, Context, Role
from .faults import Faults

ROOT = "/api/v1/sessions"
LEAK = "session_leak"
MAX_SESSIONS = 10_000
MAX_MESSAGES = 100_000
"""Longest context of a session; the next message is refused with 409."""
_SWEEP_S = 1.0
_PIECES = 8
"""A streamed reply comes in about so many events."""
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class NewSession(BaseModel):
    """Body that opens a session."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field("", max_length=200)
    context_limit: int = Field(400, ge=10, le=MAX_MESSAGES, description="messages beyond which it compacts by itself")
    idle_s: float = Field(1800, gt=0, le=86400, description="seconds without a request after which it is removed")


class Turn(BaseModel):
    """Body of a message."""

    model_config = ConfigDict(extra="forbid")
    content: str = Field(min_length=1, max_length=20_000)
    stream: bool = False


class Keep(BaseModel):
    """Body that asks for a compaction."""

    model_config = ConfigDict(extra="forbid")
    keep: int = Field(20, ge=0, le=MAX_MESSAGES, description="last messages that stay as they are")


class Call(BaseModel):
    """Body of a tool call."""

    model_config = ConfigDict(extra="forbid")
    arguments: dict[str, str] = Field(default_factory=dict)


@dataclass(slots=True)
class ChatSession:
    """One conversation."""

    id: str
    title: str
    context_limit: int
    idle_s: float
    touched: float
    context: Context = field(default_factory=Context)
    turns: int = 0

    def size(self) -> dict[str, int]:
        """What its context holds."""
        return {"messages": len(self.context), "tokens": self.context.tokens, "bytes": self.context.bytes}

    def shown(self) -> dict[str, object]:
        """As the routes return it."""
        own = {"id": self.id, "title": self.title, "turns": self.turns, "context": self.size()}
        return own | {"context_limit": self.context_limit, "idle_s": self.idle_s}


@dataclass(slots=True)
class Counts:
    """What was done since the start."""

    created: int = 0
    deleted: int = 0
    expired: int = 0
    turns: int = 0
    tool_calls: int = 0
    compactions: int = 0


class Sessions:
    """All sessions of one server."""

    def __init__(
        self, faults: Faults, seed: int, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts = Counts()
        self.open: dict[str, ChatSession] = {}
        self.leaked: list[Context] = []
        """Contexts that were not freed, by the fault."""
        self._faults, self._seed, self._clock = faults, seed, clock
        self._sweeper: asyncio.Task[None] | None = None
        text = "Seconds of each compaction of a context."
        self._compaction_seconds = Histogram("session_compaction_seconds", text, buckets=_BUCKETS_S, registry=registry)
        registry.register(_Figures(self))

    def start(self) -> None:
        """Begin to remove what is idle for too long."""
        self._sweeper = asyncio.create_task(self._keep_sweeping(), name="session expiry")

    async def stop(self) -> None:
        """Free everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        for context in [*self.leaked, *(session.context for session in self.open.values())]:
            context.close()
        self.open.clear()
        self.leaked.clear()

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Remove the sessions that are idle for too long, and free what the fault kept when it is off again."""
        now = self._clock()
        for session in [one for one in self.open.values() if now - one.touched > one.idle_s]:
            self.counts.expired += 1
            self._remove(session)
        if self._faults.get(LEAK) is None:
            for context in self.leaked:
                context.close()
            self.leaked.clear()

    def create(self, wanted: NewSession) -> ChatSession:
        """Open a session. Raises HTTPException (503) when there are too many."""
        if len(self.open) >= MAX_SESSIONS:
            raise HTTPException(503, f"there are {MAX_SESSIONS} sessions already", {"retry-after": "1"})
        session = ChatSession(uuid.uuid4().hex, wanted.title, wanted.context_limit, wanted.idle_s, self._clock())
        self.open[session.id] = session
        self.counts.created += 1
        return session

    def find(self, session_id: str) -> ChatSession:
        """Return a session, which is in use by that. Raises HTTPException (404)."""
        session = self.open.get(session_id)
        if session is None:
            raise HTTPException(404, "there is no such session: it was removed, has expired, or never was")
        session.touched = self._clock()
        return session

    def delete(self, session_id: str) -> None:
        """Remove a session and give its memory back. Raises HTTPException (404)."""
        self._remove(self.find(session_id))
        self.counts.deleted += 1

    def _remove(self, session: ChatSession) -> None:
        del self.open[session.id]
        if self._faults.strikes(LEAK):
            self.leaked.append(session.context)
        else:
            session.context.close()

    def say(self, session: ChatSession, content: str) -> dict[str, Any]:
        """Take a turn: answer out of the context, keep both messages, compact beyond the limit."""
        reply = assistant.reply(session.context, content, self._seed)
        self._keep(session, Role.USER, content)
        self._keep(session, Role.ASSISTANT, reply)
        session.turns += 1
        self.counts.turns += 1
        over = len(session.context) > session.context_limit
        compaction = self.compact(session, session.context_limit // 2).described() if over else None
        turn = {"session_id": session.id, "turn": session.turns, "role": "assistant", "content": reply}
        return turn | {"context": session.size(), "compaction": compaction}

    def call(self, session: ChatSession, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        """Carry out a tool call, and keep its result. Raises HTTPException (404, 422)."""
        try:
            result = assistant.call(name, arguments, session.context)
        except KeyError:
            raise HTTPException(404, f"there is no tool {name!r}; there are: {', '.join(TOOLS)}") from None
        except BadCallError as problem:
            raise HTTPException(422, str(problem)) from None
        self._keep(session, Role.TOOL, f"{name}: {json.dumps(result, ensure_ascii=False)}")
        self.counts.tool_calls += 1
        return {"session_id": session.id, "tool": name, "result": result, "context": session.size()}

    def compact(self, session: ChatSession, keep: int) -> Compaction:
        """Replace all but the last messages by a summary."""
        done = session.context.compact(keep)
        self.counts.compactions += 1
        self._compaction_seconds.observe(done.seconds)
        return done

    def _keep(self, session: ChatSession, role: Role, text: str) -> None:
        if len(session.context) >= MAX_MESSAGES:
            raise HTTPException(409, f"the session has {MAX_MESSAGES} messages: compact it")
        session.context.add(role, text)


class _Figures(Collector):
    """Figures that are read from the live objects at each scrape."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def collect(self) -> Iterator[Metric]:
        """Yield one family per figure."""
        contexts = [session.context for session in self._sessions.open.values()]
        leaked = sum(context.bytes for context in self._sessions.leaked)
        yield GaugeMetricFamily("sessions_open", "Chat sessions.", len(contexts))
        yield GaugeMetricFamily("session_messages", "Messages in their contexts.", sum(map(len, contexts)))
        yield GaugeMetricFamily("session_bytes", "Bytes of their contexts.", sum(context.bytes for context in contexts))
        yield GaugeMetricFamily("session_leaked_bytes", "Bytes that the fault session_leak keeps.", leaked)
        counts = self._sessions.counts
        for name, text, value in (
            ("sessions_created", "Chat sessions opened.", counts.created),
            ("sessions_deleted", "Chat sessions removed on request.", counts.deleted),
            ("sessions_expired", "Chat sessions removed because nobody used them.", counts.expired),
            ("session_turns", "Turns taken.", counts.turns),
            ("session_tool_calls", "Tool calls carried out.", counts.tool_calls),
            ("session_compactions", "Compactions of a context.", counts.compactions),
        ):
            yield CounterMetricFamily(name, text, value)


def router(sessions: Sessions) -> APIRouter:
    """The routes under /api/v1/sessions."""
    routes = APIRouter(tags=["sessions"])
    _life(routes, sessions)
    _work(routes, sessions)
    return routes


def _life(routes: APIRouter, sessions: Sessions) -> None:
    @routes.post(ROOT, status_code=201, response_model=None, summary="Open a session")
    async def create(wanted: NewSession) -> Response:
        session = sessions.create(wanted)
        return JSONResponse(session.shown(), 201, {"location": f"{ROOT}/{session.id}"})

    @routes.get(ROOT, response_model=None, summary="List sessions, oldest first")
    async def listed(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> Response:
        here = itertools.islice(sessions.open.values(), (page - 1) * limit, page * limit)
        return JSONResponse({"items": [one.shown() for one in here], "total": len(sessions.open), "page": page})

    @routes.get(f"{ROOT}/{{session_id}}", response_model=None, summary="One session, with its last messages")
    async def get(session_id: str, messages: Annotated[int, Query(ge=0, le=100)] = 0) -> Response:
        session = sessions.find(session_id)
        context, first = session.context, max(len(session.context) - messages, 0)
        last = [{"role": context.role(n).name.lower(), "content": context.text(n)} for n in range(first, len(context))]
        return JSONResponse(session.shown() | {"messages": last})

    @routes.delete(f"{ROOT}/{{session_id}}", status_code=204, response_model=None, summary="Remove a session")
    async def delete(session_id: str) -> Response:
        sessions.delete(session_id)
        return Response(status_code=204)


def _work(routes: APIRouter, sessions: Sessions) -> None:
    @routes.post(
        f"{ROOT}/{{session_id}}/messages", response_model=None, summary="Say something; the reply, or its stream"
    )
    async def say(session_id: str, turn: Turn) -> Response:
        answer = sessions.say(sessions.find(session_id), turn.content)
        if turn.stream:
            return StreamingResponse(_events(answer), media_type="text/event-stream")
        return JSONResponse(answer)

    @routes.post(f"{ROOT}/{{session_id}}/compact", response_model=None, summary="Replace old messages by a summary")
    async def compact(session_id: str, wanted: Keep) -> Response:
        session = sessions.find(session_id)
        done = sessions.compact(session, wanted.keep)
        return JSONResponse({"session_id": session_id, "context": session.size(), "compaction": done.described()})

    @routes.post(f"{ROOT}/{{session_id}}/tools/{{tool}}", response_model=None, summary="Carry out a tool call")
    async def tool(session_id: str, tool: str, call: Call) -> Response:
        return JSONResponse(sessions.call(sessions.find(session_id), tool, call.arguments))


async def _events(answer: dict[str, Any]) -> AsyncIterator[bytes]:
    """The reply in pieces, then what is known of the turn without it."""
    text = str(answer.pop("content"))
    size = -(-len(text) // _PIECES)
    for begin in range(0, len(text), size):
        yield _event({"delta": text[begin : begin + size]})
    yield _event({"done": answer})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
