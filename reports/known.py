"""The figures of the plan's baseline, beside the ones that the run measured."""

from plans.metrics import METRICS, Better
from reports.analysis import Known, PhaseResult
from reports.regression import baseline_of
from reports.snapshots import Scoped, Snapshot
from reports.windows import RunData, Scope


def known(run: RunData, phases: list[PhaseResult], total: PhaseResult) -> list[Known]:
    """Return each known figure with its like of this run; none without a baseline.

    It is taken from the phase that stands for the baseline, else from the longest one of this run.
    """
    baseline = baseline_of(run)
    if isinstance(baseline, str):
        return []
    reached = [phase for phase in phases if phase.reached]
    longest = max(reached, key=lambda phase: phase.end_s - phase.start_s, default=total)
    phase = next((phase for phase in reached if phase.name == baseline.phase), longest)
    result = []
    for metric, figure in _figures(baseline, phase.name).metrics.items():
        measured, value = phase.metrics[metric], figure.value
        if isinstance(value, bool):
            continue
        worse = None
        if measured.value is not None and METRICS[metric].better is not Better.NEITHER and value:
            change = (float(measured.value) - value) / abs(value)
            worse = change if METRICS[metric].better is Better.LOWER else -change
        result.append(Known(baseline.name, metric, phase.name, value, measured, worse))
    return result


def _figures(baseline: Snapshot, phase: str) -> Scoped:
    """Return the figures of the phase, else those that stand for the baseline."""
    return baseline.of(Scope(phase)) or baseline.of(Scope(baseline.phase)) or baseline.scopes[0]
