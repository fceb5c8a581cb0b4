"""`python -m selftest.rehearsal`: every plan runs for a moment on the embedded platform, and must be judged.

A rehearsal of some seconds passes no verdict on the plan's limits: a user class that no longer fits the platform, a
metric that fails on real data, a phase that cannot be scaled are what it finds. Its own result is whether each plan ran
to its end, had at least one good answer, no exception in a user, and a verdict, whichever.

Most of such a run is the start of its processes. So several run side by side, each before a process of this program
that makes the reports of its plans, one after the other, with what a report needs loaded once.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plans.durations import parse_duration
from plans.hosts import EMBEDDED
from plans.loading import load
from plans.problems import PlanError

ROOT = Path(__file__).resolve().parent.parent
_LIMIT_S = 120.0
_LAST_LINES = 5
_USERS_PER_S = 1000
"""So many users can begin in a second: with ten thousand a rehearsal takes ten."""
_JOBS = 2 * (os.cpu_count() or 1)
"""A rehearsal waits for half of its time: for the load, for what is in flight, for processes that end."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of one plan."""

    plan: Path
    verdict: str
    answers: int
    wall_s: float
    problem: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse the plans; return 0 when each was judged, 1 when not, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    plans = sorted(path for place in options.plans for path in _plans_in(place))
    if not plans:
        print("there are no plans", file=sys.stderr)
        return 2
    began = time.monotonic()
    with TemporaryDirectory(prefix="rehearsal-") as scratch, ProcessPoolExecutor(options.jobs) as pool:
        rehearsal = partial(rehearse, seconds=options.seconds, runs=options.runs or Path(scratch))
        found = [_shown(one) for one in pool.map(rehearsal, plans)]  # in the order of the plans, whichever ends first
    wrong = [one for one in found if one.problem]
    print(f"{len(found) - len(wrong)} of {len(found)} plans were judged, in {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m selftest.rehearsal", description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("plans", nargs="*", type=Path, default=[ROOT / "plans"], help="plan files or folders (default: all)")
    add("--seconds", type=parse_duration, default=1.0, help="length of each plan's phases together (1s)")
    add("--jobs", type=int, choices=range(1, 65), metavar="N", default=_JOBS, help=f"plans at once ({_JOBS})")
    add("--runs", type=Path, help="folder that keeps the runs (default: none)")
    return parser


def _plans_in(place: Path) -> list[Path]:
    """Return the plans of a folder, all but those under base/, which others extend."""
    if not place.is_dir():
        return [place]
    return [path for path in place.rglob("*.yaml") if "base" not in path.relative_to(place).parts]


def rehearse(path: Path, seconds: float, runs: Path) -> Rehearsed:
    """Run one plan for some seconds, in a folder of its own below `runs`."""
    began = time.monotonic()
    try:
        plan = load(path)
    except PlanError as error:
        return Rehearsed(path, "NOT RUN", 0, 0.0, str(error))
    folder = runs / "-".join(path.resolve().with_suffix("").parts[-2:])
    command = [sys.executable, str(ROOT / "certify.py"), str(path), f"--runs={folder}"]
    users = max((phase.load.highest() for phase in plan.phases if phase.closed), default=0.0)
    scale = min(max(seconds, users / _USERS_PER_S) / plan.duration, 1.0)
    command += [f"--time-scale={scale:.9f}", f"--host={EMBEDDED}", "--report-later"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL, check=False
        )
        said = (done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:]
        said += _judge(folder)
        verdict, answers, problem = _read(folder)
    except subprocess.TimeoutExpired:
        verdict, answers, problem, said = "NOT RUN", 0, f"it did not end within {_LIMIT_S:.0f} s", []
    wall = time.monotonic() - began
    return Rehearsed(path, verdict, answers, wall, problem and "\n    ".join([problem, *said]))


def _judge(folder: Path) -> list[str]:
    """Make the report of the run below a folder; return what was said about what went wrong."""
    from reports.__main__ import main as report  # noqa: PLC0415  in the processes that report only

    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        for run in folder.glob("*/run.json"):
            report([str(run.parent), "--quiet", "--traceback"])
    return errors.getvalue().strip().splitlines()[-_LAST_LINES:]


def _read(folder: Path) -> tuple[str, int, str | None]:
    """Return (verdict, good answers, what is wrong) of the run below a folder."""
    try:
        (file,) = folder.glob("*/report/verdict.json")
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        record: dict[str, Any] = json.loads((file.parent.parent / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "NOT RUN", 0, "there is no verdict"
    good = sum(one["accounting"]["outcomes"]["ok"] for one in found["requests"])
    broken = [error["example"] for error in found["errors"] if "the scenario failed" in error["example"]]
    ended = record["ending"]
    problem = broken[0] if broken else None if ended == "completed" else f"it ended as {ended}"
    return str(found["verdict"]), good, problem or (None if good else "there was not one good answer")


def _shown(one: Rehearsed) -> Rehearsed:
    mark = "not judged" if one.problem else "judged"
    plan = os.path.relpath(one.plan, ROOT)
    print(f"{mark:<10}  {one.verdict:<8} {one.answers:>7,} ok  {one.wall_s:5.1f} s  {plan}", flush=True)
    if one.problem:
        print(f"    {one.problem}", flush=True)
    return one


if __name__ == "__main__":
    sys.exit(main())
