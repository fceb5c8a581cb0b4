"""Latency of every scenario, request name and outcome by itself: curves, percentile spectrum and heat map.

A percentile of a part cannot be had from percentiles of the whole. So each part that the page can filter by has its own
figures, from its own raw samples; the page only chooses between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.analysis import SPECTRUM, HeatMap, Selection, Series, Spectrum
from reports.axis import Axis, axis_of, of_slices, series
from reports.rows import Mask, Places, Rows, among, equals, flags, numbers
from reports.statistics import Floats
from reports.timeline import LATENCY
from reports.windows import RunData
from samples.sample import RESPONSES, Outcome, Protocol

Codes = NDArray[np.signedinteger[Any]]

MOST_SELECTIONS = 120
_MOST_POINTS, _FEWEST_POINTS, _ALL_POINTS = 480, 60, 20_000
"""Of a curve; at least; and of one curve of all selections together: the page must stay small."""
_HEAT_COLUMNS, _HEAT_COLUMNS_ALL = 96, 240
_LOWEST_BIN, _HIGHEST_BIN = -30, 80
"""A microsecond, and more than a day."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the figures need of all samples that have a latency, in the order of due times."""

    due_s: Floats
    done_s: Floats
    latency_ms: Floats
    answered: Mask
    outcome: Codes
    phase: Codes
    scenario: Codes
    name: Codes
    counted: Mask
    """Accounts for an arrival: the requests of a scenario; a name has its extra attempts, too."""
    bin: NDArray[np.int8]
    """Of the heat map."""
    outcomes: list[str]
    """By code, as the next one."""
    phases: list[str]

    def code_of(self, outcome: Outcome) -> int:
        """Return the code of an outcome; one that no row has when it did not occur."""
        return self.outcomes.index(outcome.value) if outcome.value in self.outcomes else -2


@dataclass(frozen=True, slots=True)
class _Part:
    scenario: str | None
    name: str | None
    places: Places


