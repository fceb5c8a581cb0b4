"""WHO takes part in a run: the options of each scenario, as a plan writes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from plans.durations import Duration

Share = Annotated[float, Field(gt=0, le=1000, description="weight of this scenario in the arrivals")]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """Base of everything in a plan: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Arriving(Frozen):
    """A scenario that takes a share of the arrivals."""

    share: Share = 1.0
    timeout: Duration = 30.0


class ChatMix(Arriving):
    """Options of `ChatUser`: OpenAI-compatible chat completions."""

    prompts: str = Field("mixed", description="a class of prompts in data/prompts: simple, medium, complex or mixed")
    streaming: Ratio = Field(1.0, description="share of the requests that ask for a stream")
    max_tokens: int = Field(64, ge=1, le=1_000_000)
    temperature: float = Field(0.0, ge=0, le=2)
    path: str = Field("/v1/chat/completions", pattern="^/")


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
    path: str = Field("/api/v1/evaluations/runs", pattern="^/")


class WebSocketMix(Frozen):
    """Options of `WebSocketUser`: held connections, counted in connections and not in arrivals."""

    connections: int = Field(ge=1, le=100_000)
    rate: float = Field(2.0, gt=0, le=1000, description="messages/s that each connection asks the server for")
    timeout: Duration = 10.0
    path: str = Field("/ws/evaluations", pattern="^/")


ScenarioName = Literal["ChatUser", "EvaluationRunUser", "HighVolumeUser", "ReadOnlyUser", "WebSocketUser"]


class Mix(Frozen):
    """The scenarios of a run, by the name of their user class; at least one."""

    ChatUser: ChatMix | None = None
    EvaluationRunUser: CrudMix | None = None
    HighVolumeUser: CrudMix | None = None
    ReadOnlyUser: CrudMix | None = None
    WebSocketUser: WebSocketMix | None = None

    def arriving(self) -> dict[str, Arriving]:
        """Return the scenarios that take arrivals, in a fixed order."""
        options = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in options.items() if isinstance(value, Arriving)}

    def names(self) -> list[str]:
        """Return the names of all scenarios that take part, in a fixed order."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]
