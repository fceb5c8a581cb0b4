"""Levels and turns of figures over many runs, and the page that shows them as small multiples."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from ruptures import Pelt

from plans.metrics import METRICS, Better
from reports.changes import usual_tolerance
from reports.figures import change_text, figure, unit_of
from reports.history import TRACKED, Entry, Point, Series
from reports.render import page
from reports.texts import one_line

_FEWEST = 3
"""Runs on either side of a turn: a single bad run is an outlier and no level."""
_PENALTY = 5.0
"""Times variance times log n: no more than one steady series in 20 is given a turn (simulated, 6 runs and more)."""
_NORMAL_MAD = 0.6745 * math.sqrt(2)
_STYLES = tuple(f"styles/{name}.css" for name in ("theme", "page", "tables", "comparison", "print"))
_WIDTH, _HEIGHT, _EDGE = 300.0, 92.0, 8.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of level between two runs: `at` is the place of the first run of the new one."""

    at: int
    change: float
    """A share of the level before; a difference for metrics that are shares."""
    worse: bool | None


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric over the runs of a plan; levels are (first, last, mean) of the stretches between turns."""

    metric: str
    points: list[Point]
    levels: list[tuple[int, int, float]]
    turns: list[Turn]

    @property
    def worse(self) -> bool:
        """True when the newest level is worse than the one before it."""
        return bool(self.turns) and self.turns[-1].worse is True

    @property
    def text(self) -> str:
        """The newest value, and since when it is as it is."""
        newest = figure(self.points[-1].value, unit_of(self.metric))
        if not self.turns:
            return f"{newest}, no change of level in {len(self.points)} runs"
        turn = self.turns[-1]
        word = {True: "worse", False: "better", None: "other"}[turn.worse]
        since = self.points[turn.at].entry
        return f"{newest}, {word} since {since.folder}: {change_text(turn.change, self.metric)}"


@dataclass(frozen=True, slots=True)
class PlanTrends:
    """Everything that is told of a plan."""

    plan: str
    entries: list[Entry]
    trends: list[Trend] = field(default_factory=list)

    @property
    def worse(self) -> bool:
        """True when the newest level of a figure is worse than the one before it."""
        return any(trend.worse for trend in self.trends)

    @property
    def lines(self) -> list[str]:
        """What a terminal shows."""
        newest = self.entries[-1]
        head = f"{one_line(self.plan, 80)} · {one_line(newest.phase, 60)} · {newest.load} · {len(self.entries)} runs"
        return [head, *(f"  {'!' if trend.worse else ' '} {trend.metric}: {trend.text}" for trend in self.trends)]


def trends_of(plans: Iterable[tuple[str, list[Entry], Series]]) -> list[PlanTrends]:
    """Return the trends of each plan, metrics in the order in which they are tracked."""
    return [
        PlanTrends(plan, entries, [_trend(metric, series[metric]) for metric in TRACKED if metric in series])
        for plan, entries, series in plans
    ]


def _trend(metric: str, points: list[Point]) -> Trend:
    values = [point.value for point in points]
    ends = [0, *turns(values, METRICS[metric].unit != "ratio"), len(values)]
    means = [float(np.mean(values[first:last])) for first, last in pairwise(ends)]
    # A level that differs by less than a comparison tolerates is the same one.
    tolerance, found = usual_tolerance(metric), []
    for at, (before, after) in zip(ends[1:], pairwise(means), strict=False):
        change = after - before if METRICS[metric].unit == "ratio" else after / before - 1 if before else math.inf
        if abs(change) > tolerance:
            better = METRICS[metric].better
            worse = None if better is Better.NEITHER else (change > 0) is (better is Better.LOWER)
            found.append(Turn(at, change, worse))
    stretches = [0, *(turn.at for turn in found), len(values)]
    levels = [(first, last - 1, float(np.mean(values[first:last]))) for first, last in pairwise(stretches)]
    return Trend(metric, points, levels, found)


def turns(values: Sequence[float], relative: bool) -> list[int]:
    """Return the places at which a new level begins; none for fewer than six values.

    Optimal partitioning by PELT (Killick, Fearnhead and Eckley, JASA 107, 2012) of values of one variance around
    piecewise constant means. The variance is taken from the differences of neighbours, which a change of level
    hardly touches. `relative` values are taken as logarithms when all are above 0.
    """
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2 * _FEWEST:
        return []
    if relative and (series > 0).all():
        series = np.log(series)
    spread = float(np.median(np.abs(np.diff(series)))) / _NORMAL_MAD
    spread = max(spread, 1e-9 * max(float(np.abs(series).max()), 1e-9))
    fitted = Pelt(model="l2", min_size=_FEWEST, jump=1).fit(series.reshape(-1, 1))
    return [int(place) for place in fitted.predict(pen=_PENALTY * spread**2 * math.log(len(series)))[:-1]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A trend as coordinates of a small picture."""

    trend: Trend
    line: str
    spans: list[tuple[float, float, float]]
    """(x, y of the low end, y of the high end) of each interval."""
    dots: list[tuple[float, float, Point]]
    levels: list[tuple[float, float, float]]
    turns: list[float]
    top: str
    bottom: str


