"""`python -m capacity PLAN`: the highest load at which every limit of a plan holds, with its interval.

Exit codes: 0 found (and above --at-least, where that is given), 1 too little, 2 bad plan or usage, 3 cannot be told:
interrupted, the load generator was the limit, the server changed, or no limit broke.
"""

import argparse
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType

from capacity import page, result
from capacity.limits import By, Limits, limits_of
from capacity.result import Result, number
from capacity.search import Found, Search, Settings
from capacity.trials import ROOT, Trials
from plans.capacity import CALIBRATION_FILE
from plans.durations import parse_duration
from plans.exits import Exit
from plans.loading import load
from plans.problems import PlanError, Problem

_PASSED_ON = ("host", "allow_host")


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, print and keep what was found; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        plan = load(_existing(options.plan))
        limits = limits_of(plan, options.plan, options.probe, options.phase, options.by)
        settings = _settings(options, limits)
    except PlanError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return Exit.USAGE
    folder = options.runs / result.FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{plan.id}"
    try:
        folder.mkdir(parents=True)
        if (options.runs / CALIBRATION_FILE).exists():
            shutil.copy(options.runs / CALIBRATION_FILE, folder)
    except OSError as error:
        print(f"--runs: must be a folder that can be written to, got {options.runs} ({error})", file=sys.stderr)
        return Exit.USAGE
    passed_on = [f"--{key.replace('_', '-')}={value}" for key in _PASSED_ON if (value := getattr(options, key))]
    trials = Trials(limits, folder, options.seed, passed_on)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _interrupter(trials))
    _say(f"{plan.id}: {plan.title}\nlimits: {'; '.join(result.limit_words(limits))}")
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    found = Search(settings, trials, _progress(limits.by.unit)).run()
    outcome = _result(options, limits, trials, found, started)
    return _publish(outcome, options.runs, folder) if not found.usage else _unusable(found)


