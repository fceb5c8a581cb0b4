"""A server in virtual time: what requests meet at a queue, at a bounded one, at one that thrashes, at one that dies."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from samples.sample import Outcome, Sample
from tests.reports.builder import failed, request


def arrivals(phases: Iterable[dict[str, Any]], seed: int = 0) -> list[tuple[str, float]]:
    """Return (phase, due) of Poisson arrivals of open phases with constant rates or steps."""
    rng, start, found = np.random.default_rng(seed), 0.0, []
    for phase in phases:
        rate, length = phase["rate"], float(phase["duration"])
        rates = np.linspace(rate["from"], rate["to"], rate["steps"]) if isinstance(rate, dict) else [rate]
        for level in rates:
            width = length / len(rates)
            count = rng.poisson(level * width)
            found += [(phase["name"], float(due)) for due in np.sort(start + rng.uniform(0, width, count))]
            start += width
    return found


def served(
    due: Iterable[tuple[str, float]],
    capacity: float,
    *,
    limit: float = np.inf,
    thrash: float = 0.0,
    timeout_s: float = 1e9,
    status: int = 503,
    dies_at: int | None = None,
    base_s: float = 0.005,
) -> list[Sample]:
    """Return the samples of one server: at most `capacity` a second, `limit` waiting, dead after `dies_at` inside."""
    free, leaving, samples, dead = 0.0, list[float](), [], False
    for phase, at in due:
        leaving = [moment for moment in leaving if moment > at]
        if dead or (dies_at is not None and len(leaving) > dies_at):
            dead = True
            samples.append(failed(at, Outcome.CONNECT_ERROR, "connection refused", phase=phase, latency_s=0.001))
            continue
        if len(leaving) > limit:
            error = f"HTTP {status}"
            samples.append(failed(at, Outcome.HTTP_ERROR, error, phase=phase, status=status, latency_s=0.002))
            continue
        free = max(free, at) + (1 + thrash * len(leaving)) / capacity
        leaving.append(free)
        took = free - at + base_s
        if took > timeout_s:
            samples.append(failed(at, Outcome.TIMEOUT, "timeout", phase=phase, latency_s=timeout_s))
        else:
            samples.append(request(at, took, phase=phase))
    return samples
