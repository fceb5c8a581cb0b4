"""The forms for machines: `verdict.json` (versioned) and `metrics.csv` (one row per figure)."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from pydantic import JsonValue

from reports.analysis import Accounting, Analysis, CriterionResult, ErrorGroup, GroupResult, Measured, PhaseResult
from reports.figures import unit_of
from reports.texts import printable

SCHEMA_VERSION = 1
"""Of verdict.json. It grows when a field is renamed, removed or changes its meaning; new fields leave it as it is."""

CSV_COLUMNS = ("scope", "name", "metric", "unit", "value", "samples", "why")


def verdict_json(analysis: Analysis) -> bytes:
    """Return the whole analysis but its timeline as JSON in UTF-8, figures in the units of the catalogue."""
    document: dict[str, JsonValue] = {
        "schema_version": SCHEMA_VERSION,
        "verdict": analysis.verdict.value,
        "exit_code": analysis.verdict.exit_code,
        "reasons": list(analysis.reasons),
        "run": _run(analysis),
        "criteria": [_criterion(result) for result in analysis.criteria],
        "health": [
            {"name": h.name, "passed": h.passed, "measured": h.measured, "limit": h.limit, "advice": h.advice}
            for h in analysis.health
        ],
        "phases": [_phase(phase) for phase in analysis.phases],
        "total": _phase(analysis.total),
        "scenarios": [_group(group) for group in analysis.scenarios],
        "requests": [_group(group) for group in analysis.requests],
        "queries": [query.model_dump() for query in analysis.run.queries],
        "findings": [asdict(finding) for finding in analysis.findings],
        "score": [asdict(part) for part in analysis.score],
        "baseline": [
            {
                "name": one.baseline,
                "metric": one.metric,
                "phase": one.phase,
                "known": one.value,
                "measured": _number(one.measured.value),
                "worse": _number(one.worse),
            }
            for one in analysis.known
        ],
        "judgement": asdict(analysis.judgement) if analysis.judgement else None,
        "worst_answers": [asdict(answer) for answer in analysis.worst_answers],
        "errors": [_error(error) for error in analysis.errors],
        "events": [
            {"t_s": _number(e.t_s), "kind": e.kind.value, "text": e.text, "worker": e.worker} for e in analysis.events
        ],
        "notes": list(analysis.notes),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair in an error text has no UTF-8; its escape is JSON.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _run(analysis: Analysis) -> JsonValue:
    run = analysis.run
    record: JsonValue = run.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"schema_version", "phases"}
    )
    assert isinstance(record, dict)
    return {
        **record,
        "rehearsal": run.rehearsal,
        "samples": analysis.samples,
        "length_s": _number(analysis.length_s),
    }


def _number(value: float | bool | None) -> float | bool | None:
    """Return the value, or None where JSON has no number for it."""
    return None if value is None or not math.isfinite(value) else value


def _measured(measured: Measured) -> dict[str, JsonValue]:
    interval = measured.interval
    return {
        "value": _number(measured.value),
        "samples": measured.samples,
        "why": measured.why,
        "unbounded": measured.unbounded,
        "interval": None if interval is None else [_number(interval[0]), _number(interval[1])],
    }


def _criterion(result: CriterionResult) -> JsonValue:
    criterion = result.criterion
    return {
        "id": criterion.id,
        "phase": criterion.phase,
        "scenario": criterion.scenario,
        "name": criterion.name,
        "metric": criterion.metric,
        "unit": unit_of(criterion.metric),
        "operator": criterion.operator,
        "limit": _number(criterion.limit),
        "severity": criterion.severity.value,
        "state": result.state.value,
        "measured": _measured(result.measured),
        "margin": _number(result.margin),
        "close": result.close,
        "reason": result.reason,
    }


def _accounting(accounting: Accounting) -> JsonValue:
    return {"scheduled": accounting.scheduled, "outcomes": dict(accounting.outcomes), "lost": accounting.lost}


def _metrics(metrics: Mapping[str, Measured]) -> JsonValue:
    return {name: _measured(measured) for name, measured in metrics.items()}


def _phase(phase: PhaseResult) -> JsonValue:
    return {
        "name": phase.name,
        "shape": phase.shape,
        "closed": phase.closed,
        "start_s": _number(phase.start_s),
        "end_s": _number(phase.end_s),
        "reached": phase.reached,
        "load": phase.load,
        "accounting": _accounting(phase.accounting),
        "metrics": _metrics(phase.metrics),
    }


def _group(group: GroupResult) -> JsonValue:
    return {
        "scenario": group.scenario,
        "name": group.name,
        "protocol": group.protocol,
        "accounting": _accounting(group.accounting),
        "metrics": _metrics(group.metrics),
    }


def _error(error: ErrorGroup) -> JsonValue:
    return {
        "outcome": error.outcome,
        "status": error.status,
        "text": error.text,
        "scenario": error.scenario,
        "name": error.name,
        "count": error.count,
        "first_s": _number(error.first_s),
        "last_s": _number(error.last_s),
        "example": error.example,
    }


def vllm_bench_json(result: Mapping[str, JsonValue]) -> bytes:
    """Return a result in the form of vLLM's `bench serve` as JSON in UTF-8."""
    return json.dumps(dict(result), indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def metrics_csv(analysis: Analysis) -> bytes:
    """Return every figure of the run, its phases, scenarios and requests as CSV in UTF-8; missing ones are empty."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_rows(analysis))
    return file.getvalue().encode("utf-8")


def _rows(analysis: Analysis) -> Iterator[tuple[str, ...]]:
    yield from _scope("run", analysis.run.id, analysis.total.accounting, analysis.total.metrics)
    for phase in analysis.phases:
        yield from _scope("phase", phase.name, phase.accounting, phase.metrics)
    for group in analysis.scenarios:
        yield from _scope("scenario", group.scenario, group.accounting, group.metrics)
    for group in analysis.requests:
        yield from _scope("request", f"{group.scenario}/{group.name}", group.accounting, group.metrics)


def _scope(scope: str, name: str, accounting: Accounting, metrics: Mapping[str, Measured]) -> Iterator[tuple[str, ...]]:
    shown, scheduled = printable(name), str(accounting.scheduled)
    for outcome, count in {**accounting.outcomes, "lost": accounting.lost}.items():
        yield (scope, shown, f"outcome_{outcome}", "count", str(count), scheduled, "")
    for metric, measured in metrics.items():
        value = _number(measured.value)
        text = "" if value is None else str(value).lower()
        yield (scope, shown, metric, unit_of(metric), text, str(measured.samples), printable(measured.why or ""))
