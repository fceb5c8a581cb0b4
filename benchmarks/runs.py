"""Runs for benchmarks: the generator on one core and the server on the other, where there are two."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from calibration.process import pin
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, read_table, reading_files, sample_files

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run_plan(scratch: Path, plan: dict[str, Any], *options: str, cores: tuple[int, ...] = (0,)) -> Path:
    """Run a plan, headless and without its words, and return the run folder."""
    command = run_command(scratch, plan, *options)
    subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL, preexec_fn=lambda: pin(*cores)
    )
    return newest(scratch)


def run_command(scratch: Path, plan: dict[str, Any], *options: str) -> list[str]:
    """Write a plan, and return the command that runs it."""
    path = scratch / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return [sys.executable, str(ROOT / "certify.py"), str(path), f"--runs={scratch / 'runs'}", *options]


def newest(scratch: Path) -> Path:
    """Return the folder of the last run."""
    folders = [path for path in (scratch / "runs").iterdir() if path.is_dir()]
    return max(folders, key=lambda folder: folder.stat().st_mtime_ns)


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