def _interrupter(trials: Trials) -> Callable[[int, FrameType | None], None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        _say("interrupted: the run under way is ended, and what was found so far is reported")
        trials.interrupt()

    return interrupt


def _unusable(found: Found) -> int:
    print(found.ended, file=sys.stderr)
    return Exit.USAGE


def _say(text: str) -> None:
    print(text, flush=True)


def _progress(unit: str) -> Callable[[Found], None]:
    told = 0

    def tell(found: Found) -> None:
        nonlocal told
        for probe in found.probes[told:]:
            why = f" ({probe.trouble})" if probe.trouble else ""
            _say(f"{probe.at_s:5.0f} s  {probe.role:<6} {number(probe.load):>8} {unit}  {page.state(probe)}{why}")
        told = len(found.probes)
        if found.capacity is not None and found.interval is not None:
            low, high = found.interval
            _say(f"         about {number(found.capacity.load)} {unit} ({number(low)} to {number(high)})")

    return tell


def _settings(options: argparse.Namespace, limits: Limits) -> Settings:
    """Return how to search. Raises PlanError when the loads make no sense."""
    start = options.start
    if start is None and limits.nominal is None:
        text = f"must be given: {limits.phase.name} of the plan says nothing in {limits.by.unit}"
        raise PlanError([Problem("command line", "--start", text)])
    start = start if start is not None else max((limits.nominal or 0.0) / 4, 1.0 if limits.by is By.USERS else 0.25)
    most = limits.plan.pool.max_users if limits.by is By.USERS else 1e6
    highest = min(options.highest, float(most))
    if highest <= start:
        text = f"must be above the load at which the search starts ({start:g}), got {highest:g}"
        raise PlanError([Problem("command line", "--highest", text)])
    return Settings(
        start=start,
        highest=highest,
        whole=limits.by is By.USERS,
        precision=options.precision,
        probe_s=options.probe,
        settle_s=options.settle,
        rung_s=options.rung,
        limit_s=options.time_limit,
    )


def _result(options: argparse.Namespace, limits: Limits, trials: Trials, found: Found, started: str) -> Result:
    capacity, interval = found.capacity, found.interval or (None, None)
    at = result.figures_at(capacity.load, found.valid) if capacity is not None else {}
    words = result.limits_found(limits, found)
    drift = result.drift_of(found.probes)
    scalability, knee = result.laws(found.probes)
    record = trials.record
    wanted = options.loads or ([limits.nominal] if limits.nominal is not None else [])
    silent = _silent(limits, found)
    return Result(
        plan=limits.plan.id,
        title=limits.plan.title,
        plan_file=options.plan,
        folder=str(trials.folder),
        host=record.host if record is not None else limits.plan.target.host,
        unit=limits.by.unit,
        capacity=capacity.load if capacity is not None else None,
        low=interval[0],
        high=interval[1],
        capacity_rps=(capacity.load if limits.by is By.RATE else at.get("throughput_rps")) if capacity else None,
        limiting=next((one.text for one in words if one.limiting), None),
        highest_held=max((p.load for p in found.valid if p.broken is False), default=None),
        lowest_broken=min((p.load for p in found.valid if p.broken), default=None),
        at_capacity=at,
        limits=words,
        probes=found.probes,
        scalability=scalability,
        knee=knee,
        sizing=result.sizing(wanted, interval[0], limits.by.unit, options.headroom),
        drift=drift,
        ended=found.ended,
        exit_code=_exit_code(found, options.at_least, invalid=bool(drift or silent)),
        precision=options.precision,
        started_at=started,
        seconds=trials.elapsed(),
        seed=options.seed,
        notes=[*silent, *limits.notes, *trials.notes],
        machine=record.machine if record is not None else {},
        versions=record.versions if record is not None else {},
        command=[Path(sys.executable).name, "-m", "capacity", *sys.argv[1:]],
    )


def _silent(limits: Limits, found: Found) -> list[str]:
    """Return the limits of which nothing is known: a capacity without them would be a guess."""
    words = result.limit_words(limits)
    return [
        f"no probe had data for {words[place]}: what it allows is not known"
        for place in range(len(words))
        if found.valid and all(probe.readings[place] is None for probe in found.valid)
    ]


def _exit_code(found: Found, at_least: float | None, *, invalid: bool) -> Exit:
    if invalid or found.stopped:
        return Exit.INVALID
    if found.interval is None:
        return Exit.INVALID if any(probe.broken is False for probe in found.valid) else Exit.FAIL
    if at_least is None or found.interval[0] >= at_least:
        return Exit.PASS
    return Exit.FAIL if found.interval[1] < at_least else Exit.INVALID


def _publish(outcome: Result, runs: Path, folder: Path) -> int:
    try:
        newest = result.save(outcome, runs, folder)
        (folder / "capacity.html").write_text(page.to_html(outcome), encoding="utf-8")
        (folder / "capacity.md").write_text(page.to_markdown(outcome), encoding="utf-8")
    except OSError as error:
        print(f"INVALID: the result cannot be kept: {error}", file=sys.stderr)
        return Exit.INVALID
    _say(f"\n {Exit(outcome.exit_code).name} {outcome.plan}")
    for text in page.told(outcome):
        _say(f" - {text}")
    _say(f"page: {folder / 'capacity.html'}\nkept: {newest}")
    return outcome.exit_code


def _existing(plan: str) -> Path:
    path = Path(plan)
    return ROOT / path if not path.exists() and (ROOT / path).exists() else path


def _number(low: float, high: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low < value <= high:
            raise argparse.ArgumentTypeError(f"must be a number above {low:g} and at most {high:g}, got '{text}'")
        return value

    return convert


def _loads(text: str) -> list[float]:
    return [_number(0, 1e9)(part) for part in text.split(",")]


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = parse_duration(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error).strip()) from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:g} s to {high:g} s, got '{text}'")
        return value

    return convert


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m capacity", description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("plan", metavar="PLAN", help="plan file; its target, mix and limits are used, its phases are not run")
    add("--host", help="URL of the server under test, in place of the plan's")
    add("--allow-host", help="further hosts that load may go to, separated by commas")
    add("--by", type=By, choices=list(By), help="search a rate (RPS) or a number of users (default: as the phase)")
    add("--phase", help="phase whose limits hold (default: the constant one that is held longest)")
    add("--start", type=_number(0, 1e6), help="first load (default: a quarter of the phase's)")
    add("--highest", type=_number(0, 1e6), default=1e5, help="load above which nothing is tried (100000)")
    add("--precision", type=_number(0, 0.5), default=0.05, help="end when the interval is within this share (0.05)")
    add("--probe", type=_seconds(2, 3600), default=15.0, help="length of a probe (15s)")
    add("--rung", type=_seconds(2, 3600), default=6.0, help="length of a rung on the way there (6s)")
    add("--settle", type=_seconds(0.5, 600), default=2.0, help="time at each load before it counts (2s)")
    add("--time-limit", type=_seconds(10, 86400), default=330.0, help="begin nothing that ends later (5m30s)")
    add("--at-least", type=_number(0, 1e9), help="exit with 1 unless the whole interval is above this load")
    add("--for", type=_loads, dest="loads", help="loads to plan for, separated by commas (default: the plan's own)")
    add("--headroom", type=_number(-1e-9, 0.9), default=0.3, help="share of each instance to keep free (0.3)")
    add("--runs", type=Path, default=Path(os.environ.get("PROOFLOAD_RUNS") or ROOT / "runs"), help="folder of the runs")
    add("--seed", type=int, default=1, help="seed of arrivals and prompts; each batch has one of its own (1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
