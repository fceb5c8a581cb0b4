"""What does a simple request cost? A whole run of Proofload beside other clients, in alternating rounds."""

import shutil
import statistics
from pathlib import Path

from benchmarks.meter import Cost, python, watch
from benchmarks.runs import ROOT, run_command
from benchmarks.table import Table
from calibration.process import KnownServer, known_server

_ROUNDS, _SETTLE_S, _SECONDS, _USERS = 5, 1.0, 2.5, 20
_LENGTH_S = int(_SETTLE_S + _SECONDS + 1.5)
_BASE, _OURS, _PROMISE = "FastHttpUser", "Proofload", 3.0
_AUTOCANNON = ROOT / "build" / "autocannon" / "node_modules" / ".bin" / "autocannon"

_PLAIN = """
from locust import FastHttpUser, HttpUser, task


class Plain({base}):
    insecure = False

    @task
    def list(self):
        self.client.get("/")
"""


def measure(scratch: Path) -> Table:
    """CPU time per simple keep-alive request: schedule, recorder, segments and events included in ours.

    A server that waits for work on the same machine is woken by each request, and whoever sends that pays for it, which
    on a virtual machine takes as long as the request. A server elsewhere is woken by its own network. So here it stays
    awake; what the two Locust users take beside one that rests is shown as well.
    """
    with known_server(awake=1) as server:
        rounds = _alternate(server, _commands(scratch, server))
    with known_server() as server:
        commands = _commands(scratch, server)
        resting = _alternate(server, {name: commands[name] for name in (_OURS, _BASE)})
    return _table(rounds, resting)


def _alternate(server: KnownServer, commands: dict[str, list[str]]) -> dict[str, list[Cost]]:
    rounds: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(_ROUNDS):
        for name, command in commands.items():
            rounds[name].append(watch(command, server, settle=_SETTLE_S, seconds=_SECONDS))
    return rounds


def _commands(scratch: Path, server: KnownServer) -> dict[str, list[str]]:
    url, users, length = server.url, str(_USERS), f"{_LENGTH_S}s"
    commands = {
        _OURS: run_command(scratch, closed_plan(_USERS, _LENGTH_S), f"--host={url}"),
        _BASE: _plain(scratch, "FastHttpUser", url),
        "HttpUser": _plain(scratch, "HttpUser", url),
        "wrk": ["wrk", "-t1", f"-c{users}", f"-d{length}", f"{url}/"],
        "hey": ["hey", "-c", users, "-z", length, "-cpus", "1", f"{url}/"],
        "autocannon": [str(_AUTOCANNON), "-c", users, "-d", str(_LENGTH_S), f"{url}/"],
    }
    return {name: command for name, command in commands.items() if shutil.which(command[0])}


def closed_plan(users: int, seconds: float) -> dict[str, object]:
    """Return a plan in which users ask for the front page again as soon as they have it."""
    return {
        "id": "BENCH",
        "title": "benchmark",
        "mix": {"SimpleUser": {"file": str(ROOT / "benchmarks" / "simple_user.py")}},
        "phases": [{"name": "only", "users": users, "duration": seconds}],
        "criteria": [{"metric": "success_rate", "at_least": 0.99}],
        "monitors": {"host": False, "target": False},
    }


def _plain(scratch: Path, base: str, url: str) -> list[str]:
    file = scratch / f"{base}.py"
    file.write_text(_PLAIN.format(base=base), encoding="utf-8")
    options = ["--headless", "--only-summary", "-u", str(_USERS), "-r", str(_USERS), "-t", f"{_LENGTH_S}s"]
    return python("-m", "locust", "-f", str(file), "--host", url, *options)


def _table(rounds: dict[str, list[Cost]], resting: dict[str, list[Cost]]) -> Table:
    table = Table(
        f"A simple keep-alive request: client on one core, {_ROUNDS} alternating rounds, {_USERS} connections"
    )
    for name in rounds:
        text, ratio = _words(rounds, name)
        promise = (f">= {_PROMISE:g} x", ratio >= _PROMISE) if name == _OURS else ("", None)
        table.add(name, text, *promise)
    for name in ("wrk", "hey", "autocannon"):
        if name not in rounds:
            table.add(name, "not installed here")
    for name in resting:
        table.add(f"{name}, with a server that has to be woken", _words(resting, name)[0])
    return table


def _words(rounds: dict[str, list[Cost]], name: str) -> tuple[str, float]:
    """Return what a client took, in words, and the median of its requests per core over those of the base."""
    costs = rounds[name]
    ratios = [base.request_us / cost.request_us for base, cost in zip(rounds[_BASE], costs, strict=True)]
    median = statistics.median(ratios)
    micros = statistics.median(cost.request_us for cost in costs)
    rate = statistics.median(cost.requests / cost.seconds for cost in costs)
    return (
        f"{micros:.1f} µs of CPU; {median:.2f} x the requests per core of {_BASE} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}); {rate:,.0f} requests/s"
    ), median
