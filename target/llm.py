"""The OpenAI-compatible routes: chat, completions, responses, embeddings, rerank and the list of models."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from . import retrieval
from .answers import answer
from .engine import Engine
from .errors import ModelError
from .faults import Faults
from .messages import Asked, Message, Tool
from .options import Options
from .prose import about, garbled, lengthened, looping, tokens_of
from .responses import ResponsesRequest, ResponsesWire
from .retrieval import EmbeddingRequest, RerankRequest
from .streams import Answer, Completion, CompletionStream, Fate, Frame, Wire
from .tools import call_for

CONTEXT_TOKENS = 32_768
THOUGHT_TOKENS = {"low": 12, "medium": 40, "high": 120}
"""How long the model thinks, by the effort that is asked for."""

STREAM_FAULTS = {
    "drop_stream": Fate.DROPPED,
    "truncate_stream": Fate.TRUNCATED,
    "stream_error": Fate.ERROR,
}


class StreamOptions(BaseModel):
    """What a stream carries besides the answer."""

    include_usage: bool = False


class ResponseFormat(BaseModel):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"] = "text"


class Sampling(BaseModel):
    """What chat and plain completions have in common; sampling parameters are checked and have no effect."""

    model: str = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    min_tokens: int = Field(default=0, ge=0)
    ignore_eos: bool = False
    stop: str | list[str] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    n: Literal[1] = 1
    seed: int | None = None

    def wishes(self, limit: int | None) -> Wishes:
        """How the answer is to be."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Wishes(limit, self.stream, self.ignore_eos, self.min_tokens, stop)

    def wants_usage(self) -> bool:
        """Whether a stream is to carry token counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampling):
    """Body of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    response_format: ResponseFormat | None = None
    tools: list[Tool] = Field(default_factory=list)
    tool_choice: Literal["auto", "required", "none"] = "auto"
    reasoning_effort: Literal["low", "medium", "high"] | None = None

    def asked(self) -> Asked:
        """What the model is to answer."""
        return Asked(
            messages=self.messages,
            tools=[] if self.tool_choice == "none" else [tool.function for tool in self.tools],
            must_call=self.tool_choice == "required",
            effort=self.reasoning_effort,
            as_json=self.response_format is not None and self.response_format.type != "text",
        )


