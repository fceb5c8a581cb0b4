"""Runs of streams against the known server, for the benchmarks that look at stamps."""

from pathlib import Path
from typing import Any

from benchmarks.runs import run_plan
from calibration.process import Log, known_server


def stream_plan(phases: list[dict[str, Any]], users: int = 5000) -> dict[str, Any]:
    """Return a plan whose every request is a stream."""
    return {
        "id": "BENCH",
        "title": "benchmark",
        "target": {"model": "known"},
        "mix": {"ChatUser": {"prompts": "simple", "streaming": 1.0, "timeout": 120}},
        "phases": phases,
        "criteria": [{"metric": "success_rate", "at_least": 0.99}],
        "pool": {"max_users": users, "drain": "60s"},
        "monitors": {"host": False, "target": False},
    }


def streamed(scratch: Path, plan: dict[str, Any], **server: float) -> tuple[Path, Log]:
    """Run a plan against the known server; return the run folder and what the server knows."""
    with known_server(core=1, **server) as known:
        folder = run_plan(scratch, plan, f"--host={known.url}")
        return folder, known.log()
