"""Coordinated omission: a server that stalls for 5 s in 30 s at 50 RPS, seen by Proofload and by plain Locust."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.runs import ENVIRONMENT, constant_plan, nearest_rank, run_plan, samples_of
from benchmarks.table import Table
from calibration.process import known_server, pin

_RATE, _SECONDS, _STALL_AT, _STALL_FOR = 50, 30, 10, 5

_PLAIN_LOCUST = """
import json
from locust import FastHttpUser, constant_throughput, events, task

latencies = []


class Plain(FastHttpUser):
    wait_time = constant_throughput(1)
    insecure = False

    @task
    def list(self):
        self.client.get("/")


@events.request.add_listener
def keep(response_time, **_):
    latencies.append(response_time)


@events.quitting.add_listener
def save(**_):
    json.dump(latencies, open(RESULT, "w"))
"""


def ideal() -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the latencies in ms that callers of an otherwise instant server would see."""
    due = (np.arange(_RATE * _SECONDS) + 0.5) / _RATE
    wait = np.where((due >= _STALL_AT) & (due < _STALL_AT + _STALL_FOR), _STALL_AT + _STALL_FOR - due, 0.0)
    return np.sort(wait) * 1000


def measure(scratch: Path) -> Table:
    """Compare mean, p95 and p99 with what a caller saw, and count the requests that went out in the stall."""
    truth = ideal()
    with known_server(stall_at=_STALL_AT, stall_for=_STALL_FOR) as server:
        folder = run_plan(scratch, constant_plan(_RATE, _SECONDS), f"--host={server.url}")
    rows = samples_of(folder)
    ours = np.sort(rows.loc[rows["iteration"], "latency_ms"].to_numpy())
    with known_server(stall_at=_STALL_AT, stall_for=_STALL_FOR) as server:
        plain = np.sort(_plain_locust(server.url))
    table = Table("A stall of 5 s in a run of 30 s at 50 RPS: latency mean, p95, p99 in ms, and requests")
    p95 = nearest_rank(rows.loc[rows["iteration"], "latency_ms"], 0.95)
    table.add("what callers saw (arithmetic)", _figures(truth))
    within = abs(p95 / _percentile(truth, 0.95) - 1) <= 0.05
    table.add("Proofload, from the intended start", _figures(ours), "p95 within 5 %", within)
    table.add("plain Locust, 50 users with constant_throughput(1)", _figures(plain))
    return table


def _percentile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", share: float) -> float:
    return float(np.percentile(values, share * 100, method="inverted_cdf"))


def _figures(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    figures = (values.mean(), _percentile(values, 0.95), _percentile(values, 0.99))
    return ", ".join(f"{figure:.0f}" for figure in figures) + f"; {len(values)} requests"


def _plain_locust(host: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    with tempfile.TemporaryDirectory() as scratch:
        locustfile, result = Path(scratch) / "plain.py", Path(scratch) / "latencies.json"
        locustfile.write_text(_PLAIN_LOCUST.replace("RESULT", repr(str(result))))
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--host", host]
        command += ["-u", str(_RATE), "-r", str(_RATE), "-t", f"{_SECONDS}s", "--stop-timeout", "10", "--only-summary"]
        subprocess.run(
            command,
            env=ENVIRONMENT,
            cwd=scratch,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: pin(0),
        )
        return np.array(json.loads(result.read_text()), dtype=np.float64)
