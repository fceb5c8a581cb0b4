"""`python -m reports.prune`: which run folders may go, and with --delete: let them go.

Kept are the newest runs of each plan, the runs of the last days, and always those that a baseline or a certificate
rests on. Nothing that is not a run folder is touched.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from plans.exits import Exit
from plans.run import RUN_FILE, Ending, RunRecord
from reports.texts import one_line

BASELINES = Path("data/baselines")
_KEEP, _DAYS = 20, 30.0
_MAY_STILL_RUN_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run folder and why it stays; None when it may go."""

    folder: Path
    plan: str
    started: datetime
    size: int
    stays: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what would go, or remove it; return 0, 2 for bad usage or what could not be removed."""
    parser = argparse.ArgumentParser(prog="python -m reports.prune", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are (default: runs)")
    parser.add_argument(
        "--keep", type=int, default=_KEEP, help=f"newest runs of each plan that stay (default: {_KEEP})"
    )
    parser.add_argument("--days", type=float, default=_DAYS, help=f"runs that are younger stay (default: {_DAYS:g})")
    parser.add_argument("--baselines", type=Path, default=BASELINES, help=f"whose runs stay (default: {BASELINES})")
    parser.add_argument("--delete", action="store_true", help="remove them; without it they are only listed")
    options = parser.parse_args(arguments)
    if options.keep < 0 or not 0 <= options.days < 1e5:
        parser.error("--keep must be at least 0, and --days from 0 to 99999")
    if not options.runs.is_dir():
        print(f"error: {options.runs} is no folder of runs", file=sys.stderr)
        return Exit.USAGE
    try:
        found = candidates(options.runs, options.keep, options.days, named(options.baselines, options.runs))
    except (OSError, ValueError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return Exit.USAGE
    gone = [one for one in found if one.stays is None]
    for one in gone:
        if options.delete and (problem := remove(one, options.runs)):
            print(f"error: {problem}", file=sys.stderr)
            return Exit.USAGE
        what = f"{one.folder}  ({one_line(one.plan, 80)}, {one.size / 1e6:.1f} MB)"
        print(f"{'removed' if options.delete else 'would remove'} {what}")
    total = sum(one.size for one in gone) / 1e6
    hint = "" if options.delete or not gone else "; --delete (make prune DELETE=1) removes them"
    print(f"{len(gone)} of {len(found)} runs, {total:.1f} MB{hint}")
    return Exit.PASS


def candidates(runs: Path, keep: int, days: float, rested_on: set[str]) -> list[Candidate]:
    """Return every run folder, the newest first, with the reason why it stays."""
    read = [(folder, record) for folder in runs.iterdir() if (record := _record(folder)) is not None]
    read.sort(key=lambda pair: datetime.fromisoformat(pair[1].started_at), reverse=True)
    seen: dict[str, int] = {}
    found = []
    for folder, record in read:
        seen[record.plan.id] = seen.get(record.plan.id, 0) + 1
        started = datetime.fromisoformat(record.started_at)
        stays = None
        if record.id in rested_on:
            stays = "a baseline or a certificate rests on it"
        elif _may_still_run(folder, record):
            stays = "it may still be running"
        elif seen[record.plan.id] <= keep:
            stays = f"among the newest {keep} of its plan"
        elif datetime.now().astimezone() - started.astimezone() < timedelta(days=days):
            stays = f"younger than {days:g} days"
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        found.append(Candidate(folder, record.plan.id, started, size, stays))
    return found


def _record(folder: Path) -> RunRecord | None:
    """Return the record of a run folder; None for whatever else lies there."""
    if folder.is_symlink() or not (folder / RUN_FILE).is_file():
        return None
    try:
        record = RunRecord.read(folder)
        datetime.fromisoformat(record.started_at)
    except (OSError, ValueError):
        return None
    return record if record.id == folder.name else None


def _may_still_run(folder: Path, record: RunRecord) -> bool:
    if record.ending is not Ending.RUNNING:
        return False
    newest = max((file.stat().st_mtime for file in folder.iterdir()), default=0.0)
    return time.time() - newest < _MAY_STILL_RUN_S


def named(baselines: Path, runs: Path) -> set[str]:
    """Return the ids of the runs that baselines and certificates rest on. Raises OSError and ValueError.

    A file that cannot be read is no file that names none: nothing may be removed then.
    """
    found: set[str] = set()
    for file in [*baselines.glob("*.json"), *runs.glob("*/certificate.json")]:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file} cannot be read, so nothing is removed: {error}") from None
        cases = document.get("cases", []) if isinstance(document, dict) else []
        found |= {str(one.get("run")) for one in (document, *cases) if isinstance(one, dict)}
    return found


def remove(one: Candidate, runs: Path) -> str | None:
    """Remove a run folder; return why it could not be."""
    folder = one.folder.resolve()
    if folder.parent != runs.resolve() or _record(one.folder) is None:
        return f"{one.folder} is no run folder any more"
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return f"{one.folder} cannot be removed: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