def selections(run: RunData) -> list[Selection]:
    """Return the figures of every selection that has samples, the whole run first."""
    axis = axis_of(run)
    samples = run.frames.samples
    if axis.points == 0 or not len(samples):
        return []
    rows = _rows(samples)
    wanted = [(part, outcome) for part in _parts(samples, rows) for outcome in _outcomes(part, rows)]
    points = min(max(_FEWEST_POINTS, _ALL_POINTS // len(wanted)), _MOST_POINTS)
    phases = [phase.name for phase in run.phases if phase.reached]
    return [_selection(rows, part, outcome, axis, points, phases) for part, outcome in wanted[:MOST_SELECTIONS]]


def _rows(samples: Rows) -> _Rows:
    due, done = numbers(samples, "due_s"), numbers(samples, "done_s")
    latency = (done - due) * 1000
    with np.errstate(divide="ignore", invalid="ignore"):
        bins = np.floor(np.log10(np.maximum(latency, 0.0)) * 10 + 1e-9)
    return _Rows(
        due_s=due,
        done_s=done,
        latency_ms=latency,
        answered=among(samples, RESPONSES),
        outcome=_codes(samples, "outcome"),
        phase=_codes(samples, "phase"),
        scenario=_codes(samples, "scenario"),
        name=_codes(samples, "name"),
        counted=flags(samples, "iteration"),
        bin=np.clip(bins, _LOWEST_BIN, _HIGHEST_BIN).astype(np.int8),
        outcomes=[str(one) for one in samples["outcome"].cat.categories],
        phases=[str(one) for one in samples["phase"].cat.categories],
    )


def _codes(samples: Rows, column: str) -> Codes:
    codes: Codes = np.asarray(samples[column].cat.codes)
    return codes


def _parts(samples: Rows, rows: _Rows) -> Iterator[_Part]:
    """Yield the whole run, the scenarios, then the names of each, those with the most samples first."""
    websocket = equals(samples, "protocol", Protocol.WEBSOCKET)
    timed = np.asarray(samples["latency_source"].notna(), dtype=np.bool_)
    requests = ~websocket & rows.counted
    yield _Part(None, None, np.flatnonzero(requests))
    scenarios, names = samples["scenario"].cat.categories, samples["name"].cat.categories
    pairs = pd.Series(rows.scenario.astype(np.int64) * len(names) + rows.name).value_counts()
    owners = list(dict.fromkeys(int(pair) // len(names) for pair in pairs.index))
    for owner in owners:
        mine = rows.scenario == owner
        if (places := np.flatnonzero(mine & (requests | timed))).size:
            yield _Part(str(scenarios[owner]), None, places)
    for pair in pairs.index:
        owner, name = divmod(int(pair), len(names))
        mine = (rows.scenario == owner) & (rows.name == name) & (~websocket | timed)
        if (places := np.flatnonzero(mine)).size:
            yield _Part(str(scenarios[owner]), str(names[name]), places)


def _outcomes(part: _Part, rows: _Rows) -> list[Outcome | None]:
    """Return None for what was answered and, when something failed, each outcome that occurred."""
    found = np.bincount(rows.outcome[part.places] + 1, minlength=len(rows.outcomes) + 1)[1:]
    there = {name for name, count in zip(rows.outcomes, found.tolist(), strict=True) if count}
    names = [outcome for outcome in Outcome if outcome.value in there]  # a file that was harmed may hold others
    return [None] if names in ([], [Outcome.OK]) else [None, *names]


def _selection(
    rows: _Rows, part: _Part, outcome: Outcome | None, axis: Axis, points: int, phases: list[str]
) -> Selection:
    codes = rows.outcome[part.places]
    mask = rows.answered[part.places] if outcome is None else codes == rows.outcomes.index(outcome.value)
    chosen = part.places[mask]
    whole = part.scenario is None and outcome is None
    curve = axis.coarser(points)
    columns = _HEAT_COLUMNS_ALL if whole else _HEAT_COLUMNS
    return Selection(
        scenario=part.scenario,
        name=part.name,
        outcome=None if outcome is None else outcome.value,
        samples=len(chosen),
        step_s=curve.step_s,
        curves=[] if whole else [*_load(rows, part.places, chosen, outcome, curve), *_latency(rows, chosen, curve)],
        spectra=_spectra(rows, chosen, phases),
        heat=_heat(rows, chosen, axis.coarser(columns)),
    )


def _load(rows: _Rows, places: Places, chosen: Places, outcome: Outcome | None, axis: Axis) -> list[Series]:
    """Return the curves of `Timeline.load`; of an outcome, how many were offered and how many ended so."""
    due, done, codes = rows.due_s[places], rows.done_s[places], rows.outcome[places]
    curves = [("offered", due), ("achieved", rows.done_s[chosen])]
    if outcome is None:
        ok, dropped = (codes == rows.code_of(one) for one in (Outcome.OK, Outcome.DROPPED))
        curves += [("failed", done[~ok & ~dropped]), ("dropped", due[dropped])]
    return [series(key, key, "rps", axis.counts(times) / axis.step_s) for key, times in curves if len(times)]


def _latency(rows: _Rows, chosen: Places, axis: Axis) -> list[Series]:
    ends = np.searchsorted(rows.due_s[chosen], axis.edges())
    curves = of_slices(rows.latency_ms[chosen], ends, [*LATENCY.values(), 1000])
    return [series(key, key, "ms", curve) for key, curve in zip((*LATENCY, "max"), curves, strict=True)]


def _spectra(rows: _Rows, chosen: Places, phases: list[str]) -> list[Spectrum]:
    latency, phase = rows.latency_ms[chosen], rows.phase[chosen]
    found = [_spectrum("whole run", latency)]
    if len(phases) > 1:
        found += [_spectrum(name, latency[phase == rows.phases.index(name)]) for name in phases if name in rows.phases]
    return [one for one in found if one.samples]


def _spectrum(label: str, latency: Floats) -> Spectrum:
    ordered, count = np.sort(latency), len(latency)
    # The rank of 1 - 1/x among n values is the ceiling of n (x - 1) / x, in whole numbers: x has two digits after it.
    scaled = [round(place * 100) for place in SPECTRUM if place < count]
    ranks = [max(-(-count * (place - 100) // place), 1) for place in scaled]
    return Spectrum(label, count, [float(ordered[rank - 1]) for rank in (*ranks, *([count] if count else []))])


def _heat(rows: _Rows, chosen: Places, axis: Axis) -> HeatMap:
    columns, bins = axis.places(rows.due_s[chosen]), rows.bin[chosen]
    width = _HIGHEST_BIN - _LOWEST_BIN + 1
    inside = columns >= 0
    flat = columns[inside] * width + (bins[inside] - _LOWEST_BIN)
    counts = np.bincount(flat, minlength=axis.points * width).reshape(axis.points, width)
    return HeatMap(axis.start_s, axis.step_s, [_column(row) for row in counts])


def _column(counts: Places) -> list[int]:
    filled = np.flatnonzero(counts)
    if not len(filled):
        return []
    first, last = int(filled[0]), int(filled[-1]) + 1
    return [first + _LOWEST_BIN, *counts[first:last].tolist()]
