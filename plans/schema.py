"""The plan: a frozen, validated model of what to run and what counts as a pass."""

from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from plans.arriving import Ratio
from plans.dependencies import Dependencies
from plans.durations import Duration, DurationOrZero
from plans.faults import Fault
from plans.hosts import EMBEDDED, host_problem
from plans.metrics import KNOWN_AT_THE_END, METRICS, Better, Kind
from plans.mix import Mix
from plans.phases import Phase
from plans.quantities import parse_quantity
from plans.strict import Frozen
from plans.target import Target


class Severity(StrEnum):
    """What a broken criterion does: `fail` the run, or only `warn`."""

    FAIL = "fail"
    WARN = "warn"


class ArrivalProcess(StrEnum):
    """How arrivals are spaced around the rate."""

    UNIFORM = "uniform"
    POISSON = "poisson"
    GAMMA = "gamma"


class Traceability(Frozen):
    """Where a test case comes from."""

    requirement: str | None = None
    user_story: str | None = None
    architecture: str | None = None
    task: str | None = None


Number = Annotated[
    float,
    BeforeValidator(lambda value: value, json_schema_input_type=float | str),
    Field(allow_inf_nan=False, description="a number, or one with a unit for bytes and cores: 90 GB, 8 cores"),
]


class AbortOnFail(Frozen):
    """When a broken limit ends the run early."""

    after: DurationOrZero = Field(30.0, description="how long the limit must stay broken")


def _abort(value: object) -> object:
    """Return the keys of `true`, which stands for the defaults, and nothing for `false`."""
    if isinstance(value, bool):
        return AbortOnFail() if value else None
    return value


class Criterion(Frozen):
    """One limit: a metric, where it is taken, and what it must be."""

    metric: str
    phase: str | None = Field(None, description="name of a phase; the whole run when left out")
    scenario: str | None = Field(None, description="only this user class")
    name: str | None = Field(None, description="only requests of this name")
    below: Number | None = None
    at_most: Number | None = None
    at_least: Number | None = None
    above: Number | None = None
    is_: bool | None = Field(None, alias="is")
    worse_at_most: Number | None = Field(
        None,
        ge=0,
        le=10,
        description="how much worse than the plan's baseline it may be: a share of its value, or 5 %; a difference for "
        "metrics that are shares",
    )
    severity: Severity = Severity.FAIL
    abort_on_fail: Annotated[
        AbortOnFail | None, BeforeValidator(_abort, json_schema_input_type=AbortOnFail | bool | None)
    ] = Field(None, description="end the run early when this limit stays broken; true: with the default delay")
    id: str | None = Field(None, description="id of the requirement that this limit proves")

    @field_validator("below", "at_most", "at_least", "above", mode="before")
    @classmethod
    def _with_unit(cls, value: object, info: ValidationInfo) -> object:
        """`90 GB` for a metric in bytes, `8 cores` for one in cores."""
        metric = METRICS.get(str(info.data.get("metric")))
        return value if metric is None else parse_quantity(value, metric.unit)

    @field_validator("worse_at_most", mode="before")
    @classmethod
    def _percent(cls, value: object) -> object:
        """`5 %` for 0.05."""
        return parse_quantity(value, "share")

    @property
    def limit(self) -> float | bool:
        """The value that the metric is held against; for `worse` the share by which it may be worse."""
        values = (self.below, self.at_most, self.at_least, self.above, self.is_, self.worse_at_most)
        return next(value for value in values if value is not None)

    @property
    def operator(self) -> Literal["<", "<=", ">=", ">", "is", "worse"]:
        """The comparison, as a sign; `worse` is one with the baseline."""
        if self.worse_at_most is not None:
            return "worse"
        if self.below is not None:
            return "<"
        if self.at_most is not None:
            return "<="
        if self.at_least is not None:
            return ">="
        return ">" if self.above is not None else "is"

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in METRICS:
            close = get_close_matches(value, METRICS, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f" is not a known metric, got '{value}'{hint} (all of them: docs/metrics.md)")
        return value

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        values = (self.below, self.at_most, self.at_least, self.above, self.is_, self.worse_at_most)
        given = [value for value in values if value is not None]
        if len(given) != 1:
            raise ValueError(" must have exactly one of below, at_most, at_least, above, is, worse_at_most")
        metric = METRICS.get(self.metric)
        if metric is not None and self.worse_at_most is not None:
            if metric.better is Better.NEITHER:
                raise ValueError(f".worse_at_most has no meaning for {self.metric}: neither direction is better")
        elif metric is not None and (metric.unit == "bool") != isinstance(given[0], bool):
            wanted = "is: true or is: false" if metric.unit == "bool" else "a number (below, at_most, at_least, above)"
            raise ValueError(f" on {self.metric} needs {wanted}")
        if metric is not None and metric.kind is Kind.RUN and (self.phase or self.scenario or self.name):
            raise ValueError(f" on {self.metric} must have no phase, scenario or name: it is a figure of the whole run")
        if metric is not None and metric.kind is Kind.RESOURCE and (self.scenario or self.name):
            raise ValueError(f" on {self.metric} must have no scenario and no name: it is a figure of the server")
        return self

    @model_validator(mode="after")
    def _can_abort(self) -> Self:
        if self.abort_on_fail is None:
            return self
        if self.severity is not Severity.FAIL:
            raise ValueError(".abort_on_fail must not stand beside severity: warn, which fails no run")
        if self.metric in KNOWN_AT_THE_END:
            raise ValueError(f".abort_on_fail must not stand on {self.metric}, which is known at the end only")
        if self.worse_at_most is not None:  # looked at again and again, chance alone would break it some time
            raise ValueError(".abort_on_fail must not stand beside worse_at_most, which is judged at the end only")
        return self


