"""Rate functions of time, their integrals, and the exact inverse of the integrals.

A pacer knows no clock and never sleeps: it is arithmetic on seconds from the start of its phase. The same
functions describe concurrent users over time in closed phases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plans.input_files import recorded
from plans.phases import Phase, Shape

Floats = NDArray[np.float64]


class Pacer(Protocol):
    """A rate over time: `rate(t)` in arrivals/s, and `expected(t)`, the arrivals due in [0, t]."""

    @property
    def duration(self) -> float:
        """Length in seconds."""

    def rate(self, t: float) -> float:
        """Return the rate at `t` seconds."""

    def expected(self, t: float) -> float:
        """Return the integral of the rate from 0 to `t`."""

    def times_of(self, counts: Floats) -> Floats:
        """Return the times at which `expected` reaches `counts` (ascending, within [0, expected(duration)])."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight piece of a rate function: from `start` to `end` arrivals/s in `duration` seconds."""

    duration: float
    start: float
    end: float

    @property
    def area(self) -> float:
        """Arrivals due in the segment."""
        return self.duration * (self.start + self.end) / 2


class PiecewiseLinear:
    """A rate made of straight pieces; it may jump between them.

    >>> ramp = PiecewiseLinear([Segment(10, 10, 50)])
    >>> ramp.rate(5), ramp.expected(10)
    (30.0, 300.0)
    >>> ramp.times_of(np.array([0.0, 300.0])).round(6).tolist()
    [0.0, 10.0]
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = [segment for segment in segments if segment.duration > 0]
        self._starts = np.concatenate([[0.0], np.cumsum([s.duration for s in self._segments])])
        self._counts = np.concatenate([[0.0], np.cumsum([s.area for s in self._segments])])
        self._first = np.array([s.start for s in self._segments])
        self._slope = np.array([(s.end - s.start) / s.duration for s in self._segments])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return float(self._starts[-1])

    def _segment_at(self, t: float) -> int:
        return min(max(int(np.searchsorted(self._starts, t, side="right")) - 1, 0), len(self._segments) - 1)

    def rate(self, t: float) -> float:
        """Return the rate at `t` seconds; at a jump, the rate after it."""
        i = self._segment_at(t)
        inside = min(max(t - self._starts[i], 0.0), self._segments[i].duration)
        return max(float(self._first[i] + self._slope[i] * inside), 0.0)  # rounding, at the end of a ramp to 0

    def expected(self, t: float) -> float:
        """Return the integral of the rate from 0 to `t`."""
        i = self._segment_at(t)
        inside = min(max(t - self._starts[i], 0.0), self._segments[i].duration)
        return float(self._counts[i] + self._first[i] * inside + self._slope[i] * inside**2 / 2)

    def times_of(self, counts: Floats) -> Floats:
        """Invert `expected` exactly: n = r t + a t^2 / 2 gives t = 2 n / (r + sqrt(r^2 + 2 a n)).

        This form of the root neither divides by a vanishing slope nor loses digits in a difference.
        """
        i = np.clip(np.searchsorted(self._counts, counts, side="right") - 1, 0, len(self._segments) - 1)
        # A piece at rate 0 holds no arrivals: a count on its edge belongs to the last piece that has any.
        n = counts - self._counts[i]
        root = np.sqrt(np.maximum(self._first[i] ** 2 + 2 * self._slope[i] * n, 0.0))
        speed = self._first[i] + root
        inside = np.divide(2 * n, speed, out=np.zeros_like(n), where=speed > 0)
        times: Floats = self._starts[i] + np.minimum(inside, self._starts[i + 1] - self._starts[i])
        return times


class Sine:
    """A rate that swings: rate(t) = mean + amplitude * sin(2 pi t / period), with amplitude <= mean.

    >>> day = Sine(duration=60, mean=20, amplitude=10, period=60)
    >>> round(day.rate(15), 9), round(day.expected(60), 9)
    (30.0, 1200.0)
    """

    _HALVINGS = 60  # 2**-60 of the bracket: below the resolution of a double for any phase

    def __init__(self, duration: float, mean: float, amplitude: float, period: float) -> None:
        self._duration, self._mean, self._amplitude, self._period = duration, mean, amplitude, period

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self._duration

    def rate(self, t: float) -> float:
        """Return the rate at `t` seconds."""
        return self._mean + self._amplitude * math.sin(2 * math.pi * t / self._period)

    def expected(self, t: float) -> float:
        """Return the integral of the rate from 0 to `t`."""
        return float(self._integral(np.array([min(max(t, 0.0), self._duration)]))[0])

    def _integral(self, t: Floats) -> Floats:
        turn = 2 * math.pi / self._period
        integral: Floats = self._mean * t + self._amplitude / turn * (1 - np.cos(turn * t))
        return integral

    def times_of(self, counts: Floats) -> Floats:
        """Invert the integral by bisection; it never falls because the amplitude is at most the mean."""
        low, high = np.zeros_like(counts), np.full_like(counts, self._duration)
        for _ in range(self._HALVINGS):
            middle = (low + high) / 2
            below = self._integral(middle) < counts
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return high


class Recording:
    """The arrivals of a recording, at their own times. Its rate is counted over the second around a moment.

    >>> recording = Recording(10, np.array([0.0, 0.1, 0.2, 5.0, 12.0]))
    >>> recording.rate(0.3), recording.rate(3), recording.expected(10), recording.times.tolist()
    (3.0, 0.0, 4.0, [0.0, 0.1, 0.2, 5.0])
    """

    def __init__(self, duration: float, times: Floats) -> None:
        self._duration = duration
        self.times: Floats = times[: int(np.searchsorted(times, duration))]
        """Seconds from the start of the phase, those within its duration."""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self._duration

    def rate(self, t: float) -> float:
        """Return the arrivals from half a second before `t` to half a second after it."""
        low, high = np.searchsorted(self.times, [t - 0.5, t + 0.5])
        return float(high - low)

    def expected(self, t: float) -> float:
        """Return the arrivals up to `t`."""
        return float(np.searchsorted(self.times, t, side="right"))

    def times_of(self, counts: Floats) -> Floats:
        """Return the times of the arrivals with these numbers, the first of which is 0."""
        return self.times[counts.astype(np.int64)]


def pacer_of(phase: Phase) -> Pacer:
    """Return the pacer of a phase: of its rate when it is open, of its users when it is closed, of its recording."""
    if phase.trace is not None:
        return Recording(phase.duration, np.asarray(recorded(phase.trace).seconds))
    load, duration = phase.load, phase.duration
    if phase.form is Shape.SINE:
        return Sine(duration, load.mean or 0.0, load.amplitude or 0.0, phase.period or duration)
    return PiecewiseLinear(_segments(phase))


def _segments(phase: Phase) -> list[Segment]:
    load, duration = phase.load, phase.duration
    if phase.form is Shape.RAMP:
        return [Segment(duration, load.from_ or 0.0, load.to or 0.0)]
    if phase.form is Shape.STEPS:
        steps = load.steps or 1
        levels = np.linspace(load.from_ or 0.0, load.to or 0.0, steps)
        return [Segment(duration / steps, float(level), float(level)) for level in levels]
    if phase.form is Shape.SPIKE:
        base, peak = load.base or 0.0, load.peak or 0.0
        rise, hold, fall = phase.spike_times()
        around = max((duration - rise - hold - fall) / 2, 0.0)
        return [
            Segment(around, base, base),
            Segment(rise, base, peak),
            Segment(hold, peak, peak),
            Segment(fall, peak, base),
            Segment(around, base, base),
        ]
    level = load.value or 0.0
    return [Segment(duration, level, level)]
