"""HOW MUCH and WHEN, as a plan writes it: one phase and its load levels."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from plans.durations import Duration, DurationOrZero, format_duration
from plans.inputs import Trace
from plans.strict import Frozen


class Shape(StrEnum):
    """The form of a phase's load over time."""

    CONSTANT = "constant"
    RAMP = "ramp"
    STEPS = "steps"
    SPIKE = "spike"
    SINE = "sine"
    REPLAY = "replay"


SHAPE_NAMES = {
    "constant": Shape.CONSTANT,
    "baseline": Shape.CONSTANT,
    "sustained": Shape.CONSTANT,
    "soak": Shape.CONSTANT,
    "ramp": Shape.RAMP,
    "steps": Shape.STEPS,
    "stress": Shape.STEPS,
    "spike": Shape.SPIKE,
    "sine": Shape.SINE,
    "diurnal": Shape.SINE,
    "replay": Shape.REPLAY,
}

LEVEL_KEYS = {
    Shape.CONSTANT: ("value",),
    Shape.RAMP: ("from", "to"),
    Shape.STEPS: ("from", "to", "steps"),
    Shape.SPIKE: ("base", "peak"),
    Shape.SINE: ("mean", "amplitude"),
    Shape.REPLAY: (),
}

_TIMES = {Shape.SPIKE: ("rise", "hold", "fall"), Shape.SINE: ("period",)}

Level = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Levels(Frozen):
    """The load levels of a phase: arrivals/s under `rate`, concurrent users under `users`."""

    value: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    from_: Level | None = Field(None, alias="from")
    to: Level | None = None
    steps: int | None = Field(None, ge=1, le=1000)
    base: Level | None = None
    peak: Level | None = None
    mean: Level | None = None
    amplitude: Level | None = None

    def given(self) -> set[str]:
        """Return the keys that were written, as written."""
        return {name.rstrip("_") for name in type(self).model_fields if getattr(self, name) is not None}

    def highest(self) -> float:
        """Return the highest level that is reached."""
        if self.mean is not None:
            return self.mean + (self.amplitude or 0.0)
        return max(v for v in (self.value, self.from_, self.to, self.base, self.peak) if v is not None)

    def scaled(self, factor: float) -> "Levels":
        """Return the same form at `factor` times the level."""
        changed = {
            name: getattr(self, name) * factor
            for name in ("value", "from_", "to", "base", "peak", "mean", "amplitude")
            if getattr(self, name) is not None
        }
        return self.model_copy(update=changed)


def _levels(value: object) -> object:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return {"value": value}
    return value


Load = Annotated[Levels, BeforeValidator(_levels, json_schema_input_type=float | Levels)]


class Think(Frozen):
    """Think time of a closed phase: uniform between `min` and `max` seconds."""

    min: DurationOrZero
    max: DurationOrZero

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f".max must be at least min ({self.min:g} s), got {self.max:g} s")
        return self


def _think(value: object) -> object:
    return value if isinstance(value, dict | Think) else {"min": value, "max": value}


