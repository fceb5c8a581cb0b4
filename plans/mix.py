"""WHO takes part in a run: the options of each scenario, as a plan writes them."""

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic_core import PydanticKnownError

from data.openapi import matches
from plans.arriving import Arriving, Ratio
from plans.database import DatabaseMix
from plans.durations import Duration
from plans.inputs import Prompts, PromptSource
from plans.strict import Frozen

PromptClass = Literal["simple", "medium", "complex", "mixed"]
_OWN_KEYS = frozenset({"model", "messages", "prompt", "input", "stream", "stream_options", "tools"})


class GenerationMix(Arriving):
    """What all users of a text generating endpoint have in common."""

    endpoint: Literal["chat", "completions", "responses"] = Field("chat", description="API that is spoken")
    streaming: Ratio = Field(1.0, description="share of the requests that ask for a stream")
    max_tokens: int = Field(64, ge=1, le=1_000_000)
    temperature: float = Field(0.0, ge=0, le=2)
    extra: dict[str, JsonValue] = Field(
        default_factory=dict, description="further keys of the request's body, such as top_p or ignore_eos"
    )
    path: str | None = Field(None, pattern="^/[!-~]*$", description="the endpoint's usual path when left out")

    @field_validator("extra")
    @classmethod
    def _not_the_request_itself(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if own := sorted(_OWN_KEYS & value.keys()):
            raise ValueError(f".{own[0]} is written by the scenario and must not be given")
        return value


class ConversationMix(GenerationMix):
    """Options of `ConversationUser`: every turn carries the turns before it."""

    endpoint: Literal["chat", "responses"] = Field("chat", description="API that is spoken")
    prompts: Prompts = PromptSource()
    turns: int = Field(5, ge=1, le=100_000, description="after which a conversation begins anew")


class ToolMix(GenerationMix):
    """Options of `ToolUser`: questions that need a tool."""

    endpoint: Literal["chat", "responses"] = Field("chat", description="API that is spoken")
    results: bool = Field(True, description="hand the tool's result back, as a second request")


class RetrievalMix(Arriving):
    """What embeddings and rerank have in common."""

    prompts: PromptClass = Field("mixed", description="class of prompts whose texts are used")
    extra: dict[str, JsonValue] = Field(default_factory=dict, description="further keys of the request's body")


class EmbeddingsMix(RetrievalMix):
    """Options of `EmbeddingsUser`."""

    batch: int = Field(1, ge=1, le=2048, description="texts in a request")
    path: str = Field("/v1/embeddings", pattern="^/[!-~]*$")


class RerankMix(RetrievalMix):
    """Options of `RerankUser`."""

    documents: int = Field(8, ge=2, le=24, description="documents in a request")
    path: str = Field("/v1/rerank", pattern="^/[!-~]*$")


class ChatMix(GenerationMix):
    """Options of `ChatUser`: one question, one answer."""

    prompts: Prompts = PromptSource()
    images: int = Field(0, ge=0, le=64, description="small pictures beside each question, as data URLs")
    canaries: Ratio = Field(
        0.0,
        description="share of the requests that are canaries: fixed prompts at temperature 0, held against the answers "
        "that were given before the load",
    )

    @model_validator(mode="after")
    def _pictures_need_messages(self) -> Self:
        if self.images and self.endpoint == "completions":
            raise ValueError(".images needs the endpoint chat or responses: a text has no place for a picture")
        return self


class AccessLogMix(Arriving):
    """Options of `AccessLogUser`: the requests of a web server's access log."""


class Operations(Frozen):
    """Weights of the CRUD operations; the defaults are the mix of an evaluation platform."""

    list: float = Field(0.30, ge=0)
    create: float = Field(0.20, ge=0)
    details: float = Field(0.15, ge=0)
    search: float = Field(0.12, ge=0)
    compare: float = Field(0.10, ge=0)
    update: float = Field(0.08, ge=0)
    export: float = Field(0.05, ge=0)


class CrudMix(Arriving):
    """Options of the users of the evaluation-run API."""

    operations: Operations | None = Field(None, description="weights that replace the ones of the user class")
    path: str = Field("/api/v1/evaluations/runs", pattern="^/[!-~]*$")
    clean: bool = Field(True, description="remove the runs that were created, after the load")
    clean_within: Duration = Field(10.0, description="longest time for that")


class SessionOperations(Frozen):
    """Weights of what is done in a chat session."""

    message: float = Field(0.70, ge=0)
    tool: float = Field(0.15, ge=0)
    history: float = Field(0.10, ge=0)
    list: float = Field(0.05, ge=0)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.message or self.tool or self.history or self.list):
            raise ValueError(" must have a weight above 0")
        return self


