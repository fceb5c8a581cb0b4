"""Runs as arithmetic makes them, whose true figures are known: latencies that hang together as a queue's do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special

Array = NDArray[np.float64]

RATE = 50.0
_SIGMA = 0.35
_WARM_UP = 1000


@dataclass(frozen=True, slots=True)
class Truth:
    """What an endless run would measure, latencies in ms."""

    mean: float
    percentiles: dict[int, float]
    """By permille."""


@dataclass(frozen=True)
class Workload:
    """A kind of latency; `draw(rng, runs, count)` gives (due times in s, latencies in ms), each (runs, count)."""

    name: str
    draw: Callable[[np.random.Generator, int, int], tuple[Array, Array]]
    reckon: Callable[[], Truth]

    @cached_property
    def truth(self) -> Truth:
        """The true figures, when somebody asks for them: some take a simulation."""
        return self.reckon()


def _lognormal_truth() -> Truth:
    return Truth(
        100 * float(np.exp(_SIGMA**2 / 2)),
        {p: 100 * float(np.exp(_SIGMA * special.ndtri(p / 1000))) for p in (500, 900, 950, 990, 999)},
    )


def waves(rng: np.random.Generator, runs: int, count: int, share: float, seconds: float) -> Array:
    """Return standard normal series of which a `share` of the variance is common to neighbours.

    The common part is an Ornstein-Uhlenbeck process whose correlation falls to 1/e in `seconds`.
    """
    own = rng.standard_normal((runs, count))
    if share == 0:
        return own
    keep = np.exp(-1 / RATE / seconds)
    steps = rng.standard_normal((runs, count))
    steps[:, 1:] *= np.sqrt(1 - keep**2)
    common = signal.lfilter([1.0], [1.0, -keep], steps, axis=1)
    result: Array = np.sqrt(share) * common + np.sqrt(1 - share) * own
    return result


def wavy(share: float, seconds: float) -> Workload:
    """Return lognormal latencies around 100 ms (p95: 178 ms); `share` of what they vary by is common for `seconds`."""

    def draw(rng: np.random.Generator, runs: int, count: int) -> tuple[Array, Array]:
        due = np.broadcast_to(np.arange(count) / RATE, (runs, count))
        return due, 100 * np.exp(_SIGMA * waves(rng, runs, count, share, seconds))

    name = "independent" if share == 0 else f"{share:.0%} of the variance common for {seconds:g} s"
    return Workload(name, draw, _lognormal_truth)


def one_server(utilisation: float) -> Workload:
    """Return the sojourn times of M/M/1, exponential with rate service - arrivals. Source: Kleinrock 1975."""
    service = RATE / utilisation
    rest = service - RATE

    def draw(rng: np.random.Generator, runs: int, count: int) -> tuple[Array, Array]:
        works = rng.exponential(1 / service, (runs, count + 1))
        gaps = rng.exponential(1 / RATE, (runs, count))
        first = np.where(rng.random(runs) < utilisation, rng.exponential(1 / rest, runs), 0.0)
        climbs = np.cumsum(works[:, :-1] - gaps, axis=1)
        waits = climbs - np.minimum(np.minimum.accumulate(climbs, axis=1), -first[:, None])  # Lindley's recursion
        return np.cumsum(gaps, axis=1), 1000 * (waits + works[:, 1:])

    truth = Truth(1000 / rest, {p: -1000 * float(np.log(1 - p / 1000)) / rest for p in (500, 900, 950, 990, 999)})
    relaxation = 1 / (service * (1 - np.sqrt(utilisation)) ** 2)
    return Workload(f"M/M/1 at {utilisation:.0%} (correlated for {relaxation:.2g} s)", draw, lambda: truth)


def many_servers(utilisation: float, servers: int = 8) -> Workload:
    """Return the sojourn times of a queue with several servers and lognormal work; the truth by a long simulation."""
    median = utilisation * servers / RATE / float(np.exp(0.5**2 / 2))

    def draw(rng: np.random.Generator, runs: int, count: int) -> tuple[Array, Array]:
        gaps = rng.exponential(1 / RATE, (runs, count + _WARM_UP))
        works = median * np.exp(0.5 * rng.standard_normal((runs, count + _WARM_UP)))
        load = np.zeros((runs, servers))
        found = np.empty((runs, count + _WARM_UP))
        for index in range(count + _WARM_UP):  # Kiefer and Wolfowitz: the servers' work left, the least first
            found[:, index] = load[:, 0] + works[:, index]
            load[:, 0] = found[:, index]
            load -= gaps[:, index, None]
            np.maximum(load, 0.0, out=load)
            load.sort(axis=1)
        return np.cumsum(gaps[:, _WARM_UP:], axis=1), 1000 * found[:, _WARM_UP:]

    def reckon() -> Truth:
        _, long = draw(np.random.default_rng(0), 1000, 4000)
        ends = np.quantile(long, [0.5, 0.9, 0.95, 0.99, 0.999])
        return Truth(float(long.mean()), dict(zip((500, 900, 950, 990, 999), map(float, ends), strict=True)))

    return Workload(f"queue of {servers} servers at {utilisation:.0%}", draw, reckon)


def failures(
    rng: np.random.Generator, runs: int, count: int, rate: float, share: float, seconds: float
) -> NDArray[np.bool_]:
    """Return which requests fail, `rate` of them, in bursts as long as the waves of the latencies."""
    failed: NDArray[np.bool_] = waves(rng, runs, count, share, seconds) > special.ndtri(1 - rate)
    return failed
