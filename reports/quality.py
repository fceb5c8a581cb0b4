"""Metrics of the answers themselves: how good they are, how steadily, and whether load changes them."""

import numpy as np

from plans.schema import Criterion
from reports.analysis import Measured
from reports.intervals import mean_interval, share_interval
from reports.rows import Mask, among, equals, numbers, only
from reports.statistics import wilson
from reports.windows import Window
from samples.sample import RESPONSES, Defect, Outcome

_WINDOW_S = 30.0
_THRESHOLD = 0.8


def quality_mean(window: Window) -> Measured:
    """Return the mean grade."""
    graded = np.isfinite(numbers(window.requests, "quality"))
    if not graded.any():
        return Measured(None, 0, "no answer was graded")
    return _mean(window, "quality", graded)


def _mean(window: Window, column: str, chosen: Mask) -> Measured:
    values = numbers(window.requests, column)[chosen]
    interval = mean_interval(values, window.blocks(window.requests).only(chosen))
    if interval is not None:
        interval = (max(interval[0], 0.0), min(interval[1], 1.0))
    return Measured(float(values.mean()), len(values), interval=interval)


def quality_stability(window: Window) -> Measured:
    """Return the share of whole 30-second windows with graded answers whose mean is at the plan's threshold."""
    count = int(window.length_s / _WINDOW_S + 1e-9)
    if count == 0:
        return Measured(None, 0, f"the phase is shorter than a window of {_WINDOW_S:.0f} s")
    quality = numbers(window.requests, "quality")
    places = np.floor((numbers(window.requests, "due_s") - window.start_s) / _WINDOW_S).astype(np.int64)
    inside = np.isfinite(quality) & (places >= 0) & (places < count)
    answers = np.bincount(places[inside], minlength=count)
    sums = np.bincount(places[inside], weights=quality[inside], minlength=count)
    graded = answers > 0
    if not graded.any():
        return Measured(None, 0, "no answer was graded")
    means = sums[graded] / answers[graded]
    held = int((means >= threshold(window) - 1e-9).sum())
    return Measured(held / len(means), len(means), interval=wilson(held, len(means)))


def threshold(window: Window) -> float:
    """Return the lowest mean quality that the plan allows: of the same scope, else of its phase, else of any phase."""

    def nearness(criterion: Criterion) -> tuple[bool, bool]:
        scope = window.scope
        same = (criterion.phase, criterion.scenario, criterion.name) == (scope.phase, scope.scenario, scope.name)
        return not same, criterion.phase != scope.phase

    limits = [
        criterion
        for criterion in window.run.plan.criteria
        if criterion.metric == "quality_mean" and criterion.operator in {">", ">="}
    ]
    return float(min(limits, key=nearness).limit) if limits else _THRESHOLD


def consistency_score(window: Window) -> Measured:
    """Return the mean similarity of the answers to canaries with the unloaded answers to the same."""
    compared = np.isfinite(numbers(window.requests, "similarity"))
    if compared.any():
        return _mean(window, "similarity", compared)
    if not window.run.plan.mix.ChatUser or not window.run.plan.mix.ChatUser.canaries:
        return Measured(None, 0, "the plan asks no canaries (mix.ChatUser.canaries)")
    return Measured(None, 0, "no canary was answered both before the load and under it")


def judge_score(window: Window) -> Measured:
    """Return the mean grade that the judge gave."""
    judgement = window.run.judgement
    if judgement is None:
        return Measured(None, 0, "no judge was asked (judge)")
    grades = [graded.grade for graded in judgement.grades]
    if not grades:
        return Measured(None, 0, f"the judge gave no grade: {'; '.join(judgement.problems) or 'no answer was kept'}")
    return Measured(sum(grades) / len(grades), len(grades))


def defect_rate(window: Window, defect: Defect | None = None) -> Measured:
    """Return the share of the answers of a language model that have a defect, or this one."""
    rows = window.llm
    rows = only(rows, among(rows, RESPONSES - {Outcome.HTTP_ERROR}))
    if not len(rows):
        return Measured(None, 0, "no answer of a language model was received")
    found = np.asarray(rows["defect"].notna(), dtype=np.bool_) if defect is None else equals(rows, "defect", defect)
    bad = int(found.sum())
    return Measured(bad / len(rows), len(rows), interval=share_interval(found, window.blocks(rows)))
