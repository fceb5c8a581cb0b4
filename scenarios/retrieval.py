"""Embeddings and rerank: what a retrieval system asks of a model server, and what must be true of its answers."""

import json
import math
from typing import Any, ClassVar

from locust import task

from clients.http import Response
from data import prompts
from plans.mix import EmbeddingsMix, RerankMix
from samples.recorder import Failure
from samples.sample import Outcome, Protocol, Sample
from scenarios.answers import json_of, not_a
from scenarios.base import ArrivingUser
from scenarios.bodies import PROMPT, Template
from scenarios.dialects.base import count_of
from scenarios.session import Session

_OTHER_FORM = (TypeError, LookupError, AttributeError, ValueError)


class EmbeddingsUser(ArrivingUser):
    """Has texts embedded, `batch` at a time: as many vectors, all of one length, of finite numbers."""

    protocol = Protocol.LLM
    options: EmbeddingsMix
    texts: ClassVar[list[bytes]]
    template: ClassVar[Template]

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Encode the texts and the request."""
        options = session.plan.mix.EmbeddingsUser
        assert options is not None  # only the classes of the mix are prepared
        cls.texts = [prompt.content_json for prompt in prompts.load(options.prompts)]
        body = {"model": session.plan.target.model, "input": PROMPT, "encoding_format": "float"}
        cls.template = Template(body | dict(options.extra))

    @task
    def embed(self) -> None:
        """One request."""
        chosen = self.session.random(self.scenario).choices(self.texts, k=self.options.batch)
        body = self.template.filled(b"[" + b", ".join(chosen) + b"]", 0)
        with self.measure("embeddings") as attempt:
            response = self.exchange(attempt.sample, "POST", self.options.path, body)
            content = _counted(response, attempt.sample, "embeddings")
            try:
                sizes = [_size(entry["embedding"]) for entry in content["data"]]
            except _OTHER_FORM as error:
                raise not_a("embeddings", error) from None
            if len(sizes) != len(chosen) or len(set(sizes)) != 1:
                wanted = f"{len(chosen)} vectors of one length were asked for"
                raise Failure(Outcome.BAD_CONTENT, f"{wanted}, and {len(sizes)} came, of lengths {sorted(set(sizes))}")


class RerankUser(ArrivingUser):
    """Has documents sorted by relevance to a query; `quality` is 1 / the place of the one that is about it."""

    protocol = Protocol.LLM
    options: RerankMix
    texts: ClassVar[list[bytes]]
    head: ClassVar[bytes]
    """The request up to its query."""

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Encode the texts and the request."""
        options = session.plan.mix.RerankUser
        assert options is not None  # only the classes of the mix are prepared
        cls.texts = [json.dumps(prompt.text).encode() for prompt in prompts.load(options.prompts)]
        cls.head = json.dumps({"model": session.plan.target.model} | dict(options.extra))[:-1].encode() + b', "query": '

    @task
    def rerank(self) -> None:
        """One request."""
        options, random = self.options, self.session.random(self.scenario)
        documents = random.sample(self.texts, options.documents)
        about = random.randrange(len(documents))
        query = documents[about]
        documents[about] = b'"An answer to: ' + query[1:]
        body = self.head + query + b', "documents": [' + b", ".join(documents) + b"]}"
        with self.measure("rerank") as attempt:
            response = self.exchange(attempt.sample, "POST", options.path, body)
            content = _counted(response, attempt.sample, "rerank")
            try:
                order = _order(content, len(documents))
            except _OTHER_FORM as error:
                raise not_a("rerank", error) from None
            attempt.sample.quality = 1 / (order.index(about) + 1) if about in order else 0.0


def _counted(response: Response, sample: Sample, what: str) -> Any:
    """Return the JSON of an answer, with its token count in the sample."""
    content = json_of(response, what)
    usage = content.get("usage") if isinstance(content, dict) else None
    if isinstance(usage, dict):
        counts = (count_of(usage.get(key)) for key in ("prompt_tokens", "total_tokens"))
        sample.prompt_tokens = next((count for count in counts if count is not None), None)
    return content


def _size(vector: list[float]) -> int:
    if not vector or not math.isfinite(sum(vector)):
        raise ValueError
    return len(vector)


def _order(content: Any, documents: int) -> list[int]:
    """Return the places of the documents, best first. Raises a ValueError for an order that is none."""
    results = content if isinstance(content, list) else content["results"]
    scores = [result["relevance_score"] if "relevance_score" in result else result["score"] for result in results]
    order = [result["index"] for result in results]
    if sorted(scores, reverse=True) != scores or len(set(order)) != len(order) or set(order) - set(range(documents)):
        raise ValueError
    return order
