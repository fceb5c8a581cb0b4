"""What the target's processes used: CPU, memory, and whether either runs away."""

import numpy as np

from plans.run import SHORTEST_TREND_S
from reports.analysis import Measured
from reports.intervals import mean_interval
from reports.statistics import Floats, slope, slope_interval, thinned
from reports.trends import PARTS, SETTLING, floor, leaks, settled
from reports.windows import Window

CPU = "cpu_cores"
MEMORY = "rss_bytes"

_FEWEST_FOR_SLOPE = 10
FEWEST_FOR_LEAK = 60
LEAK_GROWTH = 0.10
_CPU_WINDOW_S = 30.0
_CPU_VARIATION = 0.25
_CPU_IDLE_CORES = 0.1
_HOLE_INTERVALS, _HOLE_S = 5.0, 5.0
"""The longest time without a reading, in intervals of the monitor and in seconds, that a figure may rest on."""
_SCRAPES = 2.5
"""The same in scrapes, for readings that come from a Prometheus server."""


def _missing(metric: str) -> Measured:
    return Measured(None, 0, f"there are no readings of the target's {metric}")


def _covered(window: Window, metric: str) -> tuple[Floats, Measured | None]:
    """Return the readings, and why they tell nothing: none at all, or a hole in which a peak could hide."""
    times, values = window.readings(metric)
    if not len(values):
        return values, _missing(metric)
    hole = longest_hole(window, times)
    if hole <= _most(window):
        return values, None
    why = f"the readings of the target's {metric} have a hole of {hole:.0f} s: the monitor, or the process, was gone"
    return values, Measured(None, len(values), why)


def longest_hole(window: Window, times: Floats) -> float:
    """Return the longest time of the window without a reading, in seconds."""
    return float(np.diff(np.concatenate([[window.start_s], np.sort(times), [window.end_s]])).max())


def allowed_hole(window: Window) -> float:
    """Return the longest time without a reading of the monitor's own that a figure may rest on."""
    return max(_HOLE_INTERVALS * window.run.plan.monitors.interval, _HOLE_S)


def _most(window: Window) -> float:
    source = window.run.plan.target.resources
    if source is None or source.prometheus is None:
        return allowed_hole(window)
    # Prometheus may miss one scrape, and its newest sample is up to one scrape old.
    return max(allowed_hole(window), _SCRAPES * source.interval)


def cpu_mean(window: Window) -> Measured:
    """Return the mean CPU of the target in cores."""
    _, problem = _covered(window, CPU)
    return problem or mean_of_readings(window, CPU)


def mean_of_readings(window: Window, metric: str, source: str = "target") -> Measured:
    """Return the mean of the readings with its interval; there must be one."""
    times, values = window.readings(metric, source)
    return Measured(float(values.mean()), len(values), interval=mean_interval(values, window.blocks_at(times)))


def cpu_max(window: Window) -> Measured:
    """Return the highest reading of the target's CPU in cores."""
    values, problem = _covered(window, CPU)
    return problem or Measured(float(values.max()), len(values))


def memory_max(window: Window) -> Measured:
    """Return the highest reading of the target's resident memory in bytes."""
    values, problem = _covered(window, MEMORY)
    return problem or Measured(float(values.max()), len(values))


def memory_over_rest(window: Window) -> Measured:
    """Return how much the highest reading of the target's memory lies above that before the load."""
    return _over_rest(window, MEMORY, memory_max(window))


def cpu_over_rest(window: Window) -> Measured:
    """Return how much the mean CPU of the target lies above that before the load."""
    return _over_rest(window, CPU, cpu_mean(window))


def _over_rest(window: Window, metric: str, under_load: Measured) -> Measured:
    _, before = window.run.readings(metric, "target", -np.inf, np.nextafter(window.run.start_s, -np.inf))
    if under_load.value is None:
        return under_load
    if not len(before):
        return Measured(None, 0, f"there is no reading of the target's {metric} before the load")
    return Measured(float(under_load.value) - float(np.median(before)), under_load.samples)


