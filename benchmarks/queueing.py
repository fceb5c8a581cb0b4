"""The M/M/c/K queue: its capacity by formula, and a simulation of it to search in virtual time."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from capacity.probes import Batch, Probe, Share

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Queue:
    """Poisson arrivals; `servers` with exponential service times of mean `mean_s`; room for `places` in all."""

    servers: int
    places: int
    mean_s: float

    def occupied(self, rate: float) -> Floats:
        """Return the probabilities that 0, 1, ..., K requests are inside in the steady state.

        Source: Gross, Shortle, Thompson, Harris: Fundamentals of Queueing Theory, 4th edition, 2.5 (2.49).
        """
        n = np.arange(self.places + 1)
        served = np.minimum(n[1:], self.servers)
        logs = np.concatenate([[0.0], np.cumsum(np.log(rate * self.mean_s / served))])
        weights: Floats = np.exp(logs - logs.max())
        shares: Floats = weights / weights.sum()
        return shares

    def refused(self, rate: float) -> float:
        """Return the share of the arrivals that find no place (arrivals see time averages: PASTA)."""
        return float(self.occupied(rate)[-1])

    def slower(self, rate: float, seconds: float) -> float:
        """Return the share of all responses, refusals included as quick ones, that take longer than `seconds`.

        Who finds n < c inside is served at once: an exponential time. Who finds more waits for n - c + 1 departures
        at rate c/mean, an Erlang time, and is then served. Source: the same, 2.5.
        """
        found = self.occupied(rate)[:-1]
        at_once = math.exp(-seconds / self.mean_s)
        late = [
            at_once if n < self.servers else self._waited(n - self.servers + 1, seconds) for n in range(self.places)
        ]
        return float(found @ np.array(late))

    def _waited(self, departures: int, seconds: float) -> float:
        """P(Erlang(departures, c/mean) + Exponential(1/mean) > seconds), by the trapezoidal rule."""
        wait = stats.gamma(departures, scale=self.mean_s / self.servers)
        times = np.linspace(0.0, seconds, 2001)
        return float(wait.sf(seconds) + np.trapezoid(wait.pdf(times) * np.exp(-(seconds - times) / self.mean_s), times))


@dataclass(frozen=True, slots=True)
class Setting:
    """A queue and its limit: at most `budget` refused, or slower than `limit_s` when that is given."""

    name: str
    queue: Queue
    budget: float
    limit_s: float | None = None

    def outside(self, rate: float) -> float:
        """Return the share of the requests that are outside the limit in the steady state."""
        return self.queue.refused(rate) if self.limit_s is None else self.queue.slower(rate, self.limit_s)

    @property
    def capacity(self) -> float:
        """The highest rate, requests/s, at which no more than the budget is outside."""
        return _capacity(self)


@cache
def _capacity(setting: Setting) -> float:
    full = setting.queue.servers / setting.queue.mean_s
    return float(optimize.brentq(lambda rate: setting.outside(rate) - setting.budget, full * 0.01, full * 1.25))


class State:
    """What is inside of a queue, arrival by arrival; empty at first."""

    def __init__(self, queue: Queue) -> None:
        self._places = queue.places
        self._free, self._leaving = [0.0] * queue.servers, list[float]()

    def arrive(self, at: float, service_s: float) -> float | None:
        """Return how many seconds somebody who arrives at `at` is inside; None: there is no place."""
        leaving = self._leaving
        while leaving and leaving[0] <= at:
            heapq.heappop(leaving)
        if len(leaving) >= self._places:
            return None
        leaves = max(self._free[0], at) + service_s
        heapq.heapreplace(self._free, leaves)
        heapq.heappush(leaving, leaves)
        return leaves - at


class SimulatedServer:
    """A prober in virtual time: the queue, event by event, from an empty start at each batch."""

    def __init__(self, setting: Setting, seed: int, overhead_s: float = 7.0) -> None:
        self._setting, self._random, self._overhead = setting, np.random.default_rng(seed), overhead_s
        self._now = 0.0

    def elapsed(self) -> float:
        """Return the virtual seconds so far."""
        return self._now

    def run(self, batch: Batch) -> Sequence[Probe]:
        """Hold the loads of a batch."""
        self._state = State(self._setting.queue)
        self._clock, probes = 0.0, list[Probe]()
        for step in batch.steps:
            self._serve(step.load, step.settle_s)
            bad, count = self._serve(step.load, step.seconds)
            reading = Share(bad, count, self._setting.budget) if count else None
            probes.append(Probe(step.role, step.load, count / step.seconds, step.seconds, self._now, (reading,)))
            self._now += step.settle_s + step.seconds
            if batch.stop_when_broken and probes[-1].broken:
                break
        self._now += self._overhead
        return probes

    def _serve(self, rate: float, seconds: float) -> tuple[int, int]:
        """Let Poisson arrivals come for a while; return how many were outside the limit, and how many there were."""
        queue, limit_s = self._setting.queue, self._setting.limit_s
        count = int(self._random.poisson(rate * seconds))
        arrivals = np.sort(self._random.uniform(self._clock, self._clock + seconds, count)).tolist()
        services = self._random.exponential(queue.mean_s, count).tolist()
        bad = 0
        for arrival, service in zip(arrivals, services, strict=True):
            inside_s = self._state.arrive(arrival, service)
            bad += inside_s is None if limit_s is None else inside_s is not None and inside_s > limit_s
        self._clock += seconds
        return bad, count