class CompletionRequest(Sampling):
    """Body of POST /v1/completions."""

    prompt: str | list[str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an answer is to be, whichever endpoint it was asked through."""

    limit: int | None
    stream: bool
    ignore_eos: bool
    min_tokens: int
    stop: tuple[str, ...] = ()


class Model:
    """Turns checked requests into work for the engine."""

    def __init__(self, options: Options, engine: Engine, faults: Faults) -> None:
        self._options = options
        self._engine = engine
        self._faults = faults

    def complete(self, model: str, asked: Asked, prompt_tokens: int, wishes: Wishes, wire: Wire) -> Response:
        """The response to one question in a wire format; raises `ModelError` and `engine.RefusedError`."""
        self.check_model(model)
        limit = wishes.limit or 0
        if prompt_tokens + limit > CONTEXT_TOKENS:
            both = f"{prompt_tokens} prompt tokens and {limit} requested ones"
            message = f"The context holds {CONTEXT_TOKENS} tokens; the request has {both}."
            raise ModelError(400, "context_length_exceeded", message)
        planned = self._answer(asked, prompt_tokens, wishes)
        generation = self._engine.submit(prompt_tokens, len(planned.tokens))
        if not wishes.stream:
            return Completion(generation, planned, wire)
        per_event = self._options.tokens_per_event
        return CompletionStream(generation, planned, wire, per_event=per_event, fate=self._fate())

    def check_model(self, name: str) -> None:
        """Refuse an unknown model, if the server was told to be strict."""
        if self._options.strict_models and name not in self._options.models:
            known = ", ".join(self._options.models)
            raise ModelError(404, "model_not_found", f"There is no model {name!r}; there are: {known}.")

    def _answer(self, asked: Asked, prompt_tokens: int, wishes: Wishes) -> Answer:
        question, seed, result = asked.question(), self._options.seed, asked.result()
        thoughts: tuple[str, ...] = ()
        if asked.effort:
            thoughts = tokens_of(about(question, seed + 2, sentences=16))[: THOUGHT_TOKENS[asked.effort]]
        call = call_for(question, asked.tools, asked.must_call) if result is None else None
        if call is not None:
            tokens = thoughts + tokens_of(call.arguments)
            return _cut(tokens, "tool_calls", prompt_tokens, wishes, len(thoughts), call.name)
        text = answer(question, seed, asked.as_json) if result is None else f"The tool says: {result}"
        for mark in wishes.stop:
            text = text.partition(mark)[0] if mark else text
        tokens = self._spoilt(self._long_enough(tokens_of(text), question, len(thoughts), wishes), question)
        return _cut((*thoughts, *tokens) if tokens else (), "stop", prompt_tokens, wishes, len(thoughts))

    def _long_enough(self, tokens: tuple[str, ...], question: str, thoughts: int, wishes: Wishes) -> tuple[str, ...]:
        least = wishes.limit or CONTEXT_TOKENS // 16 if wishes.ignore_eos else wishes.min_tokens
        least = min(least, CONTEXT_TOKENS) - thoughts
        return lengthened(tokens, question, self._options.seed, least) if len(tokens) < least else tokens

    def _spoilt(self, tokens: tuple[str, ...], question: str) -> tuple[str, ...]:
        if self._faults.strikes("empty"):
            return ()
        if self._faults.strikes("garble"):
            return garbled(tokens, question, self._options.seed)
        return looping(tokens) if self._faults.strikes("loop") else tokens

    def _fate(self) -> Fate:
        for kind, fate in STREAM_FAULTS.items():
            if self._faults.strikes(kind):
                return fate
        return Fate.WHOLE


def router(options: Options, engine: Engine, faults: Faults) -> APIRouter:
    """The routes under /v1."""
    model = Model(options, engine, faults)
    routes = APIRouter(tags=["llm"], default_response_class=JSONResponse)
    started = int(time.time())

    @routes.post("/v1/chat/completions", response_model=None, summary="Answer a chat")
    async def chat(request: ChatRequest) -> Response:
        asked = request.asked()
        wire = Frame(request.model, chat=True, include_usage=request.wants_usage())
        limit = request.max_completion_tokens or request.max_tokens
        return model.complete(request.model, asked, asked.tokens(), request.wishes(limit), wire)

    @routes.post("/v1/completions", response_model=None, summary="Continue a text")
    async def completions(request: CompletionRequest) -> Response:
        if isinstance(request.prompt, list) and len(request.prompt) != 1:
            raise ModelError(400, "invalid_value", f"prompt: one text per request, got {len(request.prompt)}")
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
        asked = Asked(messages=[Message(role="user", content=prompt)])
        wire = Frame(request.model, chat=False, include_usage=request.wants_usage())
        return model.complete(request.model, asked, len(tokens_of(prompt)), request.wishes(request.max_tokens), wire)

    @routes.post("/v1/responses", response_model=None, summary="Answer items with items")
    async def responses(request: ResponsesRequest) -> Response:
        asked = request.asked()
        wishes = Wishes(request.max_output_tokens, request.stream, request.ignore_eos, request.min_tokens)
        return model.complete(request.model, asked, asked.tokens(), wishes, ResponsesWire(request.model))

    @routes.post("/v1/embeddings", response_model=None, summary="Embed texts")
    async def embeddings(request: EmbeddingRequest) -> Response:
        model.check_model(request.model)
        return JSONResponse(await retrieval.embed(request, engine, options.seed))

    @routes.post("/v1/rerank", response_model=None, summary="Sort documents by relevance")
    async def rerank(request: RerankRequest) -> Response:
        model.check_model(request.model)
        return JSONResponse(await retrieval.rerank(request, engine))

    @routes.get("/v1/models", response_model=None, summary="List the models")
    async def models() -> Response:
        listed = [{"id": name, "object": "model", "created": started, "owned_by": "target"} for name in options.models]
        return JSONResponse({"object": "list", "data": listed})

    return routes


def _cut(
    tokens: tuple[str, ...], reason: str, prompt_tokens: int, wishes: Wishes, thoughts: int, tool: str | None = None
) -> Answer:
    """The answer, no longer than was asked for; what does not get beyond its thoughts says nothing."""
    limit = wishes.limit
    if limit is not None and (len(tokens) > limit or (wishes.ignore_eos and len(tokens) == limit)):
        tokens, reason = tokens[:limit], "length"
    return Answer(tokens, reason, prompt_tokens, min(thoughts, len(tokens)), tool if len(tokens) > thoughts else None)
