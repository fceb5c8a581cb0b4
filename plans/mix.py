"""WHO takes part in a run: the options of each scenario, as a plan writes them."""

from types import UnionType
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from plans.durations import Duration

Share = Annotated[float, Field(gt=0, le=1000, description="weight of this scenario in the arrivals")]
Ratio = Annotated[float, Field(ge=0, le=1)]


def _numeric(annotation: object) -> bool:
    """Return True when a field holds a number or nothing: `float`, `int | None`, `Annotated[float, ...]`."""
    kinds = annotation.__args__ if isinstance(annotation, UnionType) else get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _numeric(kinds[0])
    if not kinds:
        return annotation in (int, float)
    return all(_numeric(kind) for kind in kinds if kind is not type(None))


class Frozen(BaseModel):
    """Base of everything in a plan: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """YAML reads `on` and `yes` as true, which a number would silently take for 1."""
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, bool) and field is not None and _numeric(field.annotation):
            raise ValueError("must be a number")
        return value


class Arriving(Frozen):
    """A scenario that takes a share of the arrivals."""

    share: Share = 1.0
    timeout: Duration = 30.0


class ChatMix(Arriving):
    """Options of `ChatUser`: OpenAI-compatible chat completions."""

    prompts: Literal["simple", "medium", "complex", "mixed"] = Field("mixed", description="class of prompts")
    streaming: Ratio = Field(1.0, description="share of the requests that ask for a stream")
    max_tokens: int = Field(64, ge=1, le=1_000_000)
    temperature: float = Field(0.0, ge=0, le=2)
    path: str = Field("/v1/chat/completions", pattern="^/[!-~]*$")


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


class WebSocketMix(Frozen):
    """Options of `WebSocketUser`: held connections, counted in connections and not in arrivals."""

    connections: int = Field(ge=1, le=100_000)
    rate: float = Field(2.0, gt=0, le=1000, description="messages/s that each connection asks the server for")
    timeout: Duration = 10.0
    path: str = Field("/ws/evaluations", pattern="^/[!-~]*$")


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
