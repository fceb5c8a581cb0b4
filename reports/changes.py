"""How much a figure changed between two runs, how sure that is, and what it is called.

The interval of a difference comes from the intervals of both figures (Zou and Donner, Statistics in Medicine 27, 2008;
for shares it is Newcombe's of 1998), which know how requests hang together. So a comparison needs figures and no
samples, and costs nothing at any length of a run.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from plans.metrics import METRICS, Better
from reports.intervals import COSINES
from reports.snapshots import Figure
from reports.statistics import Interval, t_quantile

TOLERANCE = 0.05
"""By how much a figure may be worse unless a plan says otherwise: a twentieth; of a share, a hundredth of that."""
SHARE_TOLERANCE = 0.005


class Word(StrEnum):
    """What is said of a change."""

    IMPROVED = "improved"
    SAME = "same"
    REGRESSED = "regressed"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Change:
    """A metric before and after.

    `change` and its interval are shares of the value before (0.1: 10 % more), differences for metrics that are shares
    themselves. `worse` is the same, positive where it got worse.
    """

    metric: str
    before: Figure | None
    after: Figure | None
    change: float | None
    interval: Interval | None
    tolerance: float
    word: Word
    why: str = ""
    """Why it cannot be told."""

    @property
    def worse(self) -> Interval | None:
        """The interval of the change for the worse."""
        if self.interval is None:
            return None
        low, high = self.interval
        return (low, high) if METRICS[self.metric].better is Better.LOWER else (-high, -low)


def usual_tolerance(metric: str) -> float:
    """Return by how much a metric may be worse when nobody says it."""
    return SHARE_TOLERANCE if METRICS[metric].unit == "ratio" else TOLERANCE


def change_of(metric: str, before: Figure | None, after: Figure | None, tolerance: float, among: int = 1) -> Change:
    """Return what became of a metric; `among` so many all intervals hold at once with 95 % (Bonferroni)."""

    def unknown(why: str, change: float | None = None) -> Change:
        return Change(metric, before, after, change, None, tolerance, Word.UNKNOWN, why)

    if before is None or after is None:
        where = "in either run" if before is after else "before" if before is None else "after"
        return unknown(f"there is no value {where}")
    if METRICS[metric].better is Better.NEITHER:
        return unknown("neither direction is better", _change(metric, before, after))
    if METRICS[metric].unit == "bool":
        return _yes_or_no(metric, before, after)
    change = _change(metric, before, after)
    if change is None:
        return unknown("a change from or to 0 has no share")
    if before.interval is None or after.interval is None:
        return unknown("the figure has no interval", change)
    interval = _interval(metric, before, after, _stretch(before, after, among))
    found = Change(metric, before, after, change, interval, tolerance, Word.UNKNOWN)
    assert found.worse is not None
    sign = 1 if METRICS[metric].better is Better.LOWER else -1
    word = _word(sign * change, found.worse, tolerance)
    why = "the interval holds both no change and one that is more than tolerated" if word is Word.UNKNOWN else ""
    return Change(metric, before, after, change, interval, tolerance, word, why)


def _word(worse: float, interval: Interval, tolerance: float) -> Word:
    """Return the word: a regression is beyond chance and beyond the tolerance; `same` excludes one.

    >>> _word(0.08, (0.02, 0.14), 0.05), _word(0.02, (-0.01, 0.04), 0.05), _word(0.02, (-0.09, 0.13), 0.05)
    (<Word.REGRESSED: 'regressed'>, <Word.SAME: 'same'>, <Word.UNKNOWN: 'cannot tell'>)
    """
    low, high = interval
    if low > 0 and worse > tolerance:
        return Word.REGRESSED
    if high < 0 and worse < -tolerance:
        return Word.IMPROVED
    return Word.SAME if high <= tolerance else Word.UNKNOWN


def _yes_or_no(metric: str, before: Figure, after: Figure) -> Change:
    better = METRICS[metric].better is Better.HIGHER
    if before.value == after.value:
        word = Word.SAME
    else:
        word = Word.IMPROVED if bool(after.value) is better else Word.REGRESSED
    return Change(metric, before, after, None, None, 0.0, word)


def _change(metric: str, before: Figure, after: Figure) -> float | None:
    if METRICS[metric].unit == "ratio":
        return after.value - before.value
    return after.value / before.value - 1 if min(before.value, after.value) > 0 else None


def _stretch(before: Figure, after: Figure, among: int) -> float:
    """Return how much longer the arms of the 95 % intervals must be for this many, and for two independent runs.

    Each arm is a t quantile of eight degrees of freedom; the difference has up to sixteen (Welch and Satterthwaite).
    """
    arms = [(f.interval[1] - f.interval[0]) ** 2 for f in (before, after) if f.interval is not None]
    squares = sum(arm**2 for arm in arms)
    freedom = COSINES * sum(arms) ** 2 / squares if squares > 0 else float(COSINES)
    return t_quantile(freedom, 1 - 0.05 / among) / t_quantile(COSINES)


def _interval(metric: str, before: Figure, after: Figure, stretch: float) -> Interval:
    share = METRICS[metric].unit == "ratio"
    scale: Callable[[float], float] = float if share else _log
    (b, b_low, b_high), (a, a_low, a_high) = _scaled(before, scale), _scaled(after, scale)
    low = a - b - stretch * math.hypot(a - a_low, b_high - b)
    high = a - b + stretch * math.hypot(a_high - a, b - b_low)
    return (low, high) if share else (math.exp(low) - 1, math.exp(min(high, 700)) - 1)


def _scaled(figure: Figure, scale: Callable[[float], float]) -> tuple[float, float, float]:
    assert figure.interval is not None
    return scale(float(figure.value)), scale(figure.interval[0]), scale(figure.interval[1])


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
