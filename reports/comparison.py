"""Two runs side by side: what changed, what of it is more than chance, and what else was different."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from plans.exits import Exit
from plans.metrics import METRICS
from reports.analysis import Verdict
from reports.changes import Change, Word, change_of, usual_tolerance
from reports.figures import change_text
from reports.snapshots import Judged, Snapshot
from reports.windows import Scope

USUAL = (
    "latency_p50_ms", "latency_p95_ms", "error_rate", "throughput_rps", "ttft_due_p95_ms", "output_tokens_per_s",
    "message_latency_p95_ms",
)  # fmt: skip
"""What is judged when the plan does not say it: few, because each further one makes every interval wider."""
SHOWN = (
    *USUAL, "latency_mean_ms", "latency_p99_ms", "service_p95_ms", "goodput_rps", "availability", "ttft_due_p50_ms",
    "tpot_mean_ms", "icl_p95_ms", "quality_mean", "consistency_score", "ws_connect_p95_ms", "delivery_rate",
    "pool_wait_p95_ms", "cpu_cores_mean", "memory_leak", "connection_leak", "pool_exhausted",
)  # fmt: skip
"""What is shown with an interval, wherever both runs have one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one scope in both runs."""

    scope: Scope
    change: Change

    @property
    def where(self) -> str:
        """The scope in words."""
        return str(self.scope)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the page, the summary and the exit code are made of."""

    before: Snapshot
    after: Snapshot
    judged: list[Row]
    others: list[Row]
    """Everything else that has an interval; it is shown and decides nothing."""
    figures: list[Row]
    """Every figure of the phase that stands for the run, without intervals for those that have none."""
    differences: list[str] = field(default_factory=list)
    """What else differs: the load, the plan, the host, the machine, versions."""
    problems: list[str] = field(default_factory=list)
    """Why nothing can be compared."""

    @property
    def word(self) -> Word:
        """The answer: the worst of what is judged."""
        words = {row.change.word for row in self.judged}
        if self.problems or not words:
            return Word.UNKNOWN
        return next(word for word in (Word.REGRESSED, Word.UNKNOWN, Word.IMPROVED, Word.SAME) if word in words)

    @property
    def exit_code(self) -> int:
        """0 no regression, 1 regression, 3 cannot tell (2 is bad usage)."""
        return {Word.REGRESSED: Exit.FAIL, Word.UNKNOWN: Exit.INVALID}.get(self.word, Exit.PASS)

    @property
    def reasons(self) -> list[str]:
        """The answer in words."""
        if self.problems:
            return self.problems
        if not self.judged:
            return ["the runs have no figure with an interval in common that could be judged"]
        found = [row for row in self.judged if row.change.word is self.word]
        if self.word in {Word.SAME, Word.IMPROVED}:
            better = f", {len(found)} of them better" if self.word is Word.IMPROVED else ""
            return [f"none of {len(self.judged)} judged figures is worse by more than is tolerated{better}"]
        why = "" if self.word is Word.REGRESSED else ": run longer, or allow more (worse_at_most, --tolerance)"
        return [f"{row.change.metric} {row.where}: {self.word}{_size(row.change)}{why}" for row in found]


def compare(before: Snapshot, after: Snapshot, tolerance: float | None = None) -> Comparison:
    """Return what became of the figures; `tolerance` replaces the usual one for metrics that are no shares."""
    asked = after.judged or _usual(before, after, tolerance)
    judged = [_row(one.scope, one.metric, before, after, one.tolerance, len(asked)) for one in asked]
    taken = {(row.scope, row.change.metric) for row in judged}
    rest = [pair for pair in _common(before, after) if pair not in taken]
    others = [_row(scope, name, before, after, usual_tolerance(name), len(rest)) for scope, name in rest]
    problems = [why for one in (before, after) if (why := one.unfit)]
    figures = list(_figures(before, after))
    return Comparison(before, after, judged, others, figures, differences(before, after), problems)


def _size(change: Change) -> str:
    if change.interval is None:
        return ""
    low, high = (change_text(end, change.metric) for end in change.interval)
    return f", {change_text(change.change, change.metric)} ({low} to {high})"


def main_scope(before: Snapshot, after: Snapshot) -> Scope:
    """Return the scope that stands for the runs: the phase that does when both have it, else the whole run."""
    chosen = Scope(after.phase)
    return chosen if before.of(chosen) and after.of(chosen) else Scope()


def _usual(before: Snapshot, after: Snapshot, tolerance: float | None) -> list[Judged]:
    scope = main_scope(before, after)
    names = [name for there, name in _common(before, after) if there == scope and name in USUAL]
    return [
        Judged(
            phase=scope.phase,
            metric=name,
            tolerance=usual_tolerance(name) if tolerance is None or METRICS[name].unit == "ratio" else tolerance,
        )
        for name in names
    ]


def _common(before: Snapshot, after: Snapshot) -> Iterator[tuple[Scope, str]]:
    """Yield every scope and metric that can be told in both."""
    for scoped in after.scopes:
        there = before.of(scoped.scope)
        for name in SHOWN if there is not None else ():
            one, other = scoped.metrics.get(name), there.metrics.get(name) if there else None
            told = one is not None and other is not None
            if told and (METRICS[name].unit == "bool" or (one and one.interval and other and other.interval)):
                yield scoped.scope, name


def _row(scope: Scope, name: str, before: Snapshot, after: Snapshot, tolerance: float, among: int) -> Row:
    one, other = before.of(scope), after.of(scope)
    figures = (one.metrics.get(name) if one else None, other.metrics.get(name) if other else None)
    return Row(scope, change_of(name, *figures, tolerance, among))


def _figures(before: Snapshot, after: Snapshot) -> Iterator[Row]:
    scope = main_scope(before, after)
    one, other = before.of(scope), after.of(scope)
    for name in METRICS if one and other else ():
        if one and other and (name in one.metrics or name in other.metrics):
            yield Row(scope, change_of(name, one.metrics.get(name), other.metrics.get(name), usual_tolerance(name)))


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Return what differs beside the server, in words: a change of the figures may come from it."""
    found = []
    if before.plan != after.plan:
        found.append(f"plan: {before.plan or 'none'}, then {after.plan or 'none'}")
    if changed := [name for name in after.parts if before.parts and before.parts.get(name) != after.parts[name]]:
        found.append(f"the plan's {', '.join(changed)}")
    for scoped in after.scopes:
        there = before.of(scoped.scope)
        if there is not None and scoped.load != there.load and there.load and scoped.load:
            found.append(f"load {scoped.scope}: {there.load}, then {scoped.load}")
    if before.host != after.host and before.run:
        found.append(f"host: {before.host}, then {after.host}")
    found += _different("machine", before.machine, after.machine)
    found += _different("version", before.versions, after.versions)
    found += [f"{one.name} is a rehearsal" for one in (before, after) if one.rehearsal]
    found += [f"{one.name} is {one.verdict}" for one in (before, after) if one.verdict == Verdict.FAIL.value]
    return found


def _different(what: str, before: dict[str, str], after: dict[str, str]) -> Sequence[str]:
    names = [name for name in {**before, **after} if before and after and before.get(name) != after.get(name)]
    return [f"{what}, {name}: {before.get(name, 'none')}, then {after.get(name, 'none')}" for name in names]
