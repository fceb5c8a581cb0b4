"""The performance score: five parts of one number, each from the limits that the plan itself sets."""

from collections.abc import Callable

from plans.metrics import METRICS, Kind
from plans.schema import Criterion, Severity
from reports.analysis import Measured, ScorePart
from reports.limits import holds, upper
from reports.windows import RunData, Scope, Window

Measure = Callable[[str, Window], Measured]

_WEIGHTS = {"latency": 0.25, "throughput": 0.25, "stability": 0.20, "resources": 0.15, "quality": 0.15}
_BROKEN = 0.5


def performance_score(window: Window, measure: Measure) -> Measured:
    """Return the weighted sum of the parts; None when one of them cannot be told."""
    if window.scope != Scope():
        return Measured(None, 0, "is taken over the whole run")
    parts = _parts(window.run, measure)
    unknown = [f"{part.name}: {part.basis}" for part in parts if part.value is None]
    if unknown:
        return Measured(None, 0, "; ".join(unknown))
    return Measured(sum(part.weight * part.value for part in parts if part.value is not None), len(parts))


def score_of(run: RunData, measure: Measure) -> list[ScorePart]:
    """Return the parts of the score; none when the plan does not ask for it."""
    asked = any(criterion.metric == "performance_score" for criterion in run.plan.criteria)
    return _parts(run, measure) if asked else []


def _parts(run: RunData, measure: Measure) -> list[ScorePart]:
    return [
        _held("latency", run, measure, lambda metric: metric.startswith("latency_") and metric.endswith("_ms")),
        _held("throughput", run, measure, lambda metric: metric == "throughput_rps"),
        _lowest("stability", "stability_score", run, measure),
        _held("resources", run, measure, lambda metric: METRICS[metric].kind is Kind.RESOURCE),
        _lowest("quality", "quality_mean", run, measure),
    ]


def _limits(run: RunData, wanted: Callable[[str], bool]) -> list[Criterion]:
    """Return the plan's limits on some metrics; a warning is none (a rehearsal is too short for what became one)."""
    limits = (c for c in run.plan.criteria if wanted(c.metric) and c.worse_at_most is None)
    return [criterion for criterion in limits if criterion.severity is Severity.FAIL]


def _measured(run: RunData, criterion: Criterion, measure: Measure) -> Measured:
    return measure(criterion.metric, run.window(Scope(criterion.phase, criterion.scenario, criterion.name)))


def _held(part: str, run: RunData, measure: Measure, wanted: Callable[[str], bool]) -> ScorePart:
    """Return 1 when every limit holds, 0.5 when one does not, None when one has no data and none is broken."""
    limits = _limits(run, wanted)
    if not limits:
        return ScorePart(part, _WEIGHTS[part], None, "the plan has no limit on it")
    broken, silent = [], []
    for criterion in limits:
        found = _measured(run, criterion, measure)
        where = f"{criterion.metric} {Scope(criterion.phase, criterion.scenario, criterion.name)}"
        if found.value is None and not (found.unbounded and upper(criterion)):
            silent.append(f"{where} has no data: {found.why}")
        elif found.value is None or not holds(criterion, found.value):
            broken.append(where)
    if broken:
        return ScorePart(part, _WEIGHTS[part], _BROKEN, f"broken: {', '.join(broken)}")
    if silent:
        return ScorePart(part, _WEIGHTS[part], None, "; ".join(silent))
    return ScorePart(part, _WEIGHTS[part], 1.0, f"{len(limits)} of {len(limits)} limits hold")


def _lowest(part: str, metric: str, run: RunData, measure: Measure) -> ScorePart:
    """Return the lowest value among the phases that the plan limits the metric in."""
    limits = _limits(run, lambda name: name == metric)
    if not limits:
        return ScorePart(part, _WEIGHTS[part], None, f"the plan has no limit on {metric}")
    found = [(_measured(run, criterion, measure), criterion) for criterion in limits]
    for measured, _ in found:
        if measured.value is None:
            return ScorePart(part, _WEIGHTS[part], None, f"{metric} has no data: {measured.why}")
    value, criterion = min(((float(m.value or 0.0), c) for m, c in found), key=lambda pair: pair[0])
    return ScorePart(part, _WEIGHTS[part], value, f"{metric} {Scope(criterion.phase, criterion.scenario)}")
