"""What a search found, in the form that is kept: `capacity.json`, and `runs/capacity/<plan id>.json` beside others."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from capacity.fit import Crossing
from capacity.law import Knee, Scalability, fit_usl, knee
from capacity.limits import Limits
from capacity.probes import Probe, Role
from capacity.search import Found
from plans.exits import Exit
from reports.figures import limit_text

SCHEMA_VERSION = 1
FOLDER = "capacity"
"""Folder of all searches in the folder of the runs."""
_DRIFT, _DRIFT_MS = 0.25, 5.0
"""So much slower or faster is the server on the anchor, beyond both intervals of the median, when it has changed."""
_NEAR = 0.3


@dataclass(frozen=True, slots=True)
class LimitFound:
    """One limit, where it is crossed (in the unit of the search), and whether it is the one that decides."""

    text: str
    capacity: float | None
    low: float | None
    high: float | None
    limiting: bool


@dataclass(frozen=True, slots=True)
class Sizing:
    """How many instances carry a load."""

    load: float
    instances: int
    headroom: float
    words: str


@dataclass(frozen=True, slots=True)
class Result:
    """A search, as it is kept. Loads are in `unit`: RPS or users."""

    plan: str
    title: str
    plan_file: str
    folder: str
    """Of the search: the runs of the probes are named from there."""
    host: str
    unit: str
    capacity: float | None
    low: float | None
    high: float | None
    """Ends of the 95 % interval."""
    capacity_rps: float | None
    """Requests/s at the capacity: the capacity itself, or what was answered at that number of users."""
    limiting: str | None
    highest_held: float | None
    """The highest load of a probe in which every limit held."""
    lowest_broken: float | None
    at_capacity: dict[str, float]
    """Figures at the capacity: a straight line through the probes within 30 % of it."""
    limits: list[LimitFound]
    probes: list[Probe]
    scalability: Scalability | None
    knee: Knee | None
    sizing: list[Sizing]
    drift: str | None
    ended: str
    """Why the search ended before it had the precision that was asked for; empty when it had."""
    exit_code: int
    precision: float
    started_at: str
    seconds: float
    seed: int
    notes: list[str] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The answer in a sentence."""
        if self.capacity is None or self.low is None or self.high is None:
            return f"no capacity was found: {self.ended}"
        return (
            f"capacity {number(self.capacity)} {self.unit} (95 % interval {number(self.low)} to {number(self.high)}); "
            f"the limit is {self.limiting}"
        )

    def to_json(self) -> str:
        """Return the result for machines."""
        document = {"schema_version": SCHEMA_VERSION, "verdict": Exit(self.exit_code).name, **asdict(self)}
        return json.dumps(document, indent=1, allow_nan=False) + "\n"


def number(value: float) -> str:
    """Return a load with three digits.

    >>> number(41.26), number(1234.5), number(7)
    ('41.3', '1,230', '7.00')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:.{2 - math.floor(math.log10(max(rounded, 0.01)))}f}"


def limit_words(limits: Limits) -> list[str]:
    """Return each limit as written for people."""
    words = []
    for criterion in limits.criteria:
        whose = " of ".join(text for text in (criterion.name, criterion.scenario) if text)
        words.append(f"{criterion.metric}{f' [{whose}]' if whose else ''} {limit_text(criterion)}")
    return words


def limits_found(limits: Limits, found: Found) -> list[LimitFound]:
    """Return what is known of each limit."""
    crossings: Sequence[Crossing | None] = found.crossings or [None] * len(limits.criteria)
    decided = found.limiting if found.capacity is not None else None
    return [
        LimitFound(words, None, None, None, False)
        if one is None
        else LimitFound(words, one.load, one.low, one.high, place == decided)
        for place, (words, one) in enumerate(zip(limit_words(limits), crossings, strict=True))
    ]


def drift_of(probes: Sequence[Probe]) -> str | None:
    """Return in words how the server has changed between the anchors, the same load each time; None when not."""
    anchors = [p for p in probes if p.role is Role.ANCHOR and p.trouble is None and "latency_p50_low_ms" in p.figures]
    for later in anchors[1:]:
        first, then = anchors[0].figures, later.figures
        before, after = first["latency_p50_ms"], then["latency_p50_ms"]
        apart = (
            then["latency_p50_low_ms"] > first["latency_p50_high_ms"]
            or then["latency_p50_high_ms"] < first["latency_p50_low_ms"]
        )
        if apart and abs(after - before) > max(_DRIFT * before, _DRIFT_MS):
            return (
                f"the server has changed: the median latency at {number(later.asked)} was {before:.3g} ms at "
                f"{anchors[0].at_s:.0f} s and {after:.3g} ms at {later.at_s:.0f} s"
            )
    return None


def figures_at(load: float, probes: Sequence[Probe]) -> dict[str, float]:
    """Return every figure at a load, by a straight line through the probes within 30 % of it."""
    near = [p for p in probes if p.trouble is None and abs(math.log(p.load / load)) <= _NEAR and p.role is Role.PROBE]
    result = {}
    for name in sorted({name for probe in near for name in probe.figures}):
        points = [(p.load, p.figures[name]) for p in near if name in p.figures]
        loads, values = np.array(points).T
        if len(points) >= 4 and np.ptp(loads) > 0:
            result[name] = float(np.polyval(np.polyfit(loads - load, values, 1), 0.0))
    return result


def laws(probes: Sequence[Probe]) -> tuple[Scalability | None, Knee | None]:
    """Return the scalability law and the knee, from every probe that says something about the server."""
    known = [p for p in probes if p.trouble is None and {"concurrency", "served_rps"} <= p.figures.keys()]
    concurrency, throughput = [p.figures["concurrency"] for p in known], [p.figures["served_rps"] for p in known]
    return fit_usl(concurrency, throughput), knee(
        [p.load for p in known], throughput, [p.figures["latency_mean_ms"] for p in known]
    )


def sizing(wanted: Sequence[float], low: float | None, unit: str, headroom: float) -> list[Sizing]:
    """Return how many instances carry each load, each with `headroom` to spare of the interval's lower end."""
    if low is None:
        return []
    usable = low * (1 - headroom)
    return [
        Sizing(
            load,
            math.ceil(load / usable * (1 - 1e-9)),
            headroom,
            f"for {number(load)} {unit} you need {math.ceil(load / usable * (1 - 1e-9))} instances like this one: each "
            f"carries {number(usable)} {unit}, the lower end of the interval less {headroom:.0%} headroom",
        )
        for load in wanted
    ]


def save(result: Result, runs: Path, folder: Path) -> Path:
    """Write `capacity.json` in the search's folder, and the newest result of the plan beside the folders."""
    text = result.to_json()
    (folder / "capacity.json").write_text(text, encoding="utf-8")
    newest = runs / FOLDER / f"{result.plan}.json"
    temporary = newest.with_name(f".{newest.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(newest)
    return newest
