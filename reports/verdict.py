"""PASS, FAIL or INVALID, with the reasons in words: missing data is never a pass."""

from plans.run import ENDED_EARLY, Ending
from plans.schema import Severity
from reports.analysis import CriterionResult, HealthCheck, State, Verdict
from reports.figures import length
from reports.rows import equals, only
from reports.windows import RunData, counts
from samples.sample import RESPONSES, Outcome

_ABOUT_FAILURES = frozenset({"success_rate", "error_rate", "goodput_rps"})


def decide(run: RunData, criteria: list[CriterionResult], health: list[HealthCheck]) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons, the most important first.

    Order: did the run take place, was the generator well, did it complete, do the limits hold, is there data for
    each. An interrupted run fails when a limit was broken in a phase that was complete, one that was ended early when
    the limit behind it was.
    """
    if no_run := _no_run(run):
        return Verdict.INVALID, no_run
    sick = [f"{c.name}: {c.measured} (limit {c.limit}); {c.advice}" for c in health if not c.passed]
    broken = [result for result in criteria if result.state is State.FAIL]
    dead = nothing_answered(run)
    why_broken = [*([dead] if dead else []), *(result.reason for result in broken)]
    ended = _ending(run)
    part = _on_what_ran(run, criteria) if ended and criteria else []
    if run.record.ending is Ending.INTERRUPTED and not sick:
        return _interrupted(run, broken, why_broken, ended + part)
    if run.record.ending is Ending.ABORTED and not sick:
        return _aborted(broken, why_broken, ended + part)
    if not criteria:
        ended = [*ended, "nothing to judge: the plan has no criteria"]
    if ended or sick:
        return Verdict.INVALID, ended + sick + part + why_broken
    return _judged(run, criteria, why_broken)


def _judged(run: RunData, criteria: list[CriterionResult], why_broken: list[str]) -> tuple[Verdict, list[str]]:
    """Return the verdict on a run that was complete and sound."""
    silent = [r.reason for r in criteria if r.state is State.NO_DATA and r.criterion.severity is Severity.FAIL]
    if why_broken:
        return Verdict.FAIL, why_broken + silent
    if silent:
        return Verdict.INVALID, silent
    if not any(r.state is State.PASS and r.criterion.severity is Severity.FAIL for r in criteria):
        reasons = [r.reason for r in criteria if r.state is not State.PASS]
        return Verdict.INVALID, ["nothing was judged: every limit that held, if any, is a warning", *reasons]
    return Verdict.PASS, [_held(run, criteria)]


def _no_run(run: RunData) -> list[str]:
    record = run.record
    if record.ending is Ending.FAILED_TO_START:
        return record.notes or ["the run failed to start; it left no note of why"]
    if not len(run.frames.samples):
        how = "the run crashed before the first sample" if record.ending is Ending.RUNNING else "there are no samples"
        return [f"nothing was measured: {how}", *run.frames.problems]
    return []


def _ending(run: RunData) -> list[str]:
    missed = [phase.name for phase in run.phases if not phase.reached]
    unreached = f"; not reached: {', '.join(missed)}" if missed else ""
    when = f" at {run.record.ended_s:.1f} s" if run.record.ended_s is not None else ""
    if run.record.ending is Ending.INTERRUPTED:
        return [f"interrupted{when}: the plan was not run to its end{unreached}"]
    if run.record.ending is Ending.ABORTED:
        why = [note for note in run.record.notes if note.startswith(ENDED_EARLY)]
        return [f"{'; '.join(why) or ENDED_EARLY}{when}{unreached}"]
    if run.record.ending is Ending.RUNNING:
        return [f"the run did not end: its record still says running, as a crash leaves it{unreached}"]
    return [f"phases were not run{unreached}"] if missed else []


def _interrupted(
    run: RunData, broken: list[CriterionResult], why_broken: list[str], ended: list[str]
) -> tuple[Verdict, list[str]]:
    whole = {phase.name for phase in run.phases if phase.reached and _ran_fully(run, phase.name)}
    certain = [result.reason for result in broken if result.criterion.phase in whole]
    if certain:
        return Verdict.FAIL, certain + ended
    return Verdict.INVALID, ended + why_broken


def _on_what_ran(run: RunData, criteria: list[CriterionResult]) -> list[str]:
    """Return what the part of the run that took place shows; nothing when all of it did."""
    ran, planned = run.lengths()
    if not 0 < ran < planned * (1 - 1e-6):
        return []
    held = sum(result.state is State.PASS for result in criteria)
    return [f"on the {length(ran)} of {length(planned)} that were run, {held} of {len(criteria)} criteria hold"]


def _aborted(broken: list[CriterionResult], why_broken: list[str], ended: list[str]) -> tuple[Verdict, list[str]]:
    """Return FAIL when the limit that ended the run is broken over all that was measured, the drain included."""
    if any(result.criterion.abort_on_fail is not None for result in broken):
        return Verdict.FAIL, why_broken + ended
    return Verdict.INVALID, [*ended, "the limit that ended the run holds over all that was measured", *why_broken]


def _ran_fully(run: RunData, name: str) -> bool:
    ran, planned = run.lengths(name)
    return ran >= planned * (1 - 1e-6)


def nothing_answered(run: RunData) -> str | None:
    """Return the sentence for a dead server: attempts were made and not one was answered. None when one was."""
    rows = run.iterations
    if not len(rows):
        rows = run.frames.samples  # a plan of WebSocket connections only has no arrivals
    found = counts(rows)
    tried = {name: count for name, count in found.items() if count and name not in {Outcome.DROPPED, Outcome.CUT}}
    if not tried or any(found[outcome.value] for outcome in RESPONSES):
        return None
    most = max(tried, key=lambda name: tried[name])
    errors = only(rows, equals(rows, "outcome", most))["error"].dropna()
    text = f" ({errors.value_counts().index[0]})" if len(errors) else ""
    return f"nothing answered at {run.record.host}: {tried[most]} of {len(rows)} requests ended as {most}{text}"


def nothing_judges_failures(run: RunData) -> str | None:
    """Return the sentence for a plan whose limits hold however many requests fail; None when one would not."""
    if not len(run.iterations) or any(
        c.severity is Severity.FAIL and (c.metric in _ABOUT_FAILURES or c.metric.startswith("adj_"))
        for c in run.plan.criteria
    ):
        return None
    failed = len(run.iterations) - counts(run.iterations)[Outcome.OK]
    return f"no criterion judges failures: {failed} of {len(run.iterations)} requests failed"


def _held(run: RunData, criteria: list[CriterionResult]) -> str:
    count = sum(result.state is State.PASS for result in criteria)
    what = "the criterion holds" if count == len(criteria) == 1 else f"{count} of {len(criteria)} criteria hold"
    if count == len(criteria) > 1:
        what = f"all {count} criteria hold"
    close = sum(result.close for result in criteria)
    warned = sum(result.state is not State.PASS for result in criteria)
    extra = [
        f"{close} close to the limit" if close else "",
        f"{warned} with a warning only" if warned else "",
        nothing_judges_failures(run) or "",
    ]
    notes = ", ".join(text for text in extra if text)
    return f"{what} over {len(run.frames.samples)} samples" + (f" ({notes})" if notes else "")
