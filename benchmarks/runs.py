"""Runs for benchmarks: the generator on one core and the server on the other, where there are two."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, read_table, reading_files, sample_files
from tests.execution.harness import serving

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def pin(*cores: int) -> None:
    """Keep this process, and those that it starts, on the given cores; does nothing where that cannot be."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > max(cores):
        os.sched_setaffinity(0, cores)


@contextmanager
def server(*options: str) -> Iterator[str]:
    """Start the small HTTP server with known behaviour on the second core, and yield its URL."""
    with serving(*options, preexec_fn=lambda: pin(1)) as url:
        yield url


def run_plan(scratch: Path, plan: dict[str, Any], *options: str, cores: tuple[int, ...] = (0,)) -> Path:
    """Run a plan, headless and without its words, and return the run folder."""
    runs = scratch / f"runs-{len(list(scratch.iterdir()))}"
    path = scratch / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    command = [sys.executable, str(ROOT / "certify.py"), str(path), f"--runs={runs}", *options]
    subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL, preexec_fn=lambda: pin(*cores)
    )
    return next(runs.iterdir())


def samples_of(folder: Path) -> pd.DataFrame:
    """Return the run's samples with `lag_ms` and `latency_ms`."""
    frame: pd.DataFrame = read_table(sample_files(folder), SAMPLE_SCHEMA).to_pandas()
    frame["lag_ms"] = (frame["sent_s"] - frame["due_s"]) * 1000
    frame["latency_ms"] = (frame["done_s"] - frame["due_s"]) * 1000
    return frame


def readings_of(folder: Path) -> pd.DataFrame:
    """Return the run's resource readings."""
    frame: pd.DataFrame = read_table(reading_files(folder), READING_SCHEMA).to_pandas()
    return frame


def nearest_rank(values: "pd.Series[float]", share: float) -> float:
    """Return the exact percentile of raw values."""
    return float(values.quantile(share, interpolation="higher"))


CRUD_LIST = {"list": 1, "create": 0, "details": 0, "search": 0, "compare": 0, "update": 0, "export": 0}


def constant_plan(rate: float, seconds: float, **keys: Any) -> dict[str, Any]:
    """Return a plan with one phase of simple requests at a constant rate."""
    return {
        "id": "BENCH",
        "title": "benchmark",
        "mix": {"ReadOnlyUser": {"operations": CRUD_LIST}},
        "phases": [{"name": "only", "rate": rate, "duration": seconds}],
        "criteria": [{"metric": "success_rate", "at_least": 0.99}],
    } | keys
