"""The figures of a phase, kept under a name: what a later run is compared with."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from reports.analysis import Analysis, PhaseResult, Verdict
from reports.figures import unit_of

SCHEMA_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def baselines(analysis: Analysis) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) for each phase of the plan that is to be stored and was reached.

    A baseline says where it comes from: run, verdict, plan, seed, host, machine and versions. One that was taken in
    an INVALID run, or in a rehearsal, says so, and nothing should be compared with it.
    """
    run = analysis.run
    stored = run.plan.store
    for phase in analysis.phases:
        if phase.name in stored and phase.reached:
            yield f"baseline-{stored[phase.name]}.json", _document(analysis, phase, stored[phase.name])


class NotKept(Exception):
    """The figures must not be a baseline; the message says why."""


def keep(analysis: Analysis, name: str, folder: Path) -> Path:
    """Write the figures of a run into `folder` under a name and return the file.

    Of the phases that the plan stores the first is taken, else the whole run. Raises NotKept for a run that nothing
    should be compared with, and OSError.
    """
    run = analysis.run
    if not _NAME.fullmatch(name):
        raise NotKept(f"NAME must be 1 to 64 letters, digits, '.', '-' or '_', got '{name}'")
    if analysis.verdict is not Verdict.PASS:
        raise NotKept(f"a run that is {analysis.verdict.value} is no baseline")
    if run.rehearsal:
        raise NotKept("a rehearsal is no baseline: its durations or its rates were not those of the plan")
    phase = next((p for p in analysis.phases if p.name in run.plan.store and p.reached), analysis.total)
    path = folder / f"{name}.json"
    path.write_bytes(_document(analysis, phase, name))
    return path


def _document(analysis: Analysis, phase: PhaseResult, name: str) -> bytes:
    run = analysis.run
    figures: dict[str, JsonValue] = {
        name: {"value": measured.value, "unit": unit_of(name), "samples": measured.samples}
        for name, measured in phase.metrics.items()
        if measured.value is not None
    }
    document: dict[str, JsonValue] = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "plan": run.plan.id,
        "phase": phase.name,
        "load": phase.load,
        "run": run.id,
        "verdict": analysis.verdict.value,
        "rehearsal": run.rehearsal,
        "started_at": run.started_at,
        "seed": run.seed,
        "host": run.host,
        "machine": dict(run.machine),
        "versions": dict(run.versions),
        "metrics": figures,
    }
    return json.dumps(document, indent=1).encode() + b"\n"
