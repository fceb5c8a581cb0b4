"""The shape of `verdict.json`: `python -m reports.document` prints its JSON schema, `docs/verdict.schema.json`.

The parts are the analysis's own classes, so that what is measured and what is published cannot drift apart.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from reports.analysis import (
    Analysis,
    CriterionResult,
    DataFact,
    ErrorGroup,
    Finding,
    GroupResult,
    HealthCheck,
    Known,
    Measured,
    PhaseResult,
    ScorePart,
    SlowRequest,
    State,
    Stress,
    Verdict,
)
from reports.figures import pair, unit_of
from reports.windows import Scope
from samples.answers import Judgement, KeptAnswer
from samples.journal import EventKind

SCHEMA_VERSION = 1
"""Of verdict.json. It grows when a field is renamed, removed or changes its meaning; new fields leave it as it is."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunPart(BaseModel):
    """The run's record as in `run.json`, and what the report adds to it."""

    model_config = ConfigDict(extra="allow")
    id: str
    plan: dict[str, JsonValue] = Field(description="the plan as resolved and scaled")
    seed: int
    host: str
    started_at: str
    rehearsal: bool = Field(description="changed durations or rates: such a run gives no certificate")
    samples: int
    length_s: float | None


class ShownPart(_Part):
    """A limit in words, as people read it."""

    where: str
    limit: str
    measured: str


class CriterionPart(_Part):
    """One limit of the plan, held against what was measured."""

    id: str | None
    phase: str | None = Field(description="null: the whole run")
    scenario: str | None
    name: str | None
    metric: str
    unit: str
    operator: str
    limit: float | bool | None
    severity: str
    state: State
    measured: Measured
    margin: float | None = Field(description="how far inside the limit, as a share of it; negative: outside")
    close: bool = Field(description="the limit lies inside the measured interval")
    reason: str
    shown: ShownPart


class BaselinePart(_Part):
    """A figure of the plan's baseline, and its like of this run."""

    name: str
    metric: str
    phase: str
    known: float
    measured: float | bool | None
    worse: float | None = Field(description="by how much it got worse, as a share of the known value")


class EventPart(_Part):
    """One line of the journal."""

    t_s: float | None
    kind: EventKind
    text: str
    worker: str


class VerdictDocument(_Part):
    """`verdict.json`: the whole analysis of a run but its curves, figures in the units of the catalogue."""

    schema_version: int
    verdict: Verdict
    exit_code: int
    reasons: list[str]
    run: RunPart
    criteria: list[CriterionPart]
    health: list[HealthCheck]
    phases: list[PhaseResult]
    total: PhaseResult
    scenarios: list[GroupResult]
    requests: list[GroupResult]
    queries: list[dict[str, JsonValue]]
    findings: list[Finding]
    next_steps: list[str] = Field(description="what to do now, the most important first")
    slowest: list[SlowRequest]
    data_quality: list[DataFact]
    stress: list[Stress]
    score: list[ScorePart]
    baseline: list[BaselinePart]
    judgement: Judgement | None
    worst_answers: list[KeptAnswer]
    errors: list[ErrorGroup]
    events: list[EventPart]
    notes: list[str]


def document(analysis: Analysis) -> dict[str, Any]:
    """Return the whole analysis but its curves as plain values that JSON can hold.

    Texts stay as they were, whatever a server wrote into them; a number that JSON has no word for is None.
    """
    run = analysis.run
    # Without validation: what is typed already needs none, and half a surrogate pair would not pass it.
    made = VerdictDocument.model_construct(
        schema_version=SCHEMA_VERSION,
        verdict=analysis.verdict,
        exit_code=analysis.verdict.exit_code,
        run=RunPart.model_construct(
            **run.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"schema_version", "phases"}),
            rehearsal=run.rehearsal,
            samples=analysis.samples,
            length_s=analysis.length_s,
        ),
        criteria=[_criterion(result) for result in analysis.criteria],
        queries=[query.model_dump() for query in run.queries],
        baseline=[_baseline(one) for one in analysis.known],
        events=[
            EventPart.model_construct(t_s=e.t_s, kind=e.kind, text=e.text, worker=e.worker) for e in analysis.events
        ],
        **{name: getattr(analysis, name) for name in _AS_IT_IS},
    )
    plain = _plain(made.model_dump(mode="python", warnings=False))
    assert isinstance(plain, dict)
    return plain


_AS_IT_IS = (
    "reasons", "health", "phases", "total", "scenarios", "requests", "findings", "stress", "next_steps",
    "slowest", "data_quality", "score", "judgement", "worst_answers", "errors", "notes",
)  # fmt: skip
"""Fields that the analysis and the document share."""


def _criterion(result: CriterionResult) -> CriterionPart:
    criterion = result.criterion
    measured, limit = pair(result)
    return CriterionPart.model_construct(
        id=criterion.id,
        phase=criterion.phase,
        scenario=criterion.scenario,
        name=criterion.name,
        metric=criterion.metric,
        unit=unit_of(criterion.metric),
        operator=criterion.operator,
        limit=criterion.limit,
        severity=criterion.severity.value,
        state=result.state,
        measured=result.measured,
        margin=result.margin,
        close=result.close,
        reason=result.reason,
        shown=ShownPart.model_construct(
            where=str(Scope(criterion.phase, criterion.scenario, criterion.name)), limit=limit, measured=measured
        ),
    )


def _baseline(one: Known) -> BaselinePart:
    return BaselinePart.model_construct(
        name=one.baseline,
        metric=one.metric,
        phase=one.phase,
        known=one.value,
        measured=one.measured.value,
        worse=one.worse,
    )


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def schema() -> str:
    """Return the JSON schema of `verdict.json`."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | VerdictDocument.model_json_schema()
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema())
