"""The OpenAI-compatible routes: chat completions, completions, embeddings and the list of models."""

from __future__ import annotations

import asyncio
import base64
import random
import struct
import time
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from .answers import answer
from .engine import Engine
from .errors import ModelError
from .faults import Faults
from .options import Options
from .prose import garbled, lengthened, looping, tokens_of
from .streams import Answer, Completion, CompletionStream, Fate, Frame

CONTEXT_TOKENS = 32_768
TEMPLATE_TOKENS = 4
"""What a chat template adds to each message."""

STREAM_FAULTS = {
    "drop_stream": Fate.DROPPED,
    "truncate_stream": Fate.TRUNCATED,
    "stream_error": Fate.ERROR,
}


class Part(BaseModel):
    """A part of a message's content; only text is read."""

    type: str
    text: str = ""


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None

    def text(self) -> str:
        """The content as text."""
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content)
        return self.content or ""


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


class ChatRequest(Sampling):
    """Body of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    response_format: ResponseFormat | None = None


class CompletionRequest(Sampling):
    """Body of POST /v1/completions."""

    prompt: str | list[str] = Field(min_length=1)


class EmbeddingRequest(BaseModel):
    """Body of POST /v1/embeddings."""

    model: str = Field(min_length=1, max_length=200)
    input: str | list[str] = Field(min_length=1)
    dimensions: int = Field(default=64, ge=1, le=4096)
    encoding_format: Literal["float", "base64"] = "float"


class Model:
    """Turns checked requests into work for the engine."""

    def __init__(self, options: Options, engine: Engine, faults: Faults) -> None:
        self._options = options
        self._engine = engine
        self._faults = faults

    def complete(self, request: Sampling, prompt: str, prompt_tokens: int, limit: int | None, chat: bool) -> Response:
        """The response to one completion of either kind; raises `ModelError` and `engine.RefusedError`."""
        self.check_model(request.model)
        if prompt_tokens + (limit or 0) > CONTEXT_TOKENS:
            asked = f"{prompt_tokens} prompt tokens and {limit or 0} requested ones"
            message = f"The context holds {CONTEXT_TOKENS} tokens; the request has {asked}."
            raise ModelError(400, "context_length_exceeded", message)
        planned = self._answer(request, prompt, prompt_tokens, limit)
        generation = self._engine.submit(prompt_tokens, len(planned.tokens))
        frame = Frame(request.model, chat)
        if not request.stream:
            return Completion(generation, planned, frame)
        usage = request.stream_options is not None and request.stream_options.include_usage
        return CompletionStream(
            generation,
            planned,
            frame,
            include_usage=usage,
            per_event=self._options.tokens_per_event,
            fate=self._fate(),
        )

    def check_model(self, name: str) -> None:
        """Refuse an unknown model, if the server was told to be strict."""
        if self._options.strict_models and name not in self._options.models:
            known = ", ".join(self._options.models)
            raise ModelError(404, "model_not_found", f"There is no model {name!r}; there are: {known}.")

    async def embed(self, request: EmbeddingRequest) -> dict[str, object]:
        """The body of an embeddings response; takes the prefill time of its tokens."""
        self.check_model(request.model)
        texts = [request.input] if isinstance(request.input, str) else request.input
        tokens = sum(len(tokens_of(text)) for text in texts)
        await asyncio.sleep(tokens * self._options.engine.prefill_us_per_token / 1e6)
        data: list[dict[str, object]] = []
        for index, text in enumerate(texts):
            vector = _vector(text, self._options.seed, request.dimensions)
            shown: object = vector
            if request.encoding_format == "base64":
                shown = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": shown})
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": request.model, "usage": usage}

    def _answer(self, request: Sampling, prompt: str, prompt_tokens: int, limit: int | None) -> Answer:
        wants_json = isinstance(request, ChatRequest) and request.response_format is not None
        as_json = wants_json and request.response_format.type != "text"  # type: ignore[attr-defined]
        text = answer(prompt, self._options.seed, as_json)
        for mark in [request.stop] if isinstance(request.stop, str) else request.stop or []:
            text = text.partition(mark)[0] if mark else text
        tokens = tokens_of(text)
        least = limit or CONTEXT_TOKENS // 16 if request.ignore_eos else request.min_tokens
        if len(tokens) < least:
            tokens = lengthened(tokens, prompt, self._options.seed, min(least, CONTEXT_TOKENS))
        if self._faults.strikes("empty"):
            tokens = ()
        elif self._faults.strikes("garble"):
            tokens = garbled(tokens, prompt, self._options.seed)
        elif self._faults.strikes("loop"):
            tokens = looping(tokens)
        if limit is not None and len(tokens) > limit:
            return Answer(tokens[:limit], "length", prompt_tokens)
        reached = request.ignore_eos and len(tokens) == limit
        return Answer(tokens, "length" if reached else "stop", prompt_tokens)

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
        texts = [message.text() for message in request.messages]
        asked = [message.text() for message in request.messages if message.role == "user"]
        if not asked:
            raise ModelError(400, "invalid_value", "messages: at least one message must have the role 'user'")
        prompt_tokens = sum(len(tokens_of(text)) + TEMPLATE_TOKENS for text in texts)
        limit = request.max_completion_tokens or request.max_tokens
        return model.complete(request, asked[-1], prompt_tokens, limit, chat=True)

    @routes.post("/v1/completions", response_model=None, summary="Continue a text")
    async def completions(request: CompletionRequest) -> Response:
        if isinstance(request.prompt, list) and len(request.prompt) != 1:
            raise ModelError(400, "invalid_value", f"prompt: one text per request, got {len(request.prompt)}")
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
        return model.complete(request, prompt, len(tokens_of(prompt)), request.max_tokens, chat=False)

    @routes.post("/v1/embeddings", response_model=None, summary="Embed texts")
    async def embeddings(request: EmbeddingRequest) -> Response:
        return JSONResponse(await model.embed(request))

    @routes.get("/v1/models", response_model=None, summary="List the models")
    async def models() -> Response:
        listed = [{"id": name, "object": "model", "created": started, "owned_by": "target"} for name in options.models]
        return JSONResponse({"object": "list", "data": listed})

    return routes


def _vector(text: str, seed: int, dimensions: int) -> list[float]:
    rng = random.Random(f"{seed}:{text}")
    values = [rng.gauss(0.0, 1.0) for _ in range(dimensions)]
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [round(value / length, 8) for value in values]
