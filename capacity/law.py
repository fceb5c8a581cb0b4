"""Throughput and latency against load: the Universal Scalability Law, and the knee."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]

_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Scalability:
    """X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)), with N requests inside on average.

    Source: N. J. Gunther, Guerrilla Capacity Planning, 2007, chapter 4. `gamma`: throughput of one request at a time,
    1/s. `alpha`: contention, the share of the work that is done one by one. `beta`: coherence, what each costs every
    other. `r_squared`: the share of the variance of the throughput that the law explains.
    """

    gamma: float
    alpha: float
    beta: float
    r_squared: float
    points: int

    def throughput(self, concurrency: Floats) -> Floats:
        """Return the law's throughput, 1/s."""
        return usl(concurrency, self.gamma, self.alpha, self.beta)

    @property
    def peak_concurrency(self) -> float | None:
        """The concurrency of the highest throughput, sqrt((1 - alpha) / beta); None when there is no such peak."""
        return math.sqrt((1 - self.alpha) / self.beta) if self.beta > 1e-9 and self.alpha < 1 else None


def usl(n: Floats, gamma: float, alpha: float, beta: float) -> Floats:
    """Return the throughput of the Universal Scalability Law at concurrency `n`."""
    result: Floats = gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))
    return result


def fit_usl(concurrency: Sequence[float], throughput: Sequence[float]) -> Scalability | None:
    """Return the law that fits best by least squares; None with fewer than 5 points, or when nothing fits."""
    n, x = np.asarray(concurrency, dtype=np.float64), np.asarray(throughput, dtype=np.float64)
    if len(n) < _FEWEST or np.ptp(n) <= 0 or np.ptp(x) <= 0:
        return None
    start = (float(np.max(x / np.maximum(n, 1e-9))), 0.01, 1e-4)
    try:
        # In relative units: a low load must not vanish beside a high one.
        best, _ = optimize.curve_fit(usl, n, x, p0=start, sigma=x, bounds=(0, (np.inf, 1.0, np.inf)), maxfev=5000)
    except (RuntimeError, ValueError):
        return None
    rest = float(((x - usl(n, *best)) ** 2).sum())
    gamma, alpha, beta = (float(value) for value in best)
    return Scalability(gamma, alpha, beta, 1 - rest / float(((x - x.mean()) ** 2).sum()), len(n))


@dataclass(frozen=True, slots=True)
class Knee:
    """The load at which the power, throughput / latency, is highest (Kleinrock 1979), among those that were held."""

    load: float
    served_rps: float
    latency_mean_ms: float


def knee(loads: Sequence[float], throughput: Sequence[float], latency_ms: Sequence[float]) -> Knee | None:
    """Return the knee; None when the highest or the lowest load has the highest power: it lies outside then."""
    rows = sorted(zip(loads, throughput, latency_ms, strict=True))
    if len(rows) < _FEWEST:
        return None
    best = max(range(len(rows)), key=lambda number: rows[number][1] / max(rows[number][2], 1e-9))
    return None if best in (0, len(rows) - 1) else Knee(*rows[best])
