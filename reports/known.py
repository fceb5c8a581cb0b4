"""The figures that were known before the run, beside the ones that it measured."""

from plans.metrics import METRICS, Better
from reports.analysis import Known, PhaseResult
from reports.windows import RunData

_PLAIN: dict[str, tuple[str, float]] = {
    "latency_ms": ("latency_mean_ms", 1),
    "throughput_rps": ("throughput_rps", 1),
    "quality": ("quality_mean", 1),
    "memory_gb": ("memory_max_bytes", 1e9),
    "cpu_cores": ("cpu_cores_max", 1),
}
"""Key of a plain baseline such as performance_baseline.json: the metric, and what one unit of it is in the metric's."""


def known(run: RunData, phases: list[PhaseResult], total: PhaseResult) -> list[Known]:
    """Return each known figure with its like of this run; none without a baseline.

    It is taken from the phase that the baseline names, else from the longest one of this run.
    """
    baseline = run.record.baseline
    if not baseline:
        return []
    reached = [phase for phase in phases if phase.reached]
    longest = max(reached, key=lambda phase: phase.end_s - phase.start_s, default=total)
    phase = next((phase for phase in reached if phase.name == baseline.get("phase")), longest)
    name = str(baseline.get("name", "baseline"))
    result = []
    for metric, value in _figures(baseline).items():
        measured = phase.metrics[metric]
        worse = None
        if measured.value is not None and METRICS[metric].better is not Better.NEITHER and value:
            change = (float(measured.value) - value) / abs(value)
            worse = change if METRICS[metric].better is Better.LOWER else -change
        result.append(Known(name, metric, phase.name, value, measured, worse))
    return result


def _figures(baseline: dict[str, object]) -> dict[str, float]:
    """Return the known value of each metric of the catalogue: of a plain file, or of the figures of a phase."""
    found = {}
    for key, (metric, unit) in _PLAIN.items():
        value = baseline.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[metric] = value * unit
    metrics = baseline.get("metrics")
    for metric, entry in metrics.items() if isinstance(metrics, dict) else ():
        value = entry.get("value") if isinstance(entry, dict) else None
        if metric in METRICS and isinstance(value, int | float) and not isinstance(value, bool):
            found[metric] = float(value)
    return found
