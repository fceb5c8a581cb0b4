"""Runs Proofload on one fault, as a user would, and reads what it found."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from selftest.faults import LOST, NOTHING, STARVED, Shown, plan_of

ROOT = Path(__file__).resolve().parent.parent
_LIMIT_S = 180.0
_STOPS, _STOPPED_S, _BETWEEN_S = 4, 0.8, 0.4


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out of one run: the fault that was shown, and the name of the one that was found."""

    shown: str
    wanted: str
    seed: int
    found: str
    broken: list[str]
    verdict: str
    folder: str
    wall_s: float

    @property
    def right(self) -> bool:
        """True when the fault was found under its name."""
        return self.found == self.wanted


def show(shown: Shown, seed: int, folder: Path, long: bool = False) -> Finding:
    """Run the plan of a fault in `folder` and return the finding."""
    began = time.monotonic()
    harm = _starve if shown.starved else _bereave if shown.bereft else None
    meanwhile = (lambda process: harm(process.pid, folder)) if harm else None
    options = [f"--workers={shown.workers}"] if shown.workers else []
    certify(plan_of(shown, long or shown.long), seed, folder, _LIMIT_S, meanwhile, options)
    found, broken, verdict = _read(folder)
    place = os.path.relpath(folder, folder.parent.parent)
    wall = round(time.monotonic() - began, 1)
    return Finding(shown.name, shown.found_as, seed, found, broken, verdict, place, wall)


def certify(
    plan: dict[str, Any],
    seed: int,
    folder: Path,
    limit_s: float,
    meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None,
    options: Sequence[str] = (),
) -> None:
    """Run a plan in `folder` as a user would; one that does not end within `limit_s` is ended."""
    folder.mkdir(parents=True)
    file = folder / "plan.yaml"
    file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    command = [sys.executable, str(ROOT / "certify.py"), str(file), f"--runs={folder}", f"--seed={seed}", *options]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            if meanwhile is not None:
                meanwhile(process)
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass  # ended below: a run without a report tells that it hung
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def verdict_of(folder: Path) -> dict[str, Any] | None:
    """Return the `verdict.json` of the one run below a folder; None when there is none."""
    try:
        (file,) = folder.glob("*/report/verdict.json")
        verdict: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return verdict


def _starve(pid: int, folder: Path) -> None:
    """Stop the load generator now and then, once its load is under way: another process has taken its CPU."""
    locust = _load_generator(pid, folder)
    if locust is None:
        return
    for _ in range(_STOPS):
        locust.suspend()
        time.sleep(_STOPPED_S)
        locust.resume()
        time.sleep(_BETWEEN_S)


def _bereave(pid: int, folder: Path) -> None:
    """Kill one of the workers, once their load is under way: its machine is gone."""
    master = _load_generator(pid, folder)
    if master is None:
        return
    worker = next((child for child in master.children() if "--worker" in child.cmdline()), None)
    if worker is not None:
        worker.kill()


def _load_generator(pid: int, folder: Path) -> psutil.Process | None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(file.stat().st_size for file in folder.glob("*/samples-*.arrow")):
            children = psutil.Process(pid).children()
            return next((child for child in children if "locust" in child.cmdline()), None)
        time.sleep(0.05)
    return None


def _read(folder: Path) -> tuple[str, list[str], str]:
    """Return (finding, broken criteria and checks, verdict) of the run below a folder."""
    verdict = verdict_of(folder)
    if verdict is None:
        return "no report", [], "NOT RUN"
    checks = [check["name"] for check in verdict["health"] if not check["passed"]]
    criteria = [criterion["id"] for criterion in verdict["criteria"] if criterion["state"] == "fail"]
    word = str(verdict["verdict"])
    if word == "PASS":
        return NOTHING, [], word
    if word == "FAIL":
        return criteria[0] if criteria else "no criterion", criteria, word
    if "arrivals lost with workers" in checks:
        return LOST, checks, word
    if any("lag" in name for name in checks):
        return STARVED, checks, word
    return "invalid for another reason", [*checks, *verdict["reasons"][:2]], word
