"""From a run folder to an Analysis: frames, windows, metrics, criteria, health, verdict."""

from itertools import pairwise
from pathlib import Path

from plans.run import Ending, PhaseRecord, RunRecord
from reports.advice import next_steps
from reports.analysis import Analysis, GroupResult, Measured, PhaseResult
from reports.criteria import judge
from reports.diagnosis import diagnose
from reports.errors import MOST_GROUPS, error_groups
from reports.frames import load_frames
from reports.health import checks
from reports.known import known
from reports.lengths import length_notes
from reports.metrics import measure, measure_all
from reports.regression import notes_on
from reports.rows import Rows, equals, numbers, only
from reports.score import score_of
from reports.selections import selections
from reports.serverside import disagreements
from reports.slowest import slowest
from reports.stress import stresses
from reports.timeline import timeline
from reports.trust import data_quality
from reports.verdict import decide, nothing_judges_failures
from reports.vllm_bench import vllm_bench
from reports.windows import RunData, Scope, Window
from samples.answers import read_answers, read_judgement
from samples.journal import Event, read_events
from samples.sample import LatencySource, TokenSource

_BUNDLED = 1.2
"""Output tokens per event from which on gaps between events no longer stand for gaps between tokens."""
_CLOCK_SLACK_MS = -1.0


def analyze(folder: Path) -> Analysis:
    """Return the analysis of the run in `folder`, whatever is missing in it.

    Raises FileNotFoundError or ValueError (pydantic's ValidationError is one) when there is no readable `run.json`:
    without it nobody knows what was to be run.
    """
    record = RunRecord.read(folder)
    run = RunData(record, load_frames(folder), read_judgement(folder))
    events, event_notes = _events(folder)
    phases = [_phase(run, phase) for phase in run.phases]
    criteria = [judge(criterion, run) for criterion in record.plan.criteria]
    health = checks(run, phases)
    verdict, reasons = decide(run, criteria, health)
    stress = stresses(run, measure)
    findings = diagnose(run, criteria, phases, stress)
    errors, kinds = error_groups(run.frames.samples)
    run.release()
    total = _total(run)
    notes = [*_notes(run, total), *event_notes]
    if kinds > MOST_GROUPS:
        notes.append(f"{kinds} kinds of failure occurred; the {MOST_GROUPS} most frequent are listed.")
    return Analysis(
        run=record,
        verdict=verdict,
        reasons=reasons,
        criteria=criteria,
        health=health,
        phases=phases,
        total=total,
        scenarios=_scenarios(run),
        requests=_requests(run),
        errors=errors,
        timeline=timeline(run),
        events=events,
        notes=notes,
        samples=len(run.frames.samples),
        length_s=_length(run),
        score=score_of(run, measure),
        known=known(run, phases, total),
        worst_answers=read_answers(folder, "worst"),
        judgement=run.judgement,
        findings=findings,
        next_steps=next_steps(verdict, criteria, health, findings, record.rehearsal),
        slowest=slowest(run),
        data_quality=data_quality(run, phases, total),
        selections=selections(run),
        stress=stress,
        vllm_bench=vllm_bench(run),
    )


def _events(folder: Path) -> tuple[list[Event], list[str]]:
    try:
        return sorted(read_events(folder), key=lambda event: event.t_s), []
    except (OSError, ValueError, TypeError) as error:
        return [], [f"events.jsonl cannot be read: {error}"]


def _length(run: RunData) -> float:
    """Return seconds from the origin to the end of the run, its drain included."""
    if run.record.ended_s is not None:
        return run.record.ended_s
    done = numbers(run.frames.samples, "done_s")
    return max(float(done.max()) if len(done) else 0.0, run.end_s, 0.0)


def _phase(run: RunData, phase: PhaseRecord) -> PhaseResult:
    window, planned = run.window(Scope(phase.name)), run.planned(phase.name)
    return PhaseResult(
        name=phase.name,
        shape=planned.shape if planned else "",
        closed=phase.closed,
        start_s=phase.start_s,
        end_s=phase.end_s,
        reached=phase.reached,
        load=planned.load_text if planned else "",
        accounting=window.accounting,
        metrics=measure_all(window),
    )


def _total(run: RunData) -> PhaseResult:
    window = run.window(Scope())
    return PhaseResult(
        name="whole run",
        shape="",
        closed=bool(run.phases) and all(phase.closed for phase in run.phases),
        start_s=window.start_s,
        end_s=window.end_s,
        reached=window.reached,
        load=" then ".join(phase.load_text for phase in run.plan.phases) if len(run.plan.phases) < 4 else "",
        accounting=window.accounting,
        metrics=measure_all(window),
    )


