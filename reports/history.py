"""`python -m reports.history`: how the figures of every plan went from run to run, and where they changed.

The figures come from the runs' `verdict.json` into an index beside them (SQLite), each file once; a run whose folder
was removed since keeps its place in the history.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from plans.exits import Exit
from plans.phases import SHAPE_NAMES, Shape
from reports.analysis import REPORT_FOLDER, Verdict
from reports.texts import one_line

INDEX = Path("history") / "index.sqlite"
TRACKED = (
    "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "throughput_rps", "error_rate", "ttft_due_p95_ms",
    "output_tokens_per_s", "quality_mean", "message_latency_p95_ms", "cpu_cores_mean", "memory_max_bytes",
)  # fmt: skip
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
  folder TEXT PRIMARY KEY, stamp TEXT, plan TEXT, title TEXT, phase TEXT, load TEXT, started_at TEXT, verdict TEXT,
  rehearsal INTEGER, host TEXT);
CREATE TABLE IF NOT EXISTS figures (
  folder TEXT REFERENCES runs ON DELETE CASCADE, metric TEXT, value REAL, low REAL, high REAL,
  PRIMARY KEY (folder, metric));
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One run in the history."""

    folder: str
    plan: str
    title: str
    phase: str
    load: str
    started_at: str
    verdict: str
    rehearsal: bool
    host: str
    here: bool
    """False when its folder was removed since."""


@dataclass(frozen=True, slots=True)
class Point:
    """One figure of one run."""

    entry: Entry
    value: float
    low: float | None
    high: float | None


Series = dict[str, list[Point]]
"""By metric, the oldest run first."""


class NoHistory(Exception):
    """There is nothing to tell; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the runs and write the page; return 0, 1 with --alert when a newest level is worse, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m reports.history", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are (default: runs)")
    parser.add_argument("--plan", help="only runs of the plan of this id")
    parser.add_argument("--rehearsals", action="store_true", help="count rehearsals, too")
    parser.add_argument("--alert", action="store_true", help="exit with 1 when the newest level of a figure is worse")
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUNS/history)")
    options = parser.parse_args(arguments)
    # Here and not above: a wrong option need not wait for scipy.
    from reports.levels import trends_of, write  # noqa: PLC0415

    try:
        with closing(open_index(options.runs)) as index:
            problems = update(index, options.runs)
            found = trends_of(series_by_plan(index, options.runs, options.plan, options.rehearsals))
        if not found:
            raise NoHistory(
                f"{options.runs} has no complete run{f' of {options.plan}' if options.plan else ''} to tell of"
            )
        page = write(found, options.out or options.runs / INDEX.parent)
    except (NoHistory, OSError, sqlite3.DatabaseError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return Exit.USAGE
    print(
        "\n".join(
            [
                *(f"not read: {one_line(problem)}" for problem in problems),
                *(line for one in found for line in one.lines),
            ]
        )
    )
    print(f"history: {page}")
    return Exit.FAIL if options.alert and any(one.worse for one in found) else Exit.PASS


def open_index(runs: Path) -> sqlite3.Connection:
    """Return the index of the runs in a folder, made when there is none. Raises NoHistory and OSError."""
    if not runs.is_dir():
        raise NoHistory(f"{runs} is no folder of runs")
    place = runs / INDEX
    place.parent.mkdir(exist_ok=True)
    index = sqlite3.connect(place)
    index.execute("PRAGMA foreign_keys = ON")
    if index.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
        index.close()
        raise NoHistory(f"{place} is of another version of Proofload: remove it, and it is made again")
    index.executescript(_TABLES)
    index.execute(f"PRAGMA user_version = {_VERSION}")
    return index


def update(index: sqlite3.Connection, runs: Path) -> list[str]:
    """Read every verdict.json that is new or has changed; return what could not be read, in words."""
    known = dict(index.execute("SELECT folder, stamp FROM runs").fetchall())
    problems = []
    for file in sorted(runs.glob(f"*/{REPORT_FOLDER}/verdict.json")):
        folder = file.parent.parent.name
        try:
            stat = file.stat()
            stamp = f"{stat.st_mtime_ns}-{stat.st_size}"
            if known.get(folder) != stamp:
                with index:
                    _insert(index, folder, stamp, json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            problems.append(f"{file}: {type(error).__name__}: {error}")
    return problems


def _insert(index: sqlite3.Connection, folder: str, stamp: str, document: dict[str, object]) -> None:
    run, plan, phase = parts(document)
    values = (
        folder, stamp, str(plan["id"]), str(plan.get("title", "")), str(phase["name"]), str(phase.get("load", "")),
        datetime.fromisoformat(str(run["started_at"])).isoformat(), Verdict(str(document["verdict"])).value,
        int(bool(run["rehearsal"])), str(run["host"]),
    )  # fmt: skip
    index.execute("DELETE FROM runs WHERE folder = ?", (folder,))
    index.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(values))})", values)
    metrics = phase["metrics"]
    assert isinstance(metrics, dict)
    for metric in TRACKED:
        measured = metrics.get(metric) or {}
        if isinstance(value := measured.get("value"), int | float):
            low, high = measured.get("interval") or (None, None)
            index.execute("INSERT INTO figures VALUES (?, ?, ?, ?, ?)", (folder, metric, float(value), low, high))


def parts(document: dict[str, object]) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
    """Return (run, plan, the phase that stands for the run). Raises TypeError for what is no verdict.json."""
    run, phases, total = document["run"], document["phases"], document["total"]
    plan = run["plan"] if isinstance(run, dict) else None
    if not (isinstance(run, dict) and isinstance(plan, dict) and isinstance(phases, list) and isinstance(total, dict)):
        raise TypeError("it is no verdict.json")
    reached = [phase for phase in phases if phase["reached"]]
    order = sorted(reached, key=lambda p: (SHAPE_NAMES.get(p["shape"]) is Shape.CONSTANT, p["end_s"] - p["start_s"]))
    return run, plan, order[-1] if order else total


def series_by_plan(
    index: sqlite3.Connection, runs: Path, plan: str | None = None, rehearsals: bool = False
) -> Iterator[tuple[str, list[Entry], Series]]:
    """Yield (plan, its runs, its figures) for each plan and load; INVALID runs have a place, and no figures."""
    rows = index.execute(
        "SELECT folder, plan, title, phase, load, started_at, verdict, rehearsal, host FROM runs ORDER BY plan, load"
    )
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for folder, name, title, phase, load, started_at, verdict, rehearsal, host in rows.fetchall():
        here = (runs / folder).is_dir()
        entry = Entry(folder, name, title, phase, load, started_at, verdict, bool(rehearsal), host, here)
        if (plan in (None, entry.plan)) and (rehearsals or not entry.rehearsal):
            groups.setdefault((entry.plan, entry.phase, entry.load), []).append(entry)
    for (name, _, _), entries in groups.items():
        entries.sort(key=lambda entry: datetime.fromisoformat(entry.started_at).timestamp())
        yield name, entries, _series(index, entries)


def _series(index: sqlite3.Connection, entries: list[Entry]) -> Series:
    found: Series = {}
    for entry in entries:
        if entry.verdict == Verdict.INVALID.value:
            continue
        rows = index.execute("SELECT metric, value, low, high FROM figures WHERE folder = ?", (entry.folder,))
        for metric, value, low, high in rows.fetchall():
            found.setdefault(metric, []).append(Point(entry, value, low, high))
    return found


if __name__ == "__main__":
    sys.exit(main())
