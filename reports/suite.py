"""The summary of a suite: what became of each plan that was run, and what has been measured of it before.

`certify.py` writes it after more than one plan; whether cases are certified is another page's matter (`gates`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from plans.schema import Plan
from reports.analysis import PAGE, REPORT_FOLDER
from reports.figures import figure, unit_of
from reports.gates import Known
from reports.history import parts
from reports.markdown import safe
from reports.render import page
from reports.snapshots import NoSnapshot, read_snapshot
from reports.windows import Scope

BASELINES = Path("data/baselines")
STYLES = ("styles/theme.css", "styles/page.css", "styles/tables.css", "styles/print.css")
FIGURES = ("throughput_rps", "success_rate", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms")
NOT_RUN = "NOT RUN"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One plan of the suite; `figures` are texts by metric, of the phase that stands for the run."""

    plan: str
    title: str
    covers: tuple[str, ...]
    verdict: str
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Limits that are important and not critical, and broke."""
    phase: str = ""
    load: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    rehearsal: bool = False
    run: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """Everything that the page shows."""

    made_at: str
    outcomes: list[Outcome]
    known: list[Known]

    @property
    def passed(self) -> int:
        """How many plans passed."""
        return sum(one.verdict == "PASS" for one in self.outcomes)

    @property
    def requirements(self) -> list[tuple[str, list[Outcome]]]:
        """The requirements, each with the plans that cover it."""
        ids = sorted({one for outcome in self.outcomes for one in outcome.covers})
        return [(one, [outcome for outcome in self.outcomes if one in outcome.covers]) for one in ids]


def suite(results: Sequence[tuple[Plan, str, Path | None]], runs: Path, baselines: Path = BASELINES) -> Suite:
    """Return the summary of (plan, verdict, run folder or None when no run came about), in the order of the runs."""
    plans = [plan for plan, _, _ in results]
    made_at = datetime.now().astimezone().isoformat(timespec="seconds")
    return Suite(made_at, [_outcome(*result) for result in results], known(plans, runs, baselines))


def _outcome(plan: Plan, verdict: str, folder: Path | None) -> Outcome:
    identity = (
        plan.id,
        plan.title,
        tuple(dict.fromkeys(t for t in (plan.traceability.requirement, *plan.covers) if t)),
    )
    if folder is None:
        return Outcome(*identity, NOT_RUN, ["no run came about: what certify.py printed says why"])
    try:
        document = json.loads((folder / REPORT_FOLDER / "verdict.json").read_text(encoding="utf-8"))
        run, _, phase = parts(document)
        metrics = phase["metrics"]
        assert isinstance(metrics, dict)
        return Outcome(
            *identity,
            verdict,
            [str(reason) for reason in document["reasons"]],
            [str(one["reason"]) for one in document["criteria"] if one["state"] == "warn"],
            str(phase["name"]),
            str(phase.get("load", "")),
            {name: figure(metrics[name]["value"], unit_of(name)) for name in FIGURES if name in metrics},
            bool(run["rehearsal"]),
            str(run["id"]),
            (folder / REPORT_FOLDER / PAGE).resolve().as_uri(),
        )
    except (OSError, ValueError, TypeError, LookupError, AssertionError):
        return Outcome(*identity, verdict, ["its verdict.json cannot be read"], run=folder.name)


def known(plans: Sequence[Plan], runs: Path, baselines: Path = BASELINES) -> list[Known]:
    """Return the baselines and capacities that have been measured of these plans; what cannot be read is left out."""
    wanted = {plan.id for plan in plans}
    found = [one for file in sorted(baselines.glob("*.json")) if (one := _baseline(file)) and one.plan in wanted]
    found += [one for file in sorted(runs.glob("capacity/*.json")) if (one := _capacity(file)) and one.plan in wanted]
    return sorted(found, key=lambda one: (one.plan, one.kind, one.name))


def _baseline(file: Path) -> Known | None:
    try:
        kept = read_snapshot(json.loads(file.read_text(encoding="utf-8")), file.stem)
    except (OSError, ValueError, NoSnapshot):
        return None
    scoped = kept.of(Scope(kept.phase)) or kept.scopes[0]
    texts = [
        f"{name} {figure(scoped.metrics[name].value, unit_of(name))}" for name in FIGURES if name in scoped.metrics
    ]
    head = f"{scoped.phase or 'whole run'}, {scoped.load}: " if scoped.load else ""
    return Known(kept.plan, "baseline", kept.name, head + ", ".join(texts), kept.started_at, kept.host)


def _capacity(file: Path) -> Known | None:
    """Return what a search for the capacity found, as its JSON tells."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        plan, unit, host, at = (str(raw[key]) for key in ("plan", "unit", "host", "started_at"))
        if raw["capacity"] is None:
            text = f"not found: {raw['ended']}"
        else:
            value, low, high = (float(raw[key]) for key in ("capacity", "low", "high"))
            text = f"{value:.3g} {unit} (95 %: {low:.3g} to {high:.3g}); the limit is {raw['limiting']}"
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return Known(plan, "capacity", file.stem, text, at, host)


def write(found: Suite, folder: Path) -> Path:
    """Write the summary as HTML, JSON and Markdown and return the page. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending, text in {"html": to_html(found), "json": to_json(found), "md": to_markdown(found)}.items():
        (folder / f"suite.{ending}").write_text(text, encoding="utf-8", errors="replace")
    return folder / "suite.html"


def to_html(found: Suite) -> str:
    """Return the page: one file, everything escaped, nothing fetched."""
    tone = "PASS" if found.passed == len(found.outcomes) else "FAIL"
    return page("suite.html.j2", STYLES, suite=found, known=found.known, tone=tone, metrics=FIGURES)


def to_json(found: Suite) -> str:
    """Return the summary for machines."""
    document = {"schema_version": 1, **asdict(found), "passed": found.passed, "plans": len(found.outcomes)}
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def to_markdown(found: Suite) -> str:
    """Return the same as GitHub Markdown."""
    lines = [f"## Suite · {found.passed} of {len(found.outcomes)} passed", "", f"made {safe(found.made_at)}", ""]
    lines += [f"| Verdict | Plan | {' | '.join(FIGURES)} | Why |", f"|---|---|{'---:|' * len(FIGURES)}---|"]
    for one in found.outcomes:
        figures = " | ".join(one.figures.get(name, "–") for name in FIGURES)
        why = "; ".join([*one.reasons[:2], *(f"warning: {text}" for text in one.warnings[:2])])
        lines.append(
            f"| {one.verdict}{' (rehearsal)' if one.rehearsal else ''} | {safe(one.plan)} | {figures} | {safe(why)} |"
        )
    if found.known:
        lines += ["", "| Plan | Measured | Name | Figures | At |", "|---|---|---|---|---|"]
        lines += [
            f"| {safe(k.plan)} | {k.kind} | {safe(k.name)} | {safe(k.figures)} | {safe(k.measured_at)} |"
            for k in found.known
        ]
    return "\n".join(lines) + "\n"
