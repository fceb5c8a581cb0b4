"""Windows: the rows and the stretch of time that a set of metrics is computed over, always the same for both."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from plans.phases import Phase
from plans.run import Ending, PhaseRecord, RunRecord
from plans.schema import Plan
from reports.analysis import Accounting
from reports.frames import Frames
from reports.intervals import Blocks
from reports.rows import Rows, among, equals, flags, numbers, only
from reports.statistics import Floats
from samples.answers import Judgement
from samples.sample import RESPONSES, Outcome, Protocol

_LLM = Protocol.LLM
_WEBSOCKET = Protocol.WEBSOCKET


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a metric is taken: every field that is None does not restrict."""

    phase: str | None = None
    scenario: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        where = f"in {self.phase}" if self.phase else "over the whole run"
        whose = " of ".join(text for text in (f"'{self.name}'" if self.name else "", self.scenario or "") if text)
        return f"{where} for {whose}" if whose else where


@dataclass
class RunData:
    """A run as recorded: its record, its frames, and its phases with what they had to do."""

    record: RunRecord
    frames: Frames
    judgement: Judgement | None = None
    phases: list[PhaseRecord] = field(init=False)
    _windows: dict[Scope, "Window"] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.phases = _phases(self.record, self.frames.samples)

    @property
    def plan(self) -> Plan:
        """The plan as it was run."""
        return self.record.plan

    def phase(self, name: str) -> PhaseRecord | None:
        """Return the record of a phase; None when the run has none of this name."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def planned(self, name: str) -> Phase | None:
        """Return what the plan says of a phase."""
        return next((phase for phase in self.plan.phases if phase.name == name), None)

    def lengths(self, name: str | None = None) -> tuple[float, float]:
        """Return for how many seconds a phase (the whole run) ran, and for how many it was planned."""
        planned = [phase for phase in self.plan.phases if name in (None, phase.name)]
        ran = [phase for phase in self.phases if phase.reached and name in (None, phase.name)]
        return sum(phase.end_s - phase.start_s for phase in ran), sum(phase.duration for phase in planned)

    def rows(self, scope: Scope) -> Rows:
        """Return the samples of a scope, in the order of their due times."""
        rows = self.frames.samples
        wanted = {"phase": scope.phase, "scenario": scope.scenario, "name": scope.name}
        masks = [equals(rows, column, value) for column, value in wanted.items() if value is not None]
        return only(rows, np.logical_and.reduce(masks)) if masks else rows

    def window(self, scope: Scope) -> "Window":
        """Return the window of a scope; the same one, with its results, each time."""
        if scope not in self._windows:
            self._windows[scope] = Window(self, scope)
        return self._windows[scope]

    def readings(
        self, metric: str, source: str, start_s: float, end_s: float, worker: str | None = None
    ) -> tuple[Floats, Floats]:
        """Return (times, values) of a metric of a source from one time to another, both included."""
        frame = self.frames.readings
        times = numbers(frame, "t_s")
        mask = equals(frame, "source", source) & equals(frame, "metric", metric)
        mask &= (times >= start_s) & (times <= end_s)
        if worker is not None:
            mask &= equals(frame, "worker", worker)
        chosen = only(frame, mask)
        return numbers(chosen, "t_s"), numbers(chosen, "value")

    def release(self) -> None:
        """Let the rows of all windows go: they are found again when they are needed, and kept ones are memory."""
        for window in self._windows.values():
            window.release()

    @property
    def iterations(self) -> Rows:
        """Every sample that accounts for an arrival or an iteration."""
        return only(self.frames.samples, flags(self.frames.samples, "iteration"))

    @cached_property
    def start_s(self) -> float:
        """Begin of the first phase that was reached."""
        return min((phase.start_s for phase in self.phases if phase.reached), default=0.0)

    @cached_property
    def end_s(self) -> float:
        """End of the last phase that was reached."""
        return max((phase.end_s for phase in self.phases if phase.reached), default=0.0)


class Window:
    """The samples and the readings of a scope, with the length of time that they belong to.

    Requests are all rows but WebSocket's. Without a name in the scope they are the rows that account for an arrival
    (`iteration`), and `scheduled` comes from the run's record; with a name they are all rows of that name, extra
    attempts too, and the rows are their own denominator.
    """

    def __init__(self, run: RunData, scope: Scope) -> None:
        self.run = run
        self.scope = scope
        self.phase = run.phase(scope.phase) if scope.phase is not None else None
        self.start_s = run.start_s if self.phase is None else self.phase.start_s
        self.end_s = run.end_s if self.phase is None else self.phase.end_s
        self.reached = (
            any(p.reached for p in run.phases) if scope.phase is None else bool(self.phase and self.phase.reached)
        )
        self.cache: dict[str, object] = {}

    @property
    def length_s(self) -> float:
        """Seconds between start and end."""
        return max(self.end_s - self.start_s, 0.0)

    @property
    def closed(self) -> bool:
        """True when users, and not a schedule, decided how many requests there were."""
        return self.phase.closed if self.phase else any(phase.closed for phase in self.run.phases)

    @cached_property
    def rows(self) -> Rows:
        """Every sample of the scope."""
        return self.run.rows(self.scope)

    @cached_property
    def counted(self) -> Rows:
        """The rows that the accounting is about: iterations, or all rows of a name."""
        return self.rows if self.scope.name is not None else only(self.rows, flags(self.rows, "iteration"))

    @cached_property
    def requests(self) -> Rows:
        """The rows that rates, shares and latencies are about: what is counted and is no WebSocket."""
        return only(self.counted, ~equals(self.counted, "protocol", _WEBSOCKET))

    @cached_property
    def responses(self) -> Rows:
        """The requests that the server answered."""
        return only(self.requests, among(self.requests, RESPONSES))

    @cached_property
    def llm(self) -> Rows:
        """The requests to a language model."""
        return only(self.requests, equals(self.requests, "protocol", _LLM))

    @cached_property
    def sql(self) -> Rows:
        """The queries to a database."""
        return only(self.requests, equals(self.requests, "protocol", Protocol.SQL))

    @cached_property
    def websocket(self) -> Rows:
        """Connects and messages."""
        return only(self.rows, equals(self.rows, "protocol", _WEBSOCKET))

    @cached_property
    def messages(self) -> Rows:
        """WebSocket messages that were received."""
        return only(self.websocket, np.asarray(self.websocket["message_type"].notna(), dtype=np.bool_))

    @cached_property
    def connects(self) -> Rows:
        """Attempts to open a WebSocket."""
        return only(self.websocket, equals(self.websocket, "name", "connect"))

    def blocks(self, rows: Rows) -> Blocks:
        """Return in which bin of time each of these rows was due; the phases of a whole run are strata."""
        return self.blocks_at(numbers(rows, "due_s"))

    def blocks_at(self, times: Floats) -> Blocks:
        """Return the bins of these moments, in ascending order."""
        phases = [self.phase] if self.phase else self.run.phases
        return Blocks.of(times, [(phase.start_s, phase.end_s) for phase in phases if phase.reached])

    @cached_property
    def accounting(self) -> Accounting:
        """scheduled = the sum of the outcomes + lost."""
        outcomes = counts(self.counted)
        total = sum(outcomes.values())
        scheduled = total if self.scope.name is not None else self._scheduled()
        return Accounting(scheduled, outcomes, scheduled - total)

    def _scheduled(self) -> int:
        phases = self.run.phases if self.scope.phase is None else [self.phase] if self.phase else []
        if self.scope.scenario is None:
            return sum(sum(phase.scheduled.values()) for phase in phases)
        return sum(phase.scheduled.get(self.scope.scenario, 0) for phase in phases)

    def release(self) -> None:
        """Let the rows go and keep what was computed: rows are found again when they are needed."""
        for name in ("rows", "counted", "requests", "responses", "llm", "sql", "websocket", "messages", "connects"):
            self.__dict__.pop(name, None)

    def readings(self, metric: str, source: str = "target", worker: str | None = None) -> tuple[Floats, Floats]:
        """Return (times, values) of a metric of the target, or of another source, inside the window."""
        return self.run.readings(metric, source, self.start_s, self.end_s, worker)


def counts(rows: Rows) -> dict[str, int]:
    """Return how many rows ended in which outcome, every outcome named."""
    names = rows.categories("outcome")
    found = np.bincount(rows.array("outcome").astype(np.int64) + 1, minlength=len(names) + 1)[1:]
    by_name = dict(zip(names, found.tolist(), strict=True))
    return {outcome.value: by_name.get(outcome.value, 0) for outcome in Outcome}


def _phases(record: RunRecord, samples: Rows) -> list[PhaseRecord]:
    """Return the phases as recorded; those of a run that crashed are completed from the plan and the samples."""
    if record.phases and record.ending is not Ending.RUNNING:
        return record.phases
    last = max(float(numbers(samples, "done_s").max()) if len(samples) else 0.0, record.ended_s or 0.0)
    known = {phase.name: phase for phase in record.phases}
    result, start = [], 0.0
    for planned in record.plan.phases:
        phase = known.get(planned.name) or PhaseRecord(
            name=planned.name,
            start_s=start,
            end_s=start + planned.duration,
            closed=planned.closed,
            reached=False,
        )
        start = phase.end_s
        reached = phase.reached or (len(samples) > 0 and phase.start_s < last)
        end = max(min(phase.end_s, last), phase.start_s) if reached else phase.end_s
        changes = {
            "reached": reached,
            "end_s": end,
            "scheduled": phase.scheduled or _found(samples, phase.name),
        }
        result.append(phase.model_copy(update=changes))
    return result


def _found(samples: Rows, phase: str) -> dict[str, int]:
    rows = only(samples, equals(samples, "phase", phase) & flags(samples, "iteration"))
    return {str(name): int(count) for name, count in rows["scenario"].value_counts().items() if count}
