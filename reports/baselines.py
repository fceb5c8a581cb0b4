"""The figures of a phase, kept under a name: what a later run is compared with."""

import json
from collections.abc import Iterator

from pydantic import JsonValue

from reports.analysis import Analysis
from reports.figures import unit_of

SCHEMA_VERSION = 1


def baselines(analysis: Analysis) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) for each phase of the plan that is to be stored and was reached.

    A baseline says where it comes from: run, verdict, plan, seed, host, machine and versions. One that was taken in
    an INVALID run, or in a rehearsal, says so, and nothing should be compared with it.
    """
    run = analysis.run
    stored = run.plan.store
    for phase in analysis.phases:
        if phase.name not in stored or not phase.reached:
            continue
        figures: dict[str, JsonValue] = {
            name: {"value": measured.value, "unit": unit_of(name), "samples": measured.samples}
            for name, measured in phase.metrics.items()
            if measured.value is not None
        }
        document: dict[str, JsonValue] = {
            "schema_version": SCHEMA_VERSION,
            "name": stored[phase.name],
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
        yield f"baseline-{stored[phase.name]}.json", json.dumps(document, indent=1).encode() + b"\n"
