"""What an analysis is: the typed result that every form of the report is drawn from.

`reports.analyzer.analyze(folder)` makes an `Analysis` from a run folder; `reports.render`, `verdict.json`,
`junit.xml`, `summary.md` and `metrics.csv` are views of it and compute nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from plans.exits import Exit
from plans.run import RunRecord
from plans.schema import Criterion
from samples.answers import Judgement, KeptAnswer
from samples.journal import Event

REPORT_FOLDER = "report"
"""Folder of a run's report in its run folder."""
PAGE = "report.html"

SPECTRUM = tuple(step * 10.0**decade for decade in range(9) for step in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8))
"""Where a spectrum is taken: 1 / (1 - p), so 2 is the median, 20 p95, 1000 p99.9."""


class Verdict(StrEnum):
    """The answer."""

    PASS = "PASS"
    FAIL = "FAIL"
    INVALID = "INVALID"

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INVALID (2 is a bad plan or usage)."""
        return Exit[self.value]


class State(StrEnum):
    """What became of one criterion."""

    PASS = "pass"
    FAIL = "fail"
    NO_DATA = "no_data"
    WARN = "warn"
    """Broken, but its severity is `warn`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric's value over some rows. `value` is None when it cannot be told, and `why` then says why."""

    value: float | bool | None
    samples: int
    why: str | None = None
    interval: tuple[float, float] | None = None
    """95 % confidence interval of a percentile, a rate, a share or a mean, where there is one: docs/statistics.md."""
    unbounded: bool = False
    """True when `value` is None because it lies beyond everything that was measured (nothing answered, a percentile
    among failures, no recovery): a limit from above is broken then, and not without data."""
    lower_bound: float | None = None
    """What the value is known to lie above when it is None because it was not reached: a limit from below that is no
    higher holds then."""


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One limit of the plan, held against what was measured."""

    criterion: Criterion
    measured: Measured
    state: State
    margin: float | None
    """How far inside the limit, as a share of it (negative: outside); None for yes/no metrics and without data."""
    close: bool
    """True when the limit lies inside the measured interval."""
    reason: str
    """One sentence with the measured value, the limit, and the number of samples."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One limit on the load generator or on the data; a broken one makes the run INVALID."""

    name: str
    passed: bool
    measured: str
    limit: str
    advice: str
    """What to do when it does not hold."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """scheduled = ok + http_error + bad_content + timeout + connect_error + cut + dropped (+ lost)."""

    scheduled: int
    outcomes: dict[str, int]
    """By `Outcome`, every one of them, zeros included."""
    lost: int
    """scheduled - sum(outcomes); anything but 0 makes the run INVALID."""


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """One phase: its bounds as run (seconds from the origin), its arrivals and its metrics by catalogue name."""

    name: str
    shape: str
    closed: bool
    start_s: float
    end_s: float
    reached: bool
    load: str
    """The load as written for people: `50 RPS`, `10 → 50 RPS`, `20 users`."""
    accounting: Accounting
    metrics: dict[str, Measured]


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One scenario, or one request name of a scenario (`name` set), over the whole run."""

    scenario: str
    name: str | None
    protocol: str
    accounting: Accounting
    metrics: dict[str, Measured]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of the same kind: ids and numbers in the text are replaced so that like errors meet."""

    outcome: str
    status: int | None
    text: str
    scenario: str
    name: str
    count: int
    first_s: float
    last_s: float
    example: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A trouble that the data shows, or what bound the target when a limit broke; nothing in it is guessed."""

    kind: str
    what: str
    """One sentence."""
    evidence: tuple[str, ...]
    """Figures with their phase and times; `cannot tell: no readings of ...` where there is no data."""
    advice: str


@dataclass(frozen=True, slots=True)
class StressStep:
    """One step of a rising load: what was asked, what was given, which limits broke."""

    load: float
    """Arrivals per second, or users when it is closed."""
    closed: bool
    phase: str
    start_s: float
    end_s: float
    offered_rps: float
    """Arrivals due in the step / its length."""
    ok_rps: float
    """Good answers that came in the step, whenever they were due / its length."""
    errors: float
    """Share of its arrivals that were answered with status 4xx or 5xx."""
    refused: float
    """Share of its arrivals that were answered with 429 or 503."""
    unanswered: float
    """Share of its arrivals that got no answer: timeouts, lost connections, no free user."""
    p50_ms: float | None
    p95_ms: float | None
    windows: int
    """Windows with arrivals."""
    broken: int
    """Windows in which a limit failed."""
    limits: tuple[str, ...]
    """The limits that failed in one of them, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What came after an overload: the seconds from its end to normal, by aspect (latency, errors, memory)."""

    phase: str
    overload_end_s: float
    """On the run's time axis."""
    times: dict[str, Measured]