def _scenarios(run: RunData) -> list[GroupResult]:
    seen = _present(run.frames.samples, "scenario")
    names = [
        *(name for name in run.plan.mix.names() if name in seen),
        *(n for n in seen if n not in run.plan.mix.names()),
    ]
    return [_group(run, Scope(scenario=name)) for name in names]


def _requests(run: RunData) -> list[GroupResult]:
    samples = run.frames.samples
    pairs = [
        (scenario, name)
        for scenario in _present(samples, "scenario")
        for name in _present(only(samples, equals(samples, "scenario", scenario)), "name")
    ]
    return [_group(run, Scope(scenario=scenario, name=name)) for scenario, name in pairs]


def _present(rows: Rows, column: str) -> list[str]:
    """Return the texts that occur, sorted: workers write in no fixed order."""
    return sorted(str(text) for text, count in rows[column].value_counts().items() if count)


def _group(run: RunData, scope: Scope) -> GroupResult:
    # Not `run.window`: a group's rows are wanted once, and kept windows are memory.
    window = Window(run, scope)
    protocols = window.rows["protocol"].value_counts()
    return GroupResult(
        scenario=scope.scenario or "",
        name=scope.name,
        protocol=str(protocols.index[0]) if len(protocols) else "",
        accounting=window.accounting,
        metrics=measure_all(window),
    )


def _notes(run: RunData, total: PhaseResult) -> list[str]:
    record = run.record
    notes = list(record.notes)
    if record.time_scale != 1.0:
        notes.append(f"Rehearsal: durations were scaled by {record.time_scale:g}; this run gives no certificate.")
    if record.rate_scale != 1.0:
        scale = f"{record.rate_scale:g}"
        notes.append(f"Rehearsal: rates and their limits were scaled by {scale}; this run gives no certificate.")
    if record.ending is Ending.INTERRUPTED:
        notes.append("The run was interrupted: a phase that was cut short is measured up to the interruption.")
    if record.ending is Ending.ABORTED:
        notes.append("A broken limit ended the run early: the phase that it cut short is measured up to that moment.")
    if record.ending is Ending.RUNNING:
        notes.append("The run crashed: what could be saved is shown, arrivals are counted from the samples on disk.")
    missed = [phase.name for phase in run.phases if not phase.reached]
    if missed:
        notes.append(f"Not reached: {', '.join(missed)}.")
    gaps = [f"{a.name} and {b.name}" for a, b in pairwise(run.phases) if b.reached and b.start_s - a.end_s > 0.001]
    if gaps:
        notes.append(f"There is time between {'; '.join(gaps)} that belongs to no phase.")
    if unjudged := nothing_judges_failures(run):
        notes.append(f"{unjudged[0].upper()}{unjudged[1:]}; a limit on success_rate would.")
    return notes + run.frames.problems + _measurement_notes(run, total.metrics) + disagreements(run) + notes_on(run)


def _measurement_notes(run: RunData, metrics: dict[str, Measured]) -> list[str]:
    samples, notes = run.frames.samples, []
    bundled = metrics["tokens_per_event"].value
    if bundled is not None and bundled > _BUNDLED:
        notes.append(
            f"Events carry {bundled:.2f} tokens on average: gaps between events (icl) are not gaps between tokens, "
            "and the tail of the latter cannot be measured."
        )
    if equals(samples, "token_source", TokenSource.EVENTS).any():
        notes.append("Some token counts are counted events, because the server reported no usage.")
    elif equals(samples, "token_source", TokenSource.USAGE).any():
        notes.append("Token counts come from the server's usage.")
    notes += length_notes(samples)
    if equals(samples, "latency_source", LatencySource.SHARED_CLOCK).any():
        notes.append("WebSocket latency: from the server's send stamp, on a clock that both sides share.")
    if equals(samples, "latency_source", LatencySource.ECHO).any():
        notes.append("WebSocket latency: half of an echoed round trip, where no clock was shared.")
    lowest = measure("message_latency_p50_ms", run.window(Scope())).value
    if lowest is not None and lowest < _CLOCK_SLACK_MS:
        notes.append(
            "WebSocket messages arrive before they were sent: the clocks are not shared; do not use their latency."
        )
    return notes
