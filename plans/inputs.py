"""WITH WHAT, as a plan writes it: prompts and their lengths, and recordings that are replayed."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from plans.durations import DurationOrZero
from plans.strict import Frozen

Tokens = Annotated[int, Field(ge=0, le=10_000_000)]
File = Annotated[str, Field(min_length=1, description="path from where the run is started, or from Proofload's folder")]

_LENGTH_KEYS = {
    "fixed": {"value"},
    "normal": {"mean", "std"},
    "lognormal": {"mean", "std"},
    "uniform": {"min", "max"},
    "file": {"file"},
}
_BOUNDED = {"normal", "lognormal"}


class Lengths(Frozen):
    """Lengths in tokens, drawn one by one; a plain number is short for a fixed one."""

    distribution: Literal["fixed", "normal", "lognormal", "uniform", "file"] = "fixed"
    value: Tokens | None = None
    mean: float | None = Field(None, gt=0, le=10_000_000, description="of the lengths themselves")
    std: float | None = Field(None, ge=0, le=10_000_000, description="standard deviation of the lengths themselves")
    min: Tokens | None = None
    max: Tokens | None = None
    file: File | None = Field(None, description="text file with one length a line")

    @model_validator(mode="after")
    def _matching(self) -> Self:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None} - {"distribution"}
        wanted = _LENGTH_KEYS[self.distribution]
        allowed = wanted | ({"min", "max"} if self.distribution in _BOUNDED else set())
        if missing := sorted(wanted - given):
            raise ValueError(f".{missing[0]} is missing: a {self.distribution} distribution needs it")
        if extra := sorted(given - allowed):
            raise ValueError(f".{extra[0]} has no meaning in a {self.distribution} distribution")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise ValueError(f".max must be at least min ({self.min}), got {self.max}")
        return self


def _lengths(value: object) -> object:
    return {"value": value} if isinstance(value, int | float | str) and not isinstance(value, bool) else value


Length = Annotated[Lengths, BeforeValidator(_lengths, json_schema_input_type=int | Lengths)]


class Prefixes(Frozen):
    """Texts that many synthetic prompts begin with, as system prompts do."""

    count: int = Field(1, ge=1, le=100_000)
    length: int = Field(ge=1, le=1_000_000, description="tokens of each, in front of `input`")


_CLASSES = ("simple", "medium", "complex", "mixed")
_FROM_FILES = ("sharegpt", "messages")
_MADE = ("synthetic", "trace")
_OF_SOURCE = {
    "file": _FROM_FILES,
    "turns": _FROM_FILES,
    "input": ("synthetic",),
    "prefixes": ("synthetic",),
    "chars_per_token": _MADE,
    "tokenizer": _MADE,
    "output": (*_CLASSES, *_FROM_FILES, "synthetic"),
}


class PromptSource(Frozen):
    """Where prompts come from; a plain word is short for a source without further keys."""

    source: Literal["simple", "medium", "complex", "mixed", "sharegpt", "messages", "synthetic", "trace"] = "mixed"
    file: File | None = Field(None, description="of sharegpt and messages")
    turns: Literal["first", "all"] | None = Field(None, description="of a conversation: its begin, or the whole of it")
    input: Length | None = Field(None, description="length of a synthetic prompt, in tokens")
    output: Length | None = Field(None, description="length of the answer that is asked for, in tokens")
    prefixes: Prefixes | None = None
    chars_per_token: float | None = Field(None, gt=0, le=100, description="of a synthetic text")
    tokenizer: File | None = Field(None, description="tokenizer.json of the model")
    ignore_eos: bool = Field(False, description="ask the server not to stop before the wanted length")

    @model_validator(mode="after")
    def _matching(self) -> Self:
        for key, sources in _OF_SOURCE.items():
            if getattr(self, key) is not None and self.source not in sources:
                raise ValueError(f".{key} has no meaning with the source {self.source}")
        if self.source in _FROM_FILES and self.file is None:
            raise ValueError(f".file is missing: the source {self.source} needs it")
        if self.source == "synthetic" and self.input is None:
            raise ValueError(".input is missing: how many tokens has a synthetic prompt?")
        if self.tokenizer is not None and self.chars_per_token is not None:
            raise ValueError(".chars_per_token has no meaning beside a tokenizer")
        return self


def _source(value: object) -> object:
    return {"source": value} if isinstance(value, str) else value


Prompts = Annotated[PromptSource, BeforeValidator(_source, json_schema_input_type=str | PromptSource)]

Method = Annotated[str, Field(pattern="^[A-Z]{1,20}$")]


class Trace(Frozen):
    """A recording that a phase replays: its times are the arrivals, its rows what they ask."""

    file: File
    format: Literal["mooncake", "azure", "burstgpt", "access-log"]
    speed: float = Field(1.0, gt=0, le=1_000_000, description="2 plays twice as fast: twice the rate, half the time")
    offset: DurationOrZero = Field(0.0, description="recorded time that is left out at the beginning")
    limit: int | None = Field(None, ge=1, description="number of rows")
    spread: bool = Field(False, description="divide the rows of one recorded second evenly over it")
    methods: tuple[Method, ...] = Field(
        ("GET", "HEAD", "OPTIONS"), min_length=1, description="of an access log: the others are left out"
    )
