"""The schedule: when each arrival of a run is due, from one seed, the same in every process.

The k-th arrival is due where the integral of the rate, over all open phases of the plan, reaches the k-th point of
a unit-rate process: k + 1/2 for `uniform`, a sum of exponential gaps for `poisson`, of gamma gaps for `gamma`.
Hence the arrivals of any window match the integral of the rate within 1 (uniform), phase boundaries included.
A phase that replays a recording has the recorded times instead, to the nanosecond.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plans.run import derive_seed
from plans.schema import ArrivalProcess, Plan
from shapes.pacers import Floats, Pacer, Recording, pacer_of

_EDGE = 1e-9  # arrivals; keeps rounding in the integral from adding one at the very end


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A phase on the run's time axis, in seconds from the origin."""

    name: str
    start: float
    end: float
    closed: bool
    pacer: Pacer


@dataclass(frozen=True, slots=True)
class Schedule:
    """Arrivals in the order in which they are due. All arrays have the same length.

    times: seconds from the run's origin. phases, scenarios: positions in `spans` and `names`.
    indices: the arrival's number in the whole schedule, kept by stripes. firsts: that of each span's first arrival.
    """

    spans: tuple[PhaseSpan, ...]
    names: tuple[str, ...]
    times: Floats
    phases: NDArray[np.int32]
    scenarios: NDArray[np.int32]
    indices: NDArray[np.int64]
    firsts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.times)

    def stripe(self, i: int, n: int) -> "Schedule":
        """Return every n-th arrival from the i-th on: the share of process i of n, with nothing to agree on."""
        if not 0 <= i < n:
            raise ValueError(f"stripe must be in 0..{n - 1}, got {i}")
        return self.rows(slice(i, None, n))

    def rows(self, rows: slice | NDArray[np.int64]) -> "Schedule":
        """Return some of the arrivals, under the same phases."""
        return replace(
            self,
            times=self.times[rows],
            phases=self.phases[rows],
            scenarios=self.scenarios[rows],
            indices=self.indices[rows],
        )


def spans_of(plan: Plan) -> tuple[PhaseSpan, ...]:
    """Return the plan's phases one after the other on the run's time axis."""
    spans: list[PhaseSpan] = []
    start = 0.0
    for phase in plan.phases:
        end = start + phase.duration
        spans.append(PhaseSpan(phase.name, start, end, phase.closed, pacer_of(phase)))
        start = end
    return tuple(spans)


def unit_process(process: ArrivalProcess, total: float, burstiness: float, seed: int) -> Floats:
    """Return the points of a unit-rate arrival process in [0, total), ascending."""
    if process is ArrivalProcess.UNIFORM:
        return np.arange(np.ceil(max(total - 0.5 - _EDGE, 0.0)), dtype=np.float64) + 0.5
    shape = 1.0 if process is ArrivalProcess.POISSON else burstiness
    random = np.random.default_rng(seed)
    last, parts = 0.0, []
    while last < total:
        # Blocks of a fixed size: the points do not depend on how long the run is.
        block = last + np.cumsum(random.gamma(shape, 1 / shape, size=4096))
        parts.append(block)
        last = float(block[-1])
    drawn: Floats = np.concatenate(parts) if parts else np.empty(0)
    return drawn[drawn < total]


def assign(shares: Sequence[float], count: int) -> NDArray[np.int32]:
    """Return which scenario takes each of `count` arrivals: shares of up to four scenarios are exact within one
    arrival at any point.

    The scenarios are split into two halves of about the same weight, again and again. One split is exact within
    1/2; the error that a half has is shared by what it is split into.

    >>> assign([0.5, 0.25, 0.25], 8).tolist()
    [0, 1, 0, 2, 0, 1, 0, 2]
    """
    owners = np.zeros(count, dtype=np.int32)
    _split(np.asarray(shares, dtype=float), np.arange(len(shares)), owners, np.arange(count))
    return owners


def _split(weights: Floats, scenarios: NDArray[np.int64], owners: NDArray[np.int32], places: NDArray[np.int64]) -> None:
    """Write the owners of `places`: those of `scenarios`, in proportion to their `weights`."""
    if len(scenarios) == 1:
        owners[places] = scenarios[0]
        return
    heaviest = scenarios[np.argsort(-weights[scenarios], kind="stable")]
    # Four are halved as the heaviest and the lightest against the two between: no path is longer than two splits.
    first = heaviest[:1] if len(heaviest) < 4 else np.concatenate([heaviest[:1], heaviest[3::2]])
    second = np.setdiff1d(heaviest, first)
    share = weights[first].sum() / weights[heaviest].sum()
    mine = np.diff(np.floor(np.arange(len(places) + 1) * share + 0.5)) > 0
    _split(weights, first, owners, places[mine])
    _split(weights, second, owners, places[~mine])


def expected(plan: Plan) -> float:
    """Return how many arrivals the open phases of the plan make."""
    spans = spans_of(plan) if plan.mix.arriving() else ()
    return sum(span.pacer.expected(span.pacer.duration) for span in spans if not span.closed)


def schedule(plan: Plan, seed: int) -> Schedule:
    """Return the arrivals of all open phases of the plan."""
    spans = spans_of(plan)
    arriving = plan.mix.arriving()
    times = _times(plan, spans, seed) if arriving else [np.empty(0) for _ in spans]
    counts = [len(part) for part in times]
    count = sum(counts)
    scenarios = assign([options.share for options in arriving.values()], count) if count else np.empty(0, np.int32)
    phases = np.repeat(np.arange(len(spans), dtype=np.int32), counts)
    firsts = tuple(int(first) for first in np.cumsum([0, *counts[:-1]]))
    return Schedule(spans, tuple(arriving), np.concatenate(times), phases, scenarios, np.arange(count), firsts)


def _times(plan: Plan, spans: Sequence[PhaseSpan], seed: int) -> list[Floats]:
    """Return the arrivals of each span. A recording's are its own; the others share one process along all rates."""
    areas = [0.0 if s.closed or isinstance(s.pacer, Recording) else s.pacer.expected(s.pacer.duration) for s in spans]
    edges = np.concatenate([[0.0], np.cumsum(areas)])
    points = unit_process(plan.arrivals, float(edges[-1]), plan.burstiness, derive_seed(seed, "arrivals"))
    cuts = np.searchsorted(points, edges)
    times: list[Floats] = []
    for span, edge, low, high in zip(spans, edges, cuts, cuts[1:], strict=False):
        if isinstance(span.pacer, Recording):
            times.append(span.start + span.pacer.times)
        else:
            times.append(span.start + span.pacer.times_of(points[low:high] - edge) if high > low else np.empty(0))
    return times
