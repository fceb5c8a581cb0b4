"""The plan's limits, each held against what was measured, with a reason in words."""

import math
from dataclasses import replace

from plans.schema import Criterion
from reports.analysis import CriterionResult, Measured, State
from reports.figures import length, limit_text, pair
from reports.limits import broken, holds, margin, upper
from reports.metrics import measure
from reports.regression import judge_change
from reports.windows import RunData, Scope


def judge(criterion: Criterion, run: RunData) -> CriterionResult:
    """Return what became of one criterion."""
    scope = Scope(criterion.phase, criterion.scenario, criterion.name)
    measured = measure(criterion.metric, run.window(scope))
    if criterion.worse_at_most is not None:
        return _told_of_the_part(judge_change(criterion, run, measured), run)
    return _told_of_the_part(result_of(criterion, measured, str(scope)), run)


def result_of(criterion: Criterion, measured: Measured, where: str) -> CriterionResult:
    """Hold a measured value against a criterion; `where` says in words what it was taken over."""
    value = measured.value
    if value is not None and not isinstance(value, bool) and not math.isfinite(value):
        measured = replace(measured, value=None, why=f"the value is {value}, which is no number to judge")
        value = None
    bound = measured.lower_bound
    if value is None and bound is not None and not upper(criterion) and holds(criterion, bound):
        reason = f"{criterion.metric} {where} lies above {bound:g}: {measured.why}; limit {limit_text(criterion)}"
        return CriterionResult(criterion, measured, State.PASS, None, False, reason)
    if value is None:
        state = State.NO_DATA
        if measured.unbounded and upper(criterion):
            state = broken(criterion)
        return CriterionResult(criterion, measured, state, None, False, _silent(criterion, measured, where))
    state = State.PASS if holds(criterion, value) else broken(criterion)
    interval = measured.interval
    close = interval is not None and interval[0] <= float(criterion.limit) <= interval[1]
    result = CriterionResult(criterion, measured, state, margin(criterion, value), close, "")
    return replace(result, reason=_reason(result, where))


def _told_of_the_part(result: CriterionResult, run: RunData) -> CriterionResult:
    """Return the result with a word on how much of its phase it was judged on, when that was not all of it."""
    ran, planned = run.lengths(result.criterion.phase)
    if not 0 < ran < planned * (1 - 1e-6):
        return result
    return replace(result, reason=f"{result.reason}; judged on {length(ran)} of {length(planned)}")


def _silent(criterion: Criterion, measured: Measured, where: str) -> str:
    """Return the reason when there is no value."""
    why, limit = measured.why or "nothing was measured", limit_text(criterion)
    if measured.unbounded and upper(criterion):
        return f"{criterion.metric} {where} is beyond every limit: {why}; limit {limit}"
    return f"{criterion.metric} {where} has no data: {why}; limit {limit}"


def _reason(result: CriterionResult, where: str) -> str:
    value, limit = pair(result)
    inside = "" if result.margin is None else f" ({_share(result.margin)})"
    samples = f"{result.measured.samples} sample{'' if result.measured.samples == 1 else 's'}"
    close = "; close: the limit lies inside the 95 % interval" if result.close else ""
    return f"{result.criterion.metric} {where} was {value}, limit {limit}{inside}, {samples}{close}"


def _share(inside: float) -> str:
    """Return a margin in words, cut and not rounded: 63.9 % inside is no 64 %."""
    percent = abs(inside) * 100
    number = f"{math.floor(percent)}" if percent >= 10 else f"{percent:.2g}"
    if percent == 0:
        return "exactly at the limit"
    return f"{number} % {'inside' if inside > 0 else 'outside'}"
