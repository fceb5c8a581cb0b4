"""What the data says of the reasons: troubles by name, how the target degraded, and what
bound it when a limit broke."""

from reports.analysis import CriterionResult, Finding, PhaseResult, Stress
from reports.bounds import bottlenecks
from reports.stress import stress_findings
from reports.troubles import troubles
from reports.windows import RunData


def diagnose(
    run: RunData, criteria: list[CriterionResult], phases: list[PhaseResult], stress: list[Stress]
) -> list[Finding]:
    """Return the findings, those that explain the most first. A run that measured nothing has none."""
    if not len(run.frames.samples):
        return []
    return [*troubles(run, phases), *stress_findings(stress), *bottlenecks(run, criteria)]


def sentence(finding: Finding) -> str:
    """Return a finding on one line: what, the first evidence, what to do."""
    return f"{finding.what}: {finding.evidence[0]}; {finding.advice}"