@dataclass(frozen=True, slots=True)
class Stress:
    """A rising load and how the server bore it; `phase` is None for phases that rise one after another."""

    phase: str | None
    pattern: str
    """crashing, collapsing, rejecting, queueing or none."""
    evidence: tuple[str, ...]
    steps: list[StressStep]
    breaking_point: float | None
    """Load of the first step in which a limit failed in more than half of the windows."""
    recovery: Recovery | None


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: equidistant points from `start_s`, `step_s` apart; None is a gap."""

    key: str
    label: str
    unit: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything over the run's one time axis.

    Keys of `load`: offered, achieved (responses), failed, dropped — per second; achieved.max and achieved.min are its
    busiest and quietest second where steps are longer. Of `latency`: p50, p95, p99, max — ms, by due time.
    `in_flight`: requests sent and not done. `resources`: `host.*`, `target.*`, `generator.*`.
    `llm`: ttft_due_*, icl_*, tpot_*, output_tokens_per_s, input_tokens_per_s. `quality`: quality, consistency,
    defects, load (share of its peak) — 0 to 1. `websocket`: message_latency_*, messages, connections. `sql`:
    query_* (sent to done) and pool_wait_*.
    Groups without data are empty lists.
    """

    start_s: float
    step_s: float
    points: int
    load: list[Series]
    latency: list[Series]
    in_flight: list[Series]
    failures: list[Series]
    """Failures per second by outcome; only the outcomes that occurred."""
    llm: list[Series]
    websocket: list[Series]
    resources: list[Series]
    quality: list[Series] = field(default_factory=list)
    sql: list[Series] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Latency by percentile, exact: `values[i]` (ms) is the nearest rank of 1 - 1 / `SPECTRUM[i]`."""

    label: str
    samples: int
    values: list[float]
    """As many as there are samples to tell them apart; the last one is the maximum."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """How many requests of each latency were due when: `columns[i]` covers `step_s` seconds from its begin.

    A column is [number of its lowest bin, count, count, ...]; bin n holds latencies from 10^(n/10) ms on. Empty: [].
    """

    start_s: float
    step_s: float
    columns: list[list[int]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The requests of a scenario, of a name in it, of an outcome: their own exact figures. None does not restrict.

    Latency is over the answered requests; of an outcome, over those that ended so, until they ended. The first
    selection of a run restricts nothing, and its curves are those of the timeline.
    """

    scenario: str | None
    name: str | None
    outcome: str | None
    samples: int
    step_s: float
    curves: list[Series]
    """As in `Timeline.load` and `Timeline.latency`, on steps of `step_s` from the timeline's begin."""
    spectra: list[Spectrum]
    """Of the whole run, then of each phase that has any."""
    heat: HeatMap


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """One of the slowest requests that came to an end."""

    due_s: float
    latency_ms: float
    lag_ms: float | None
    ttft_ms: float | None
    phase: str
    scenario: str
    name: str
    outcome: str
    status: int | None
    worker: str


@dataclass(frozen=True, slots=True)
class DataFact:
    """What a reader must know to trust the figures: one property of the data, and whether it asks for caution."""

    name: str
    text: str
    caution: bool = False


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One part of the performance score: `value` times `weight` goes into it; None when it cannot be told."""

    name: str
    weight: float
    value: float | None
    basis: str
    """What the value rests on, in words."""


@dataclass(frozen=True, slots=True)
class Known:
    """A figure of the plan's baseline, and its like of this run in a phase."""

    baseline: str
    metric: str
    phase: str
    value: float
    measured: Measured
    worse: float | None
    """By how much it got worse, as a share of the known value (negative: better); None where that cannot be told."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A whole run, judged."""

    run: RunRecord
    verdict: Verdict
    reasons: list[str]
    """Why, in words, the most important first; for a PASS one sentence that says what held."""
    criteria: list[CriterionResult]
    health: list[HealthCheck]
    phases: list[PhaseResult]
    total: PhaseResult
    """The whole run as if it were one phase."""
    scenarios: list[GroupResult]
    requests: list[GroupResult]
    errors: list[ErrorGroup]
    timeline: Timeline
    events: list[Event]
    notes: list[str] = field(default_factory=list)
    """What a reader must know: rehearsal, interrupted, changed rate, token bundling, token source, clock source."""
    samples: int = 0
    length_s: float = 0.0
    score: list[ScorePart] = field(default_factory=list)
    """The parts of `performance_score`; empty when the plan has limits for none of them."""
    known: list[Known] = field(default_factory=list)
    worst_answers: list[KeptAnswer] = field(default_factory=list)
    judgement: Judgement | None = None
    findings: list[Finding] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)
    """What to do now, the most important first."""
    slowest: list[SlowRequest] = field(default_factory=list)
    data_quality: list[DataFact] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    stress: list[Stress] = field(default_factory=list)
    vllm_bench: Mapping[str, JsonValue] | None = None
    """The result in the form of vLLM's `bench serve`; None when no text was generated."""
