"""Quality gates over many cases: which is reached, which cases are open, and why.

A case is certified by its newest run when that is a full one, of the plan as it stands, with the verdict PASS. A
rehearsal never counts, whatever its verdict.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from plans.hosts import EMBEDDED
from plans.run import RUN_FILE, RunRecord
from plans.schema import Plan
from reports.analysis import PAGE, REPORT_FOLDER, Verdict

LEVELS = {1: "component", 2: "integration", 3: "service", 4: "the framework itself"}


SELFTEST = "TC-L4-SELF-TEST-001"


class State(StrEnum):
    """What is known of a case."""

    CERTIFIED = "certified"
    FAILED = "failed"
    INVALID = "invalid"
    REHEARSED = "rehearsal only"
    CHANGED = "plan changed since"
    EMBEDDED = "embedded platform only"
    """It passed, but what was loaded is Proofload's own platform and not the component that the case is about."""
    OPEN = "not run"


@dataclass(frozen=True, slots=True)
class CaseRun:
    """One run of a case, as its folder tells."""

    run: str
    plan: Plan
    verdict: str
    rehearsal: bool
    started_at: str
    host: str
    reasons: list[str]
    page: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the certificate; `run` is the one that its state rests on."""

    id: str
    title: str
    level: int | None
    component: str
    requirements: tuple[str, ...]
    state: State
    run: str | None = None
    verdict: str | None = None
    started_at: str | None = None
    host: str | None = None
    reasons: list[str] = field(default_factory=list)
    page: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What has been measured of a plan: a baseline's figures, or a search's capacity."""

    plan: str
    kind: str
    name: str
    figures: str
    measured_at: str
    host: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The quality gate of one level: passed when it has cases, and all are certified."""

    level: int
    name: str
    cases: int
    certified: int

    @property
    def passed(self) -> bool:
        """True when nothing is open."""
        return 0 < self.cases == self.certified

    @property
    def word(self) -> str:
        """The state in a word."""
        return "passed" if self.passed else "no cases" if not self.cases else "open"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything that the page shows."""

    made_at: str
    gates: list[Gate]
    cases: list[Case]
    known: list[Known] = field(default_factory=list)
    """Baselines and capacities that have been measured of the cases."""

    @property
    def reached(self) -> int | None:
        """The highest gate that is passed with no open one below it; levels without cases are no obstacle, and told."""
        reached = None
        for gate in self.gates:
            if gate.word == "open":
                break
            reached = gate.level if gate.passed else reached
        return reached

    @property
    def complete(self) -> bool:
        """True when there are cases and each is certified."""
        return bool(self.cases) and all(case.state is State.CERTIFIED for case in self.cases)

    @property
    def open(self) -> list[Case]:
        """The cases that are not certified."""
        return [case for case in self.cases if case.state is not State.CERTIFIED]

    @property
    def requirements(self) -> list[tuple[str, list[Case]]]:
        """The requirements, each with the cases that cover it."""
        ids = sorted({one for case in self.cases for one in case.requirements}, key=_natural)
        return [(one, [case for case in self.cases if one in case.requirements]) for one in ids]


def _natural(text: str) -> tuple[str, int, str]:
    head, _, tail = text.rpartition("-")
    return (head, int(tail), "") if tail.isdigit() else (text, 0, text)


def certificate(plans: Iterable[Plan], runs: Path) -> Certificate:
    """Return the certificate over the plans' cases, from the run folders under `runs`."""
    found = read_runs(runs)
    cases = [_case(plan, [run for run in found if run.plan.id == plan.id]) for plan in plans]
    cases.append(_selftest(runs))
    cases.sort(key=lambda case: (case.level or 0, case.id))
    gates = []
    for level, name in LEVELS.items():
        here = [case for case in cases if case.level == level]
        gates.append(Gate(level, name, len(here), sum(case.state is State.CERTIFIED for case in here)))
    made_at = datetime.now().astimezone().isoformat(timespec="seconds")
    return Certificate(made_at, gates, cases)


def read_runs(folder: Path) -> list[CaseRun]:
    """Return the runs under a folder, the newest first. What cannot be read certifies nothing, and is left out."""
    found = []
    for record_file in folder.glob(f"*/{RUN_FILE}"):
        place = record_file.parent
        try:
            record = RunRecord.read(place)
            verdict = json.loads((place / REPORT_FOLDER / "verdict.json").read_text(encoding="utf-8"))
            if verdict["run"]["id"] != record.id:
                continue
            reasons = [str(reason) for reason in verdict["reasons"]]
            word = Verdict(verdict["verdict"]).value
        except (OSError, ValueError, TypeError, LookupError):
            continue
        page = (place / REPORT_FOLDER / PAGE).resolve().as_uri()
        found.append(
            CaseRun(record.id, record.plan, word, record.rehearsal, record.started_at, record.host, reasons, page)
        )
    return sorted(found, key=lambda run: (datetime.fromisoformat(run.started_at), run.run), reverse=True)


def _case(plan: Plan, runs: Sequence[CaseRun]) -> Case:
    full = [run for run in runs if not run.rehearsal]
    newest = next(iter(full or runs), None)
    values = {
        "id": plan.id,
        "title": plan.title,
        "level": plan.level,
        "component": plan.component or "",
        "requirements": tuple(dict.fromkeys(t for t in (plan.traceability.requirement, *plan.covers) if t)),
    }
    if newest is None:
        return Case(**values, state=State.OPEN)  # type: ignore[arg-type]
    return Case(
        **values,  # type: ignore[arg-type]
        state=_state(plan, newest),
        run=newest.run,
        verdict=newest.verdict,
        started_at=newest.started_at,
        host=newest.host,
        reasons=newest.reasons,
        page=newest.page,
    )


def _selftest(runs: Path) -> Case:
    """Return the case of the fourth level: does Proofload find the faults that it is shown?"""
    values = {"id": SELFTEST, "title": "Self-test", "level": 4, "component": "proofload", "requirements": ("HXP-16",)}
    place = runs / "selftest"
    try:
        raw = json.loads((place / "selftest.json").read_text(encoding="utf-8"))
        passed, complete = bool(raw["passed"]), bool(raw["complete"])
        made_at, reasons = str(raw["made_at"]), [str(reason) for reason in raw["reasons"]]
    except (OSError, ValueError, TypeError, LookupError):
        return Case(**values, state=State.OPEN)  # type: ignore[arg-type]
    state = State.FAILED if not passed else State.CERTIFIED if complete else State.REHEARSED
    return Case(
        **values,  # type: ignore[arg-type]
        state=state,
        run=place.name,
        verdict="PASS" if passed else "FAIL",
        started_at=made_at,
        reasons=reasons,
        page=(place / "selftest.md").resolve().as_uri(),
    )


def _state(plan: Plan, run: CaseRun) -> State:
    if run.rehearsal:
        return State.REHEARSED
    if run.verdict == Verdict.FAIL.value:
        return State.FAILED
    if run.verdict != Verdict.PASS.value:
        return State.INVALID
    if not _judged_alike(plan, run.plan):
        return State.CHANGED
    stood_in = run.plan.target.host == EMBEDDED and not (plan.component or "").startswith(EMBEDDED)
    return State.EMBEDDED if stood_in else State.CERTIFIED


def _judged_alike(plan: Plan, ran: Plan) -> bool:
    """Return whether the run did and judged what the plan asks for now; where it ran may differ."""
    what = {"mix", "phases", "criteria", "limits", "arrivals", "burstiness", "pool", "generator", "faults"}
    return plan.model_dump(include=what) == ran.model_dump(include=what)
