"""The steps of a load that rises: what was asked of the server in each, what it gave, and which limits broke."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from plans.metrics import KNOWN_AT_THE_END, METRICS, Kind
from plans.phases import Phase, Shape
from plans.run import PhaseRecord
from plans.schema import Criterion
from reports.analysis import Measured, StressStep
from reports.limits import holds, upper
from reports.rows import Rows, among, equals, numbers, only
from reports.statistics import nearest_rank
from reports.windows import RunData, Scope, Window
from samples.sample import RESPONSES, Outcome, Protocol

Measure = Callable[[str, Window], Measured]

WINDOW_S, FEWEST_WINDOWS, MOST_WINDOWS = 10.0, 5, 60
"""Windows are 10 seconds long; there are five at least in a shorter step, and sixty at most in a longer one."""
KEPT_UP = 0.95
_OF_WINDOWS = frozenset({Kind.REQUEST, Kind.LLM, Kind.SQL})
_NOT_OF_WINDOWS = frozenset({"stability_score", "quality_stability", "tokens_per_event"})
KEEPS_UP = "throughput >= 95 % of offered"
"""The limit that every plan has, in words."""


@dataclass(frozen=True, slots=True)
class Level:
    """A stretch of even load: arrivals/s, or users when it is closed."""

    load: float
    closed: bool
    start_s: float
    end_s: float
    phase: str


class Part(Window):
    """The rows of a window that were due in a part of its time."""

    def __init__(self, whole: Window, start_s: float, end_s: float) -> None:
        super().__init__(whole.run, whole.scope)
        self._whole, self.start_s, self.end_s = whole, start_s, end_s

    @cached_property
    def rows(self) -> Rows:
        """Every sample of the part."""
        return between(self._whole.rows, self.start_s, self.end_s)

    def _scheduled(self) -> int:
        return len(self.counted)


def between(rows: Rows, start_s: float, end_s: float) -> Rows:
    """Return the rows that were due from one moment to before another; they are in the order of their due times."""
    first, last = np.searchsorted(numbers(rows, "due_s"), [start_s, end_s])
    return rows.between(int(first), int(last))


def levels(window: Window) -> list[Level]:
    """Return the levels of a window in the order of time, each higher than all before it.

    A phase in steps has its steps, one of constant load is a single level, and a spike its base and its peak. What
    leads up to it counts too: the last constant phase of lower load before it is its first level.
    """
    run = window.run
    if window.phase is None:
        found = [level for phase in run.phases for level in _of_phase(run, phase)]
    else:
        found = _of_phase(run, window.phase)
        before = run.phases[: run.phases.index(window.phase)][-1:]
        leading = [level for phase in before for level in _of_phase(run, phase)]
        found = [*(leading if len(leading) == 1 else []), *found]
    if not found:
        return []
    kept: list[Level] = []
    for level in found:
        if level.closed == found[-1].closed and (not kept or level.load > kept[-1].load):
            kept.append(level)
    return kept


def _of_phase(run: RunData, phase: PhaseRecord) -> list[Level]:
    planned = run.planned(phase.name)
    if planned is None or not phase.reached:
        return []
    ends = [level for level in _planned_levels(planned, phase) if level.start_s < phase.end_s]
    return [Level(one.load, one.closed, one.start_s, min(one.end_s, phase.end_s), one.phase) for one in ends]


def _planned_levels(planned: Phase, phase: PhaseRecord) -> list[Level]:
    start, closed, name = phase.start_s, phase.closed, phase.name
    if planned.form is Shape.CONSTANT:
        return [Level(planned.load.value or 0.0, closed, start, start + planned.duration, name)]
    if planned.form is Shape.STEPS:
        count = planned.load.steps or 1
        edges = (start + np.linspace(0, planned.duration, count + 1)).tolist()
        loads = np.linspace(planned.load.from_ or 0.0, planned.load.to or 0.0, count).tolist()
        return [Level(n, closed, a, b, name) for n, (a, b) in zip(loads, pairwise(edges), strict=True)]
    if planned.form is Shape.SPIKE:
        rise, hold, fall = planned.spike_times()
        begin = start + max((planned.duration - rise - hold - fall) / 2, 0.0)
        base, peak = planned.load.base or 0.0, planned.load.peak or 0.0
        top = Level(peak, closed, begin + rise, begin + rise + hold, name)
        return [top] if begin == start else [Level(base, closed, start, begin, name), top]
    return []


def steps(window: Window, measure: Measure) -> list[StressStep]:
    """Return the steps of a window with what was measured in each; kept, as several metrics rest on them."""
    if "steps" not in window.cache:
        found = levels(window)
        rows = _requests(window.run) if len(found) > 1 else None
        window.cache["steps"] = [] if rows is None else [_step(window.run, rows, level, measure) for level in found]
    kept = window.cache["steps"]
    assert isinstance(kept, list)
    return kept


def _requests(run: RunData) -> Rows:
    return only(run.iterations, ~equals(run.iterations, "protocol", Protocol.WEBSOCKET))


def _step(run: RunData, every: Rows, level: Level, measure: Measure) -> StressStep:
    length = max(level.end_s - level.start_s, 1e-9)
    rows = between(every, level.start_s, level.end_s)
    count = max(len(rows), 1)
    done = numbers(every, "done_s")
    good = equals(every, "outcome", Outcome.OK) & (done >= level.start_s) & (done < level.end_s)
    answered = only(rows, among(rows, RESPONSES))
    latency = np.sort((numbers(answered, "done_s") - numbers(answered, "due_s")) * 1000)
    refused = equals(rows, "outcome", Outcome.HTTP_ERROR) & np.isin(numbers(rows, "status"), (429, 503))
    windows, broken, limits = _limits_of(run, level, measure)
    return StressStep(
        load=level.load,
        closed=level.closed,
        phase=level.phase,
        start_s=level.start_s,
        end_s=level.end_s,
        offered_rps=len(rows) / length,
        ok_rps=float(good.sum()) / length,
        errors=float(equals(rows, "outcome", Outcome.HTTP_ERROR).sum()) / count,
        refused=float(refused.sum()) / count,
        unanswered=float((~among(rows, RESPONSES)).sum()) / count,
        p50_ms=nearest_rank(latency, 500) if len(latency) else None,
        p95_ms=nearest_rank(latency, 950) if len(latency) else None,
        windows=windows,
        broken=broken,
        limits=limits,
    )


def _limits_of(run: RunData, level: Level, measure: Measure) -> tuple[int, int, tuple[str, ...]]:
    """Return (windows with arrivals, windows in which a limit broke, the limits that did, the most frequent first)."""
    whole = run.window(Scope(level.phase))
    criteria = [criterion for criterion in run.plan.criteria if _judges_windows(criterion, level.phase)]
    whole_s = level.end_s - level.start_s
    length = max(min(WINDOW_S, whole_s / FEWEST_WINDOWS), whole_s / MOST_WINDOWS)
    count, broken, seen = 0, 0, dict[str, int]()
    for number in range(int(whole_s / length + 1e-6) if length > 0 else 0):
        part = Part(whole, level.start_s + number * length, level.start_s + (number + 1) * length)
        if not len(part.requests):
            continue
        names = _broken_in(part, criteria, measure)
        count, broken = count + 1, broken + bool(names)
        for name in names:
            seen[name] = seen.get(name, 0) + 1
    return count, broken, tuple(sorted(seen, key=lambda name: -seen[name]))


def _judges_windows(criterion: Criterion, phase: str) -> bool:
    metric = METRICS[criterion.metric]
    return (
        criterion.phase in (None, phase)
        and criterion.worse_at_most is None
        and criterion.scenario is None
        and criterion.name is None
        and metric.kind in _OF_WINDOWS
        and metric.unit in {"ms", "ratio"}
        and criterion.metric not in _NOT_OF_WINDOWS | KNOWN_AT_THE_END
    )


def _broken_in(part: Part, criteria: list[Criterion], measure: Measure) -> list[str]:
    names = [] if len(part.responses) >= KEPT_UP * len(part.requests) - 1e-9 else [KEEPS_UP]
    for criterion in criteria:
        measured = measure(criterion.metric, part)
        if measured.value is None:
            broken = measured.unbounded and upper(criterion)
        else:
            broken = not holds(criterion, measured.value)
        if broken:
            names.append(f"{criterion.metric} {criterion.operator} {criterion.limit:g}")
    return list(dict.fromkeys(names))
