"""Runs one plan or many, one after the other, and exits with the worst verdict.

    python certify.py plans/quickstart.yaml
    python certify.py plans/hxp/mixtral-load.yaml --time-scale 0.02 --host http://127.0.0.1:11400

Every plan is checked before the first one runs. Exit codes: 0 PASS, 1 FAIL, 2 bad plan or usage, 3 INVALID.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from plans import PlanError, load
from plans.problems import Problem
from reports.analysis import Verdict

ROOT = Path(__file__).resolve().parent
EXIT_USAGE = 2
_BY_SEVERITY = (0, 1, 3, EXIT_USAGE)
_PASSED_ON = ("host", "rate", "time_scale", "seed", "allow_host", "runs")


@dataclass(frozen=True, slots=True)
class Certified:
    """What came out of one plan; `folder` is None when no run came about."""

    plan: Path
    exit_code: int
    folder: Path | None

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return next((v.value for v in Verdict if v.exit_code == self.exit_code), "NOT RUN")


def main(arguments: Sequence[str]) -> int:
    """Run the plans; the result is the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    plans = [plan for path in options.plans for plan in _plans_in(Path(path))]
    if problems := _problems(plans):
        for problem in problems:
            print(problem, file=sys.stderr)
        return EXIT_USAGE
    runner = Runner([f"--{key.replace('_', '-')}={value}" for key in _PASSED_ON if (value := getattr(options, key))])
    results = runner.run_all(plans)
    if len(plans) > 1:
        print("\n" + "\n".join(_summary(results)))
    return max((result.exit_code for result in results), key=_BY_SEVERITY.index)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="certify.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("plans", nargs="+", metavar="PLAN", help="plan file, or a folder of them")
    parser.add_argument("--host", help="URL of the server under test, in place of the plan's")
    parser.add_argument("--allow-host", help="further hosts that load may go to, separated by commas")
    parser.add_argument("--rate", help="requests/s in place of the plan's nominal rate")
    parser.add_argument("--time-scale", help="multiplies every duration; makes the run a rehearsal")
    parser.add_argument("--seed", help="seed of arrivals, prompts and data")
    parser.add_argument("--runs", help="folder that run folders are made in (default: runs)")
    return parser


def _plans_in(path: Path) -> list[Path]:
    """Return the plans that a path names; in a folder, all but those under base/, which others extend."""
    if not path.exists() and (ROOT / path).exists():
        path = ROOT / path
    if not path.is_dir():
        return [path]
    return sorted(plan for plan in path.rglob("*.yaml") if "base" not in plan.relative_to(path).parts)


def _problems(plans: Sequence[Path]) -> list[Problem]:
    problems = [] if plans else [Problem("command line", "PLAN", "names no plan: the folder holds no .yaml files")]
    for path in plans:
        try:
            load(path)
        except PlanError as error:
            problems += error.problems
    return problems


class Runner:
    """Starts Locust once per plan. Signals are passed on to it, and no further plan is begun."""

    def __init__(self, passed_on: list[str]) -> None:
        self._passed_on = passed_on
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run_all(self, plans: Sequence[Path]) -> list[Certified]:
        """Run the plans in order; those after an interruption are not run, and count as INVALID."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        return [self._run(plan) for plan in plans]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stopped = True
        if self._process is not None:
            self._process.send_signal(number)

    def _run(self, plan: Path) -> Certified:
        if self._stopped:
            return Certified(plan, Verdict.INVALID.exit_code, None)
        with tempfile.TemporaryDirectory() as scratch:
            run_file = Path(scratch) / "run"
            command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfile.py"), "--headless"]
            command += ["--loglevel=WARNING", f"--plan={plan}", f"--run-file={run_file}", *self._passed_on]
            environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            # In a session of its own: a Ctrl-C then reaches it once, from here, however this program was interrupted.
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
            code = self._process.wait()
            folder = Path(run_file.read_text(encoding="utf-8")) if run_file.exists() else None
        if folder is None and code != EXIT_USAGE:
            print(f"{plan}: the load generator ended with code {code} before it could make a report", file=sys.stderr)
            print("what it recorded is in the newest run folder: python -m reports runs/<id>", file=sys.stderr)
        if folder is None:
            return Certified(plan, EXIT_USAGE if code == EXIT_USAGE else 3, None)
        return Certified(plan, code if code in _BY_SEVERITY else 3, folder)


def _summary(results: Sequence[Certified]) -> list[str]:
    width = max(len(str(result.plan)) for result in results)
    return [
        f"{result.verdict:<8} {result.plan!s:<{width}}  "
        + (str(result.folder / "report" / "report.html") if result.folder else "no run")
        for result in results
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