class RequestLimits(Frozen):
    """Limits of a single request; `goodput_rps` counts the ok requests inside all of them."""

    latency_ms: float | None = Field(None, gt=0)
    service_ms: float | None = Field(None, gt=0)
    ttft_due_ms: float | None = Field(None, gt=0)
    ttft_ms: float | None = Field(None, gt=0)
    tpot_ms: float | None = Field(None, gt=0)


class Pool(Frozen):
    """The users that carry the arrivals: from rate x expected latency, growing up to `max_users`."""

    max_users: int = Field(2000, ge=1, le=1_000_000)
    expected_latency: Duration = 1.0
    max_lag: Duration = Field(10.0, description="how long an arrival waits for a free user before it is dropped")
    drain: DurationOrZero = Field(30.0, description="how long requests in flight may take after the last arrival")


class GeneratorLimits(Frozen):
    """The load generator's own health; a broken limit makes the run INVALID."""

    lag_p99_ms: float = Field(100.0, gt=0)
    loop_lag_p99_ms: float = Field(100.0, gt=0)
    cpu: float = Field(0.95, gt=0, description="mean CPU of a generator process, in cores, over a phase")
    sent: Ratio = Field(
        0.99,
        description="lowest share of the arrivals that must have been sent or dropped by the plan's limits",
    )
    lost: Ratio = Field(0.01, description="highest share of a judged phase's arrivals that may be lost with workers")


class Judge(Frozen):
    """Another model that grades a sample of the answers after the run, at any OpenAI-compatible server."""

    host: str
    model: str = Field(min_length=1)
    api_key_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable that holds the bearer token",
    )
    sample: int = Field(20, ge=1, le=40, description="answers that it grades")
    timeout: Duration = 60.0


class Monitors(Frozen):
    """What is watched beside the load, once every `interval`."""

    interval: Duration = Field(1.0, ge=0.05, le=3600)
    host: bool = True
    target: bool = True
    server: bool = Field(True, description="the server's own metrics, where target.prometheus says where they are")
    database: bool = Field(
        True, description="connections of a PostgreSQL that the load goes to or that the server depends on"
    )
    gpu: bool = Field(True, description="NVIDIA GPUs, when the server is on this machine and has any")


BaselineName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Plan(Frozen):
    """Everything about a run but its seed, time scale and machine."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")
    title: str = Field(min_length=1, max_length=200)
    description: str = ""
    category: str | None = None
    level: int | None = Field(None, ge=1, le=4)
    priority: str | None = None
    type: str | None = None
    component: str | None = None
    objective: str | None = None
    success_criteria: tuple[str, ...] = ()
    environment: str | None = None
    preconditions: tuple[str, ...] = ()
    traceability: Traceability = Traceability()
    covers: tuple[str, ...] = Field((), description="ids of the requirements that this plan proves")
    tags: tuple[str, ...] = ()
    target: Target = Target()
    arrivals: ArrivalProcess = ArrivalProcess.UNIFORM
    burstiness: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="shape of gamma gaps: 1 is Poisson, lower is burstier, higher is more even",
    )
    mix: Mix
    phases: tuple[Phase, ...] = Field(min_length=1)
    store: dict[str, BaselineName] = Field(
        default_factory=dict, description="phase: name under which its figures are kept for later comparison"
    )
    baseline: str | None = Field(
        None,
        min_length=1,
        description="JSON file of the figures that are known; criteria with worse_at_most hold against it",
    )
    criteria: tuple[Criterion, ...] = ()
    limits: RequestLimits = RequestLimits()
    pool: Pool = Pool()
    generator: GeneratorLimits = GeneratorLimits()
    monitors: Monitors = Monitors()
    dependencies: Dependencies = Dependencies()
    judge: Judge | None = None
    faults: tuple[Fault, ...] = Field((), description="faults of the embedded platform on the run's time axis")

    @model_validator(mode="after")
    def _baseline_named(self) -> Self:
        places = [index for index, criterion in enumerate(self.criteria) if criterion.worse_at_most is not None]
        if places and self.baseline is None:
            raise ValueError(f"criteria[{places[0]}].worse_at_most needs a baseline: name its file under baseline")
        return self

    @model_validator(mode="after")
    def _allowed_judge(self) -> Self:
        if self.judge is not None and (problem := host_problem(self.judge.host, self.target.allow)):
            raise ValueError(f"judge.host {problem}")
        return self

    @model_validator(mode="after")
    def _allowed_dependencies(self) -> Self:
        if problem := self.dependencies.problem(self.target.allow):
            raise ValueError(problem)
        return self

    @property
    def duration(self) -> float:
        """Planned length in seconds, without the drain."""
        return sum(phase.duration for phase in self.phases)

    @property
    def nominal_rate(self) -> float | None:
        """The rate that is held longest, else the highest one; None when no phase has a rate."""
        open_phases = [phase for phase in self.phases if phase.rate is not None]
        held = [phase for phase in open_phases if phase.load.value is not None]
        if held:
            return max(held, key=lambda phase: phase.duration).load.value
        return max((phase.load.highest() for phase in open_phases), default=None)


def loopback(host: str) -> bool:
    """Return True when the URL names this machine, so that clocks are shared and processes can be watched."""
    parts = urlsplit(host)
    name = parts.hostname or ""
    return host == EMBEDDED or parts.scheme == "http+unix" or name in {"localhost", "::1"} or name.startswith("127.")
