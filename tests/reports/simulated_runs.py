"""Run folders with latencies that hang together as a server's do, made by the real writer."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.simulated import RATE, wavy
from samples.sample import Outcome
from tests.reports.builder import RunBuilder, request

SECONDS = 120.0


def run_folder(
    folder: Path, seed: int, slower: float = 1.0, errors: float = 0.0, record: dict[str, Any] | None = None, **plan: Any
) -> Path:
    """Write a run of two minutes at 50 RPS around 100 ms, `slower` by a factor, a share of it failed."""
    rng = np.random.default_rng(seed)
    count = int(SECONDS * RATE)
    _, (latencies,) = wavy(0.1, 0.5).draw(rng, 1, count)
    failed = rng.random(count) < errors
    samples = [
        request(index / RATE, latency / 1000 * slower, outcome=Outcome.HTTP_ERROR if bad else Outcome.OK)
        for index, (latency, bad) in enumerate(zip(latencies, failed, strict=True))
    ]
    phases = [{"name": "sustained", "rate": RATE, "duration": f"{SECONDS:g}s"}]
    builder = RunBuilder(**({"phases": phases} | plan)).samples(samples)
    return builder.record(**({"id": folder.name, "seed": seed} | (record or {}))).write(folder)
