"""What to do now: the steps that the verdict asks for, the most important first."""

from reports.analysis import CriterionResult, Finding, HealthCheck, State, Verdict

_MOST = 5


def next_steps(
    verdict: Verdict, criteria: list[CriterionResult], health: list[HealthCheck], findings: list[Finding], trial: bool
) -> list[str]:
    """Return what to do: repair the run, look at what broke, measure longer, or run the whole plan (`trial`)."""
    steps = [f"{check.name}: {check.advice}" for check in health if not check.passed]
    steps += [finding.advice for finding in findings]
    steps += _about_missing(criteria)
    if verdict is Verdict.FAIL and not findings:
        steps.append("look at the first phase that broke a limit in the charts, and at the errors and slowest requests")
    if verdict is not Verdict.INVALID:
        steps += _about_close(criteria)
    if trial:
        steps.append("run the plan in full: a rehearsal gives no certificate")
    if verdict is Verdict.PASS and not steps:
        steps.append("nothing: keep this run as the baseline of the next one (make baseline)")
    return [_sentence(step) for step in dict.fromkeys(steps)][:_MOST]


def _about_missing(criteria: list[CriterionResult]) -> list[str]:
    missing = [result for result in criteria if result.state is State.NO_DATA]
    if not missing:
        return []
    names = ", ".join(dict.fromkeys(result.criterion.metric for result in missing[:3]))
    why = next((result.measured.why for result in missing if result.measured.why), "no data")
    return [f"get data for {names}: {why}"]


def _about_close(criteria: list[CriterionResult]) -> list[str]:
    close = [result for result in criteria if result.close]
    if not close:
        return []
    names = ", ".join(dict.fromkeys(result.criterion.metric for result in close[:3]))
    return [f"measure longer or twice before relying on {names}: the limit is inside the 95 % interval"]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
