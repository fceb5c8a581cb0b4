"""The one time axis of a run, and how values are put on it: counts, exact percentiles and means per step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.analysis import Series
from reports.rows import Places, numbers
from reports.statistics import Floats, nearest_rank
from reports.windows import RunData

MOST_POINTS = 1500
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Axis:
    """Equidistant steps of `step_s` seconds from `start_s`."""

    start_s: float
    step_s: float
    points: int

    def coarser(self, most: int) -> "Axis":
        """Return an axis of the same stretch with at most so many points; its steps are whole multiples of these."""
        times = max(-(-self.points // most), 1)
        return Axis(self.start_s, self.step_s * times, -(-self.points // times))

    def places(self, times: Floats) -> Places:
        """Return the step of each time; -1 outside the axis."""
        places = np.floor((times - self.start_s) / self.step_s).astype(np.int64)
        places[(places < 0) | (places >= self.points)] = -1
        return places

    def counts(self, times: Floats, weights: Floats | None = None) -> Floats:
        """Return how many of the times, or the sum of the weights, fall into each step."""
        places = self.places(times)
        inside = places >= 0
        chosen = None if weights is None else weights[inside]
        return np.bincount(places[inside], weights=chosen, minlength=self.points).astype(np.float64)

    def edges(self) -> Floats:
        """Return the begin of every step and the end of the last."""
        edges: Floats = self.start_s + self.step_s * np.arange(self.points + 1, dtype=np.float64)
        return edges


def axis_of(run: RunData) -> Axis:
    """Return the axis of a run: from its first sample to its last, its drain included."""
    samples, readings = run.frames.samples, run.frames.readings
    ends = [run.end_s, run.record.ended_s or 0.0]
    starts = [run.start_s]
    if len(samples):
        ends.append(float(numbers(samples, "done_s").max()))
        starts.append(float(numbers(samples, "due_s").min()))
    elif len(readings):
        ends.append(float(numbers(readings, "t_s").max()))
    # A pushed message may carry a stamp from before the run: the axis begins with the run all the same.
    start = float(np.floor(max(min(starts), min(run.start_s, 0.0))))
    length = max(ends) - start
    if not 0 < length < 1e8:
        return Axis(start, 1.0, 0)
    step = next((s for s in _STEPS_S if length / s <= MOST_POINTS), float(np.ceil(length / MOST_POINTS)))
    return Axis(start, float(step), int(np.floor(length / step)) + 1)


def series(key: str, label: str, unit: str, values: Floats) -> Series:
    """Return a curve; NaN is a gap."""
    return Series(key, label, unit, [None if np.isnan(value) else value for value in values.tolist()])


def percentiles(axis: Axis, due: Floats, values: Floats, permilles: Sequence[int]) -> list[Floats]:
    """Return one curve per percentile of values in the order of their due times; NaN where there are none."""
    return of_slices(values, np.searchsorted(due, axis.edges()), permilles)


def of_slices(values: NDArray[np.generic], ends: Places, permilles: Sequence[int]) -> list[Floats]:
    """Return one curve per percentile; step i is over `values[ends[i]:ends[i + 1]]`, NaN where that is empty."""
    curves = np.full((len(permilles), len(ends) - 1), np.nan)
    for step, (first, last) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        if last > first:
            ordered = np.sort(values[first:last])
            curves[:, step] = [nearest_rank(ordered, permille) for permille in permilles]
    return list(curves)