class SessionMix(Arriving):
    """Options of the users of chat sessions."""

    operations: SessionOperations | None = Field(None, description="weights that replace the ones of the user class")
    turns: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="messages and tool calls of a session; then it is removed and a new one opened",
    )
    streaming: Ratio | None = Field(None, description="share of the messages whose reply is streamed")
    context_limit: int | None = Field(
        None,
        ge=10,
        le=100_000,
        description="messages beyond which the server compacts by itself; else the server's own",
    )
    expires: Duration | None = Field(
        None, description="time without a request after which the server removes a session"
    )
    compact: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="messages that are compacted at the end of each session, before it is removed",
    )
    path: str = Field("/api/v1/sessions", pattern="^/[!-~]*$")
    clean: bool = Field(True, description="remove the sessions that are left, after the load")
    clean_within: Duration = Field(10.0, description="longest time for that")


class OpenApiMix(Arriving):
    """Options of `OpenApiUser`: the operations of an API that an OpenAPI 3 document describes."""

    spec: str = Field(min_length=1, description="the document, JSON or YAML, relative to this plan")
    include: tuple[str, ...] = Field((), description="only these: 'GET /pets', operationIds or tags; * is anything")
    exclude: tuple[str, ...] = Field((), description="none of these")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="weights of operations, by the same patterns; 1 where none fits"
    )
    prefix: str | None = Field(None, pattern="^(/[!-~]*)?$", description="before all paths; else the document's own")
    clean: bool = Field(True, description="remove what was created, after the load")
    clean_within: Duration = Field(10.0, description="longest time for that")

    def weight(self, names: tuple[str, ...]) -> float:
        """Return the weight of the operation that has these names: of the first pattern that fits."""
        return next((weight for key, weight in self.weights.items() if matches(names, [key])), 1.0)


class WebSocketMix(Frozen):
    """Options of `WebSocketUser`: held connections, counted in connections and not in arrivals."""

    connections: int = Field(ge=1, le=100_000)
    storm: Annotated[float, Field(gt=0, le=100_000)] | Literal["all at once"] | None = Field(
        None, description="connects/s, or all at once; within the first second when left out"
    )
    rate: float = Field(2.0, gt=0, le=1000, description="messages/s that each connection asks the server for")
    echo: float = Field(0.0, ge=0, le=1000, description="messages/s that each connection sends for the server to echo")
    ping: Duration | None = Field(10.0, description="from one ping to the next; null for none")
    compression: bool = Field(False, description="ask for permessage-deflate")
    timeout: Duration = Field(10.0, description="for the connect, a pong, an echo, and for the server to read")
    path: str = Field("/ws/evaluations", pattern="^/[!-~]*$")

    @property
    def connects_per_s(self) -> float:
        """How fast the connections are opened."""
        return math.inf if self.storm == "all at once" else float(self.storm or self.connections)


class LocustMix(Arriving):
    """Options of a user class out of the operator's own Python file: any Locust user."""

    file: str = Field(min_length=1, description="Python file that has the class, relative to this plan")
    tags: tuple[str, ...] = Field((), description="only tasks with one of these Locust tags")
    exclude_tags: tuple[str, ...] = Field((), description="no task with one of these Locust tags")


def _brought(value: object) -> object:
    """A name that is no scenario of Proofload's is one of the operator's own, when it says where its class is."""
    if not (isinstance(value, LocustMix) or (isinstance(value, dict) and "file" in value)):
        raise PydanticKnownError("extra_forbidden")
    return value


class Mix(Frozen):
    """The scenarios of a run, by the name of their user class; at least one."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[LocustMix, BeforeValidator(_brought)]] = Field(init=False)

    ChatUser: ChatMix | None = None
    ConversationUser: ConversationMix | None = None
    ToolUser: ToolMix | None = None
    EmbeddingsUser: EmbeddingsMix | None = None
    RerankUser: RerankMix | None = None
    EvaluationRunUser: CrudMix | None = None
    HighVolumeUser: CrudMix | None = None
    ReadOnlyUser: CrudMix | None = None
    SessionUser: SessionMix | None = None
    SessionStressUser: SessionMix | None = None
    LongSessionUser: SessionMix | None = None
    SessionToolUser: SessionMix | None = None
    AccessLogUser: AccessLogMix | None = None
    DatabaseUser: DatabaseMix | None = None
    OpenApiUser: OpenApiMix | None = None
    WebSocketUser: WebSocketMix | None = None

    def arriving(self) -> dict[str, Arriving]:
        """Return the scenarios that take arrivals, in a fixed order."""
        options = {name: getattr(self, name) for name in self.names()}
        return {name: value for name, value in options.items() if isinstance(value, Arriving)}

    def brought(self) -> dict[str, LocustMix]:
        """Return the scenarios whose classes are in files of the operator's own."""
        return dict(self.__pydantic_extra__)

    def names(self) -> list[str]:
        """Return the names of all scenarios that take part, in a fixed order."""
        own = [name for name in type(self).model_fields if getattr(self, name) is not None]
        return [*own, *self.__pydantic_extra__]

    @property
    def needs_server(self) -> bool:
        """True when a scenario speaks with the target's host; a database is reached by its own URL."""
        return any(name != "DatabaseUser" for name in self.names())
