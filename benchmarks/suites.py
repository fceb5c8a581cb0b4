"""What does the embedded platform reach of Catalytic's scenarios, and does the generator carry 1000 users?

The scenarios run with their users, each for a minute instead of its five to fifteen; the users in one process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.runs import ENVIRONMENT, ROOT, newest, run_plan
from benchmarks.table import Table

_SCENARIOS = ("baseline", "stress", "spike", "mixed")
_LENGTH = "1m"


def measure(scratch: Path) -> Table:
    """Run four scenarios, then 1000 users and a spike to as many."""
    table = Table(f"Suites: Catalytic's scenarios for {_LENGTH} each, 1000 users; generator and server share two cores")
    for name in _SCENARIOS:
        verdict = _scenario(name, scratch / name)
        phase = next(one for one in verdict["phases"] if one["name"] == ("spike" if name == "spike" else "load"))
        kept = sum(one["state"] == "pass" for one in verdict["criteria"])
        limits = f"{verdict['verdict']}, {kept} of {len(verdict['criteria'])} limits hold"
        table.add(f"{name}: {_figures(phase)}", limits, "the generator is valid", _valid(verdict))
    folder = run_plan(scratch, USERS, cores=tuple(range(os.cpu_count() or 1)))
    verdict = _read(folder)
    for phase in verdict["phases"]:
        table.add(f"chat sessions, {phase['name']}: {_figures(phase)}", "")
    for check in verdict["health"]:
        table.add(
            f"1000 users, generator: {check['name']}", str(check["measured"]), str(check["limit"]), check["passed"]
        )
    return table


USERS: dict[str, Any] = {
    "id": "BENCH",
    "title": "1000 users, and a spike to 1000",
    "mix": {"SessionUser": {}},
    "phases": [
        {"name": "arriving", "shape": "ramp", "users": {"from": 10, "to": 1000}, "duration": 20, "think": 2},
        {"name": "thousand", "users": 1000, "duration": 60, "think": {"min": 1, "max": 2}},
        {"name": "few", "users": 100, "duration": 20, "think": {"min": 1, "max": 2}},
        {
            "name": "spike",
            "shape": "spike",
            "users": {"base": 100, "peak": 1000},
            "rise": 2,
            "hold": 20,
            "fall": 2,
            "duration": 60,
            "think": {"min": 1, "max": 2},
        },
    ],
    "criteria": [{"metric": "success_rate", "above": 0.99}],
}


def _scenario(name: str, scratch: Path) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "certify.py"), f"plans/catalytic/{name}.yaml", f"--runs={scratch / 'runs'}"]
    environment = ENVIRONMENT | {"DURATION": _LENGTH}
    subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.DEVNULL)
    return _read(newest(scratch))


def _read(folder: Path) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((folder / "report" / "verdict.json").read_text(encoding="utf-8"))
    return verdict


def _valid(verdict: dict[str, Any]) -> bool:
    return all(check["passed"] for check in verdict["health"])


def _figures(phase: dict[str, Any]) -> str:
    values = {name: one["value"] for name, one in phase["metrics"].items()}
    rate, p95, errors = (values[name] for name in ("throughput_rps", "latency_p95_ms", "error_rate"))
    return f"{rate:,.0f} requests/s, p95 {p95:,.0f} ms, {errors:.2%} errors"
