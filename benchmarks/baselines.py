"""Measures Catalytic's five scenarios on the embedded platform, keeps their figures in data/baselines/, and plans.

Their users are those of the scenarios, their lengths are shorter: minutes in the place of four hours and a half. What
is kept is of this machine and of the embedded platform beside the load on it, and of nothing else.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.runs import ENVIRONMENT, ROOT, newest
from benchmarks.table import Table
from reports.snapshots import Scoped, Snapshot, read_snapshot
from reports.windows import Scope

SCENARIOS = {
    "baseline": ("load", "3m"),
    "stress": ("load", "5m"),
    "spike": ("spike", "5m"),
    "soak": ("hour-4", "2m"),
    "mixed": ("load", "3m"),
}
"""Scenario: the phase whose figures are kept, and how long it is held here; of the soak each of its four quarters."""
KEPT = ROOT / "data" / "baselines"
_PLANNED = "plans/catalytic-open/baseline.yaml"
_LOADS = "500,1000"


def measure(scratch: Path) -> Table:
    """Run the scenarios and keep their figures; then search the capacity of the platform for the baseline's users."""
    table = Table("Baselines of Catalytic's scenarios: the embedded platform, the load beside it on the same machine")
    for name, (_, length) in SCENARIOS.items():
        command = [sys.executable, "certify.py", f"plans/catalytic/{name}.yaml", f"--runs={scratch / name / 'runs'}"]
        environment = ENVIRONMENT | {"DURATION": length}
        subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.DEVNULL)
        add(table, name, newest(scratch / name))
    runs = scratch / "capacity"
    command = [sys.executable, "-m", "capacity", _PLANNED, f"--runs={runs}", f"--for={_LOADS}"]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL)
    (file,) = (runs / "capacity").glob("*.json")
    add_planning(table, json.loads(file.read_text(encoding="utf-8")))
    return table


def add(table: Table, name: str, folder: Path) -> None:
    """Keep the figures of a run, and add them to the table; those of an INVALID one are no baseline."""
    verdict = json.loads((folder / "report" / "verdict.json").read_text(encoding="utf-8"))
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    valid = verdict["verdict"] != "INVALID"
    words = "nothing: the run was INVALID"
    if valid:
        shutil.copyfile(folder / "report" / f"baseline-catalytic_{name}.json", KEPT / f"catalytic_{name}.json")
        scoped = figures_of(name)
        held = sum(one["state"] == "pass" for one in verdict["criteria"])
        words = f"{words_of(scoped)}; {held} of the scenario's {len(verdict['criteria'])} limits hold"
        words += _unrest(record)
    phase = next(one for one in verdict["phases"] if one["name"] == SCENARIOS[name][0])
    length = f"{phase['end_s'] - phase['start_s']:.0f} s"
    table.add(f"{name}: {phase['load']}, {length}", words, "the generator is valid", valid)


def kept(name: str) -> Snapshot:
    """Return the baseline of a scenario."""
    return read_snapshot(json.loads((KEPT / f"catalytic_{name}.json").read_text(encoding="utf-8")))


def figures_of(name: str) -> Scoped:
    """Return the kept figures of a scenario. Raises ValueError when those of its phase are not there."""
    scoped = kept(name).of(Scope(SCENARIOS[name][0]))
    if scoped is None:
        raise ValueError(f"catalytic_{name}.json has no figures of {SCENARIOS[name][0]}")
    return scoped


def words_of(scoped: Scoped) -> str:
    """Return the figures of a scenario as the table shows them."""
    values = {name: figure.value for name, figure in scoped.metrics.items()}
    times = ", ".join(f"{p} {_digits(values[f'latency_{p}_ms'])} ms" for p in ("p50", "p95", "p99"))
    return f"{values['throughput_rps']:,.0f} requests/s, {times}, {values['error_rate']:.2%} errors"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def add_planning(table: Table, found: dict[str, Any]) -> None:
    """Add what the search for the capacity found, and how many instances loads need by it."""
    if found["capacity"] is None:
        table.add("capacity for the baseline's requests", f"nothing: {found['ended']}", "found", held=False)
        return
    words = f"{found['capacity']:.0f} RPS ({found['low']:.0f} to {found['high']:.0f}), by {found['limiting']}"
    needs = ", ".join(f"{one['load']:,.0f} RPS need {one['instances']}" for one in found["sizing"])
    table.add("capacity for the baseline's requests; instances with 30 % headroom", f"{words}; {needs}")


def _unrest(record: dict[str, Any]) -> str:
    """Return in words that others had work on the machine, when they had."""
    unmet = [one["found"] for one in record["preconditions"] if one["name"] == "machine at rest" and not one["held"]]
    return f" (others worked on the machine: {unmet[0]})" if unmet else ""