class Phase(Frozen):
    """One phase of a plan: open (`rate`, arrivals/s; or the times of a `trace`), or closed (`users`, `think` time)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    shape: str = "constant"
    duration: Duration
    rate: Load | None = None
    users: Load | None = None
    think: Annotated[Think, BeforeValidator(_think, json_schema_input_type=float | str | Think)] = Think(
        min=0.0, max=0.0
    )
    rise: DurationOrZero | None = None
    hold: DurationOrZero | None = None
    fall: DurationOrZero | None = None
    period: Duration | None = None
    trace: Trace | None = None

    @property
    def form(self) -> Shape:
        """The mathematical form behind the shape's name."""
        return SHAPE_NAMES[self.shape]

    @property
    def closed(self) -> bool:
        """True when the phase holds a number of users instead of a rate."""
        return self.users is not None

    @property
    def load(self) -> Levels:
        """The levels of a phase that has some: of users when it is closed, of arrivals/s when it is open."""
        levels = self.users if self.users is not None else self.rate
        assert levels is not None  # held by _one_load
        return levels

    @property
    def load_text(self) -> str:
        """The load as written for people: `50 RPS`, `10 → 50 RPS`, `20 users`."""
        if self.trace is not None:
            return f"{Path(self.trace.file).name} × {self.trace.speed:g}"
        load, unit = self.load, "users" if self.closed else "RPS"
        if load.value is not None:
            return f"{load.value:g} {unit}"
        if load.mean is not None:
            period = f" every {format_duration(self.period)}" if self.period is not None else ""
            return f"{load.mean:g} ± {load.amplitude or 0:g} {unit}{period}"
        if load.base is not None:
            return f"{load.base:g} → {load.peak:g} → {load.base:g} {unit}"
        steps = f" in {load.steps} steps" if load.steps is not None else ""
        return f"{load.from_:g} → {load.to:g} {unit}{steps}"

    def spike_times(self) -> tuple[float, float, float]:
        """Return (rise, hold, fall) in seconds; by default 10 %, 40 % and 10 % of the phase."""
        defaults = (0.1 * self.duration, 0.4 * self.duration, 0.1 * self.duration)
        given = (self.rise, self.hold, self.fall)
        rise, hold, fall = (d if g is None else g for g, d in zip(given, defaults, strict=True))
        return rise, hold, fall

    def timed(self, factor: float) -> "Phase":
        """Return the phase with every duration multiplied by `factor`; levels stay."""
        times = ("duration", "rise", "hold", "fall", "period")
        changed = {name: getattr(self, name) * factor for name in times if getattr(self, name) is not None}
        return self.model_copy(update=changed)

    @model_validator(mode="after")
    def _one_load(self) -> Self:
        if self.shape not in SHAPE_NAMES:
            raise ValueError(f".shape must be one of {', '.join(SHAPE_NAMES)}, got '{self.shape}'")
        if self.form is Shape.REPLAY:
            self._check_replay()
            return self
        if self.trace is not None:
            raise ValueError(f".trace has a meaning in replay phases only, and the shape is {self.shape}")
        if (self.rate is None) == (self.users is None):
            raise ValueError(" must have either rate (open: arrivals/s) or users (closed), and not both")
        key = "users" if self.closed else "rate"
        expected, given = set(LEVEL_KEYS[self.form]), self.load.given()
        if given != expected:
            wanted = "a number" if expected == {"value"} else "{" + ", ".join(LEVEL_KEYS[self.form]) + "}"
            got = "a number" if given == {"value"} else "{" + ", ".join(sorted(given)) + "}"
            raise ValueError(f".{key} of a {self.shape} phase must be {wanted}, got {got}")
        if self.load.highest() <= 0:
            raise ValueError(f".{key} must be > 0, got {self.load.highest():g}")
        self._check_times()
        return self

    def _check_replay(self) -> None:
        if self.trace is None:
            raise ValueError(".trace is missing: what is to be replayed?")
        for key in ("rate", "users"):
            if getattr(self, key) is not None:
                raise ValueError(f".{key} has no meaning in a replay phase: the trace has the times")
        self._check_times()

    def _check_times(self) -> None:
        allowed = _TIMES.get(self.form, ())
        for name in ("rise", "hold", "fall", "period"):
            if getattr(self, name) is not None and name not in allowed:
                raise ValueError(f".{name} has no meaning in a {self.shape} phase")
        if self.form is Shape.SPIKE and sum(self.spike_times()) > self.duration * (1 + 1e-9):
            raise ValueError(f".rise + hold + fall must fit into the duration of {self.duration:g} s")
        if self.form is Shape.SINE and (self.load.amplitude or 0) > (self.load.mean or 0):
            key = "users" if self.closed else "rate"
            raise ValueError(f".{key}.amplitude must be at most the mean, or the load would fall below 0")
        if not self.closed and self.think.max > 0:
            raise ValueError(".think has a meaning in closed phases (users) only")
