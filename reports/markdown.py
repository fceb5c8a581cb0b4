"""`summary.md`: the verdict for a job summary on GitHub and for people who read mail."""

import re
from collections.abc import Iterable, Sequence

from reports.analysis import Analysis, CriterionResult, ErrorGroup, PhaseResult, Verdict
from reports.figures import MISSING, figure, length, margin_text, measured_text, pair
from reports.picture import mermaid
from reports.texts import one_line

_MARKS = {"pass": "✅ pass", "fail": "❌ **fail**", "no_data": "❓ **no data**", "warn": "⚠️ warn"}
_SEALS = {Verdict.PASS: "✅ PASS", Verdict.FAIL: "❌ FAIL", Verdict.INVALID: "❓ INVALID"}

# What Markdown acts on in the middle of a line (an underscore between letters is none), and what only begins one.
_ACTIVE = re.compile(r"([\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_STARTING = re.compile(r"^([#+=-]|\d+(?=[.)]))")
_PHASE_METRICS = ("throughput_rps", "success_rate", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms")
_MOST_ERRORS = 10


def safe(text: str, longest: int = 300) -> str:
    """Return the text on one line with every sign that Markdown or HTML could act on made harmless.

    >>> safe("a|b <b>")
    'a\\\\|b &lt;b&gt;'
    """
    line = one_line(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An address or a mention would become a link; a joiner of no width keeps it text.
    line = line.replace("://", ":\u2060//").replace("@", "@\u2060").replace("www.", "www\u2060.")
    line = _ACTIVE.sub(r"\\\1", line)
    return _STARTING.sub(lambda m: m[1] + "\u2060" if m[1].isdigit() else f"\\{m[1]}", line)


def _code(text: str) -> str:
    return f"`{one_line(text).replace('`', chr(39)).replace('|', chr(0xA6))}`"


def _table(head: Sequence[str], right: Iterable[int], rows: Iterable[Sequence[str]]) -> list[str]:
    numbers = set(right)
    rule = ["---:" if index in numbers else "---" for index in range(len(head))]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)] + [""]


def summary_md(analysis: Analysis) -> bytes:
    """Return verdict, reasons, criteria, broken checks, phases and errors as GitHub Markdown in UTF-8."""
    run = analysis.run
    lines = [f"## {_SEALS[analysis.verdict]} · {safe(run.plan.id)} · {safe(run.plan.title)}", ""]
    lines += [f"- {safe(reason, 1000)}" for reason in analysis.reasons] + [""]
    facts = [
        *(["**rehearsal, no certificate**"] if run.rehearsal else []),
        *([f"**{run.ending.value.replace('_', ' ')}**"] if run.ending.value != "completed" else []),
        f"target {_code(run.host)}",
        f"{length(analysis.length_s)}",
        f"{analysis.samples:,} samples",
        f"seed {run.seed}",
        f"run {_code(run.id)}",
    ]
    lines += [" · ".join(facts), ""]
    lines += _steps(analysis) + mermaid(analysis)
    lines += _findings(analysis) + _criteria(analysis) + _checks(analysis) + _phases(analysis) + _errors(analysis)
    if analysis.notes:
        lines += ["### Notes", "", *(f"- {safe(note, 1000)}" for note in analysis.notes)]
    return ("\n".join(lines).rstrip() + "\n").encode("utf-8")


def _steps(analysis: Analysis) -> list[str]:
    if not analysis.next_steps:
        return []
    return ["**What to do**", "", *(f"- {safe(step, 1000)}" for step in analysis.next_steps), ""]


def _findings(analysis: Analysis) -> list[str]:
    if not analysis.findings:
        return []
    lines = ["### What the data shows", ""]
    for one in analysis.findings:
        lines += [f"- **{safe(one.what)}**", *(f"  - {safe(text, 1000)}" for text in one.evidence)]
        lines += [f"  - what to do: {safe(one.advice, 1000)}"]
    return [*lines, ""]


def _criteria(analysis: Analysis) -> list[str]:
    if not analysis.criteria:
        return []
    head = ("State", "Phase", "Metric", "Measured", "Limit", "Margin", "Samples", "Requirement")
    return ["### Criteria", "", *_table(head, (3, 4, 5, 6), map(_criterion, analysis.criteria))]


def _checks(analysis: Analysis) -> list[str]:
    broken = [check for check in analysis.health if not check.passed]
    if not broken:
        return []
    rows = [(safe(c.name), safe(c.measured), safe(c.limit), safe(c.advice)) for c in broken]
    return ["### Load generator", "", *_table(("Check", "Measured", "Limit", "What to do"), (1, 2), rows)]


def _phases(analysis: Analysis) -> list[str]:
    if not analysis.phases:
        return []
    head = ("Phase", "Load", "Scheduled", "Failed", "Throughput", "Success", "p50", "p95", "p99")
    return ["### Phases", "", *_table(head, range(2, 9), map(_phase, (*analysis.phases, analysis.total)))]


def _errors(analysis: Analysis) -> list[str]:
    if not analysis.errors:
        return []
    rows = map(_error, analysis.errors[:_MOST_ERRORS])
    lines = ["### Errors", "", *_table(("Count", "Outcome", "Status", "Request", "What"), (0, 2), rows)]
    if len(analysis.errors) > _MOST_ERRORS:
        lines += [f"and {len(analysis.errors) - _MOST_ERRORS} more kinds.", ""]
    return lines


def _criterion(result: CriterionResult) -> tuple[str, ...]:
    criterion = result.criterion
    measured, limit = pair(result)
    where = " ".join(safe(text) for text in (criterion.scenario, criterion.name) if text)
    margin = margin_text(result.margin) + (" (close)" if result.close else "")
    return (
        _MARKS[result.state.value],
        safe(criterion.phase or "whole run"),
        f"`{criterion.metric}` {where}".strip(),
        measured if result.measured.value is not None else safe(f"{measured} {result.measured.why or ''}".strip()),
        safe(limit),
        margin,
        f"{result.measured.samples:,}",
        safe(criterion.id or MISSING),
    )


def _phase(phase: PhaseResult) -> tuple[str, ...]:
    accounting = phase.accounting
    failed = accounting.scheduled - accounting.outcomes.get("ok", 0)
    found = [phase.metrics.get(name) for name in _PHASE_METRICS]
    figures = [MISSING if m is None else measured_text(m, n) for n, m in zip(_PHASE_METRICS, found, strict=True)]
    name = safe(phase.name) + ("" if phase.reached else " (not reached)")
    return (name, safe(phase.load) or MISSING, f"{accounting.scheduled:,}", figure(failed, "count"), *figures)


def _error(error: ErrorGroup) -> tuple[str, ...]:
    status = MISSING if error.status is None else str(error.status)
    return (f"{error.count:,}", safe(error.outcome.replace("_", " ")), status, safe(error.name), safe(error.text))
