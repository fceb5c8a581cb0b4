"""What does a request cost? A whole run of Proofload beside plain Locust users, in alternating rounds."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.runs import CRUD_LIST, ENVIRONMENT, pin, readings_of, run_plan, samples_of, server
from benchmarks.table import Table

_ROUNDS, _SECONDS, _USERS = 5, 6, 20

_PLAIN = """
import json, os, resource
from locust import FastHttpUser, HttpUser, events, task


class Plain({base}):
    insecure = False

    @task
    def list(self):
        self.client.get("/")


@events.spawning_complete.add_listener
def begin(**_):
    global used
    used = resource.getrusage(resource.RUSAGE_SELF)


@events.quitting.add_listener
def save(environment, **_):
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    json.dump([environment.stats.total.num_requests, cpu], open({result!r}, "w"))
"""


def measure(scratch: Path) -> Table:
    """CPU time per simple keep-alive request: schedule, recorder, segments and events included in ours."""
    rounds: dict[str, list[float]] = {"Proofload": [], "FastHttpUser": [], "HttpUser": []}
    with server() as host:
        clients: dict[str, Callable[[], float]] = {
            "Proofload": lambda: _ours(scratch, host),
            "FastHttpUser": lambda: _plain("FastHttpUser", host),
            "HttpUser": lambda: _plain("HttpUser", host),
        }
        for _ in range(_ROUNDS):
            for name, cost in clients.items():
                rounds[name].append(cost())
    table = Table(f"CPU time of the load generator per simple request: {_ROUNDS} alternating rounds, {_USERS} users")
    for name, costs in rounds.items():
        ratios = [base / cost for base, cost in zip(rounds["FastHttpUser"], costs, strict=True)]
        what = f"{statistics.median(ratios):.2f} x the requests per core of FastHttpUser"
        table.add(name, f"{1e6 * statistics.median(costs):.0f} µs; {what} ({min(ratios):.2f} to {max(ratios):.2f})")
    return table


def _ours(scratch: Path, host: str) -> float:
    plan = {
        "id": "BENCH",
        "title": "benchmark",
        "mix": {"ReadOnlyUser": {"operations": CRUD_LIST}},
        "phases": [{"name": "only", "users": _USERS, "duration": _SECONDS}],
        "criteria": [{"metric": "success_rate", "at_least": 0.99}],
    }
    folder = run_plan(scratch, plan, f"--host={host}")
    cpu = readings_of(folder).query("source == 'generator' and metric == 'cpu_cores' and t_s > 0 and t_s < @_SECONDS")
    requests = int(samples_of(folder)["iteration"].sum())
    return float(cpu["value"].mean()) * _SECONDS / requests


def _plain(base: str, host: str) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        locustfile, result = Path(scratch) / "plain.py", Path(scratch) / "result.json"
        locustfile.write_text(_PLAIN.format(base=base, result=str(result)), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(locustfile),
            "--headless",
            "--host",
            host,
            "--only-summary",
        ]
        subprocess.run(
            [*command, "-u", str(_USERS), "-r", str(_USERS), "-t", f"{_SECONDS}s"],
            env=ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=scratch,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: pin(0),
        )
        requests, cpu = json.loads(result.read_text(encoding="utf-8"))
    return float(cpu) / int(requests)
