"""Limits on getting worse than the plan's baseline: judged by the change, its interval and the tolerance."""

from plans.metrics import METRICS, Better
from plans.schema import Criterion
from reports.analysis import CriterionResult, Measured, State
from reports.changes import Change, Word, change_of
from reports.figures import change_text, figure, limit_text, unit_of
from reports.limits import broken
from reports.snapshots import Figure, NoSnapshot, Snapshot, figure_of, read_snapshot
from reports.windows import RunData, Scope


def judge_change(criterion: Criterion, run: RunData, measured: Measured) -> CriterionResult:
    """Hold a metric of this run against the same one of the plan's baseline.

    Without a figure of the same load to hold it against there is no data, and no pass. A change that cannot be told
    from one beyond the tolerance is no data either: the run was too short, or too restless, to say.
    """
    scope = Scope(criterion.phase, criterion.scenario, criterion.name)
    before = _before(criterion, run, scope)
    assert criterion.worse_at_most is not None
    if isinstance(before, str) or measured.value is None:
        why = before if isinstance(before, str) else measured.why or "nothing was measured"
        state = State.NO_DATA
        if measured.unbounded and METRICS[criterion.metric].better is Better.LOWER:
            state = broken(criterion)
        reason = f"{criterion.metric} {scope} cannot be held against the baseline: {why}; limit {limit_text(criterion)}"
        return CriterionResult(criterion, measured, state, None, False, reason)
    among = sum(one.worse_at_most is not None for one in run.plan.criteria)
    change = change_of(criterion.metric, before, figure_of(measured), criterion.worse_at_most, among)
    state = {Word.REGRESSED: broken(criterion), Word.UNKNOWN: State.NO_DATA}.get(change.word, State.PASS)
    return CriterionResult(
        criterion, measured, state, _margin(change), False, _reason(change, scope, limit_text(criterion))
    )


def notes_on(run: RunData) -> list[str]:
    """Return what a reader of a comparison with the baseline must know: what else was different."""
    baseline = baseline_of(run)
    if not isinstance(baseline, Snapshot) or not any(one.worse_at_most is not None for one in run.plan.criteria):
        return []
    return [f"The baseline {baseline.name} was measured under another {what}." for what in _others(baseline, run)]


def _others(baseline: Snapshot, run: RunData) -> list[str]:
    record = run.record
    pairs = (
        (f"host: {baseline.host}", baseline.host, record.host),
        (f"machine: {baseline.machine.get('processor', '')}", baseline.machine, record.machine),
        ("version of Proofload or of what it uses", baseline.versions, record.versions),
    )
    return [what for what, before, now in pairs if before and before != now]


def baseline_of(run: RunData) -> Snapshot | str:
    """Return the plan's baseline as the run found it, or why there is none."""
    if run.record.baseline is None:
        return f"there was no baseline {run.plan.baseline or ''}".strip()
    try:
        return read_snapshot(run.record.baseline)
    except NoSnapshot as problem:
        return f"the baseline {run.plan.baseline} cannot be used: {problem}"


def _before(criterion: Criterion, run: RunData, scope: Scope) -> Figure | str:
    baseline = baseline_of(run)
    if isinstance(baseline, str):
        return baseline
    if unfit := baseline.unfit:
        return unfit
    scoped = baseline.of(scope)
    if scoped is None and baseline.run == "":
        scoped = baseline.of(Scope())  # figures that somebody wrote down hold everywhere
    if scoped is None:
        return f"the baseline {baseline.name} has no figures {scope}"
    planned = run.planned(criterion.phase) if criterion.phase else None
    if planned is not None and scoped.load and scoped.load != planned.load_text:
        return f"the load of the phase is {planned.load_text}, and was {scoped.load} in the baseline {baseline.name}"
    figure_before = scoped.metrics.get(criterion.metric)
    return figure_before or f"the baseline {baseline.name} has no {criterion.metric} {scope}"


def _margin(change: Change) -> float | None:
    """Return how far inside the limit the value is, as a share of the limit."""
    if change.before is None or change.after is None or METRICS[change.metric].unit == "bool":
        return None
    lower = METRICS[change.metric].better is Better.LOWER
    step = change.tolerance * (1 if METRICS[change.metric].unit == "ratio" else abs(change.before.value))
    limit = change.before.value + (step if lower else -step)
    inside = limit - change.after.value if lower else change.after.value - limit
    return inside / abs(limit) if limit else None


def _reason(change: Change, scope: Scope, limit: str) -> str:
    metric, unit = change.metric, unit_of(change.metric)
    assert change.before is not None
    assert change.after is not None
    values = f"{figure(change.after.value, unit)} after {figure(change.before.value, unit)} of the baseline"
    size = "" if change.change is None else f", {change_text(change.change, metric)}"
    ends = ""
    if change.interval is not None:
        low, high = (change_text(end, metric) for end in change.interval)
        ends = f" (95 %: {low} to {high})"
    why = f", {change.why}" if change.why else ""
    return f"{metric} {scope} was {values}{size}{ends}: {change.word}{why}; limit {limit}"
