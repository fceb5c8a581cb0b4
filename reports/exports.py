"""The forms for machines: `verdict.json` (versioned) and `metrics.csv` (one row per figure)."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from reports.analysis import Accounting, Analysis, Measured
from reports.document import document
from reports.figures import unit_of
from reports.texts import printable

CSV_COLUMNS = ("scope", "name", "metric", "unit", "value", "samples", "why")


def verdict_json(analysis: Analysis) -> bytes:
    """Return the whole analysis but its timeline as JSON in UTF-8, figures in the units of the catalogue."""
    text = json.dumps(document(analysis), indent=1, ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair in an error text has no UTF-8; its escape is JSON.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _number(value: float | bool | None) -> float | bool | None:
    """Return the value, or None where no number can be written for it."""
    return None if value is None or not math.isfinite(value) else value


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