def drawn(trend: Trend) -> Drawing:
    """Return where everything of a trend lies; the axis holds every value and every interval."""
    values = [v for p in trend.points for v in (p.value, p.low, p.high) if v is not None]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room

    def x(place: float) -> float:
        return round(_EDGE + (_WIDTH - 2 * _EDGE) * (place / max(len(trend.points) - 1, 1)), 1)

    def y(value: float) -> float:
        return round(_HEIGHT * (1 - (value - low) / (high - low)), 1)

    places = [(x(index), y(point.value), point) for index, point in enumerate(trend.points)]
    return Drawing(
        trend,
        " ".join(f"{left},{top}" for left, top, _ in places),
        [(x(i), y(p.low), y(p.high)) for i, p in enumerate(trend.points) if p.low is not None and p.high is not None],
        places,
        [(x(first - 0.4), x(last + 0.4), y(mean)) for first, last, mean in trend.levels],
        [x(turn.at - 0.5) for turn in trend.turns],
        figure(max(p.value for p in trend.points), unit_of(trend.metric)),
        figure(min(p.value for p in trend.points), unit_of(trend.metric)),
    )


def write(found: list[PlanTrends], folder: Path) -> Path:
    """Write the history as HTML and JSON and return the page. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(to_json(found), encoding="utf-8", errors="replace")
    place = folder / "history.html"
    place.write_text(to_html(found), encoding="utf-8", errors="replace")
    return place


def to_html(found: list[PlanTrends]) -> str:
    """Return the page: one file, everything escaped, nothing fetched."""
    plans = [(one, [drawn(trend) for trend in one.trends]) for one in found]
    tone = "FAIL" if any(one.worse for one in found) else "PASS"
    return page("history.html.j2", _STYLES, plans=plans, tone=tone, unit_of=unit_of)


def to_json(found: list[PlanTrends]) -> str:
    """Return the history for machines."""
    plans = [
        {
            "plan": one.plan,
            "phase": one.entries[-1].phase,
            "load": one.entries[-1].load,
            "runs": [{"folder": e.folder, "started_at": e.started_at, "verdict": e.verdict} for e in one.entries],
            "metrics": {trend.metric: _plain(trend) for trend in one.trends},
        }
        for one in found
    ]
    return json.dumps({"schema_version": 1, "plans": plans}, indent=1, ensure_ascii=True) + "\n"


def _plain(trend: Trend) -> dict[str, object]:
    return {
        "unit": unit_of(trend.metric),
        "values": [
            {"run": p.entry.folder, "value": p.value, "interval": p.low if p.low is None else [p.low, p.high]}
            for p in trend.points
        ],
        "turns": [
            {
                "run": trend.points[t.at].entry.folder,
                "change": t.change if math.isfinite(t.change) else None,
                "worse": t.worse,
            }
            for t in trend.turns
        ],
        "worse": trend.worse,
    }
