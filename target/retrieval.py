"""Embeddings and rerank: texts that share words are near each other, and every request takes its place in the batch."""

from __future__ import annotations

import base64
import math
import random
import struct
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, Field

from .engine import Engine
from .prose import key_words, tokens_of


class EmbeddingRequest(BaseModel):
    """Body of POST /v1/embeddings."""

    model: str = Field(min_length=1, max_length=200)
    input: str | list[str] = Field(min_length=1)
    dimensions: int = Field(default=64, ge=1, le=4096)
    encoding_format: Literal["float", "base64"] = "float"


class RerankRequest(BaseModel):
    """Body of POST /v1/rerank."""

    model: str = Field(min_length=1, max_length=200)
    query: str = Field(min_length=1)
    documents: list[str] = Field(min_length=1, max_length=1000)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False


async def embed(request: EmbeddingRequest, engine: Engine, seed: int) -> dict[str, object]:
    """The body of an embeddings response; raises `engine.RefusedError`."""
    texts = [request.input] if isinstance(request.input, str) else request.input
    tokens = sum(len(tokens_of(text)) for text in texts)
    await engine.submit(tokens, 1, speaks=False).reach(1)
    data: list[dict[str, object]] = []
    for index, text in enumerate(texts):
        vector = _vector(text, seed, request.dimensions)
        shown: object = vector
        if request.encoding_format == "base64":
            shown = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


async def rerank(request: RerankRequest, engine: Engine) -> dict[str, object]:
    """The body of a rerank response: the documents by how many words they share with the query."""
    # A cross-encoder reads the query together with each document.
    tokens = sum(len(tokens_of(request.query)) + len(tokens_of(document)) for document in request.documents)
    await engine.submit(tokens, 1, speaks=False).reach(1)
    scored = [(_likeness(request.query, document), -index) for index, document in enumerate(request.documents)]
    results: list[dict[str, object]] = []
    for score, place in sorted(scored, reverse=True)[: request.top_n]:
        result: dict[str, object] = {"index": -place, "relevance_score": round(score, 6)}
        if request.return_documents:
            result["document"] = {"text": request.documents[-place]}
        results.append(result)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"model": request.model, "results": results, "usage": usage}


def _likeness(query: str, document: str) -> float:
    asked, there = _words(query), _words(document)
    return len(asked & there) / math.sqrt(len(asked) * len(there)) if asked and there else 0.0


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in key_words(text))


def _vector(text: str, seed: int, dimensions: int) -> list[float]:
    """The sum of its words' vectors, of length 1; a text without words of its own has the one of the whole text."""
    words = sorted(_words(text)) or [text]
    values = [sum(column) for column in zip(*(_word(word, seed, dimensions) for word in words), strict=True)]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [round(value / length, 8) for value in values]


@lru_cache(maxsize=4096)
def _word(word: str, seed: int, dimensions: int) -> tuple[float, ...]:
    rng = random.Random(f"{seed}:{word}")
    return tuple(rng.gauss(0.0, 1.0) for _ in range(dimensions))
