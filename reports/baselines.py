"""The figures of a run, kept under a name: what later runs are held against."""

import re
from collections.abc import Iterator
from pathlib import Path

from reports.analysis import Analysis, Verdict
from reports.snapshots import snapshot, to_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class NotKept(Exception):
    """The figures must not be a baseline; the message says why."""


def baselines(analysis: Analysis) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) for each phase of the plan that is to be stored and was reached.

    One that was taken in an INVALID run, or in a rehearsal, says so; no criterion holds against the former.
    """
    stored = analysis.run.plan.store
    for phase in analysis.phases:
        if phase.name in stored and phase.reached:
            name = stored[phase.name]
            yield f"baseline-{name}.json", to_json(snapshot(analysis, name, [phase.name]))


def keep(analysis: Analysis, name: str, folder: Path) -> Path:
    """Write the figures of a run into `folder` under a name and return the file.

    Raises NotKept for a run that nothing should be compared with, and OSError.
    """
    if not _NAME.fullmatch(name):
        raise NotKept(f"NAME must be 1 to 64 letters, digits, '.', '-' or '_', got '{name}'")
    if analysis.verdict is not Verdict.PASS:
        raise NotKept(f"a run that is {analysis.verdict.value} is no baseline")
    if analysis.run.rehearsal:
        raise NotKept("a rehearsal is no baseline: its durations or its rates were not those of the plan")
    path = folder / f"{name}.json"
    path.write_bytes(to_json(snapshot(analysis, name)))
    return path
