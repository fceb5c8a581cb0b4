"""`python -m plans`: what plans there are, whether they hold, and the schema for editors."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plans.cases import KINDS, new_case
from plans.durations import format_duration
from plans.editor import editor_schema
from plans.loading import load
from plans.phases import Phase
from plans.problems import PlanError
from plans.schema import Plan

FOLDER = Path(__file__).parent
_OK, _BROKEN = 0, 2


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    title: str
    length: str
    load: str
    path: str

    def cells(self) -> tuple[str, ...]:
        return self.id, self.title, self.length, self.load, self.path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 for a broken plan or wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m plans", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    listing = commands.add_parser("list", help="every plan: id, title, length, load, path (the default)")
    listing.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where to look (default: plans/)")
    checking = commands.add_parser("check", help="validate files and name every problem")
    checking.add_argument("files", nargs="+", type=Path, metavar="FILE")
    making = commands.add_parser("new", help="write a new test case from a template")
    making.add_argument("id", metavar="ID", help="TC-L3-PERF-LOAD-042, or STRESS or BENCH in place of LOAD")
    making.add_argument(
        "service", metavar="SERVICE", help="what is tested; it becomes the component and the file's name"
    )
    making.add_argument("--kind", choices=KINDS, default="llm", help="what it speaks (default: llm)")
    making.add_argument("--folder", type=Path, default=FOLDER / "hxp", help="where to write it (default: plans/hxp)")
    commands.add_parser("schema", help="print the JSON schema that editors use")
    options = parser.parse_args(arguments)
    # A broken plan may hold characters that a terminal cannot show; its problems must still be read.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if options.command == "schema":
        sys.stdout.write(editor_schema())
        return _OK
    if options.command == "check":
        return _check(options.files)
    if options.command == "new":
        return _new(options.id, options.service, options.kind, options.folder)
    return _list(getattr(options, "folder", FOLDER))


def plan_files(folder: Path) -> list[Path]:
    """Return the plan files under a folder, the shallow ones first."""
    return sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))


def _check(files: Iterable[Path]) -> int:
    code = _OK
    for path in files:
        try:
            plan = load(path)
        except PlanError as error:
            print(error, file=sys.stderr)
            code = _BROKEN
        else:
            print(f"{path}: {plan.id} holds: {_summary(plan)}")
    return code


def _new(case: str, service: str, kind: str, folder: Path) -> int:
    try:
        path = _relative(new_case(case, service, kind, folder))
    except PlanError as error:
        print(error, file=sys.stderr)
        return _BROKEN
    print(f"{path} is written; fill in where it comes from, then: make run PLAN={path}")
    return _OK


def _summary(plan: Plan) -> str:
    counts = ((len(plan.phases), "phase", "phases"), (len(plan.criteria), "criterion", "criteria"))
    words = [f"{number} {one if number == 1 else many}" for number, one, many in counts]
    return ", ".join([*words, format_duration(plan.duration)])


def _list(folder: Path) -> int:
    if not folder.is_dir():
        print(f"{folder}: is not a folder", file=sys.stderr)
        return _BROKEN
    rows, broken = [_Row("ID", "TITLE", "LENGTH", "LOAD", "PATH")], []
    for path in plan_files(folder):
        shown = _relative(path)
        try:
            plan = load(shown)
        except PlanError as error:
            broken.append(str(error))
        else:
            rows.append(_Row(plan.id, plan.title, format_duration(plan.duration), loads(plan.phases), str(shown)))
    widths = [max(len(cell) for cell in column) for column in zip(*(row.cells() for row in rows), strict=True)]
    for row in rows:
        cells = zip(row.cells(), widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
    if broken:
        sys.stdout.flush()
        print("\n".join(["", "broken:", *broken]), file=sys.stderr)
    return _BROKEN if broken else _OK


def _relative(path: Path) -> Path:
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def loads(phases: Sequence[Phase]) -> str:
    """Return the loads of some phases as people write them: `10, 10→50, 50 RPS` or `100 users`."""
    shown: list[tuple[str, str]] = []
    for phase in phases:
        entry = _level(phase)
        if not shown or shown[-1] != entry:
            shown.append(entry)
    # A unit stands once, behind the last of the levels that it belongs to.
    following = [unit for _, unit in shown[1:]] + [""]
    return ", ".join(
        level if unit == after else f"{level} {unit}" for (level, unit), after in zip(shown, following, strict=True)
    )


def _level(phase: Phase) -> tuple[str, str]:
    """Return how much load there is, and its unit."""
    if phase.trace is not None:
        return Path(phase.trace.file).name, "replayed"
    load_, unit = phase.load, "users" if phase.closed else "RPS"
    if load_.value is not None:
        return f"{load_.value:g}", unit
    if load_.peak is not None:
        return f"{load_.base:g}↑{load_.peak:g}", unit
    if load_.mean is not None:
        return f"{load_.mean:g}±{load_.amplitude:g}", unit
    return f"{load_.from_:g}→{load_.to:g}", unit


if __name__ == "__main__":
    sys.exit(main())