def memory_growth(window: Window) -> Measured:
    """Return the growth of the target's memory over the window as a share of its median."""
    _, problem = _covered(window, MEMORY)
    if problem is not None:
        return problem
    times, values = settled(*window.readings(MEMORY), window.start_s, window.end_s)
    if window.length_s < SHORTEST_TREND_S or len(values) < _FEWEST_FOR_SLOPE:
        return Measured(None, len(values), _too_short(window, len(values)))
    middle = float(np.median(values))
    if middle <= 0 or times[0] == times[-1]:
        return Measured(None, len(values), "the readings of the target's memory are all 0 or of one moment")
    return Measured(slope(*thinned(times, values)) * window.length_s / middle, len(values))


def _too_short(window: Window, readings: int) -> str:
    return f"too short to tell: {readings} readings in {window.length_s:.0f} s, {SHORTEST_TREND_S:.0f} s are needed"


def memory_leak(window: Window) -> Measured:
    """Return whether the target's memory, and its floor with a trend that is no chance, grew by more than 10 %."""
    times, every = window.readings(MEMORY)
    if 0 < len(every) < FEWEST_FOR_LEAK:
        why = f"too short to tell: {len(every)} readings, {FEWEST_FOR_LEAK} are needed"
        return Measured(None, len(every), why)
    growth = memory_growth(window)
    if growth.value is None:
        return growth
    middle = float(np.median(settled(times, every, window.start_s, window.end_s)[1]))
    grew = leaks(times, every, window.start_s, window.end_s, LEAK_GROWTH * middle)
    return Measured(bool(growth.value > LEAK_GROWTH and grew), len(every))


def memory_trend(window: Window) -> Measured:
    """Return by how many bytes per minute the floor of the target's memory rises, with its 95 % interval."""
    growth = memory_growth(window)
    if growth.value is None:
        return growth
    begin = window.start_s + SETTLING * window.length_s
    low = floor(*settled(*window.readings(MEMORY), window.start_s, window.end_s), begin, window.end_s)
    if len(low.times) < _FEWEST_FOR_SLOPE:
        return Measured(None, growth.samples, f"too few readings: only {len(low.times)} of {PARTS} parts have any")
    rate, least, most = slope_interval(low.times, low.values)
    return Measured(rate * 60, growth.samples, interval=(least * 60, most * 60))


def cpu_share(window: Window) -> Measured:
    """Return the mean CPU of the target as a share of the cores that it may use."""
    values, problem = _covered(window, CPU)
    _, cores = window.readings("cores_available")
    if problem is not None:
        return problem
    if not len(cores):
        return Measured(None, 0, "how many cores the target may use is not known: its process is not on this machine")
    return Measured(float(values.mean() / cores.mean()), len(values))


def stable_utilisation(window: Window) -> Measured:
    """Return whether memory does not leak and the 30-second means of CPU vary by at most 25 %."""
    times, values = window.readings(CPU)
    leak = memory_leak(window)
    if not len(values):
        return _missing(CPU)
    steady = True
    if float(values.mean()) > _CPU_IDLE_CORES:
        means = _means(times - window.start_s, values, window.length_s)
        if len(means) < 2:
            return Measured(None, len(values), "too short to tell: fewer than two 30-second windows of CPU")
        steady = float(means.std() / means.mean()) <= _CPU_VARIATION
    if not steady or leak.value is True:
        return Measured(False, len(values))
    return leak if leak.value is None else Measured(True, len(values))


def _means(offsets: Floats, values: Floats, length_s: float) -> Floats:
    """Return the mean of each whole 30-second window that has readings."""
    whole = int(length_s / _CPU_WINDOW_S + 1e-9)
    places = np.floor(offsets / _CPU_WINDOW_S).astype(np.int64)
    inside = (places >= 0) & (places < whole)
    counts = np.bincount(places[inside], minlength=whole)
    sums = np.bincount(places[inside], weights=values[inside], minlength=whole)
    result: Floats = sums[counts > 0] / counts[counts > 0]
    return result
