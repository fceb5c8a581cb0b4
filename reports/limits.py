"""How a value is held against a limit: one comparison for criteria and for windows."""

from plans.schema import Criterion, Severity
from reports.analysis import State

_RELATIVE = 1e-9
"""Values this near count as equal, so that 50.0 arrivals/s that were added up from floats are `at_least: 50`."""


def _same(value: float, limit: float) -> bool:
    return abs(value - limit) <= _RELATIVE * max(abs(value), abs(limit))


def holds(criterion: Criterion, value: float | bool) -> bool:
    """Return whether the value is inside the criterion's limit."""
    limit = criterion.limit
    if criterion.operator == "is":
        return bool(value) is bool(limit)
    equal = _same(float(value), float(limit))
    if criterion.operator in {"<=", ">="} and equal:
        return True
    if criterion.operator in {"<", "<="}:
        return value < limit and not equal
    return value > limit and not equal


def upper(criterion: Criterion) -> bool:
    """Return True when the limit bounds the metric from above."""
    return criterion.operator in {"<", "<="}


def margin(criterion: Criterion, value: float | bool) -> float | None:
    """Return how far inside the limit the value is, as a share of the limit; negative outside.

    None for yes/no metrics, and for a limit of 0 unless the value is 0 too.
    """
    if criterion.operator == "is" or isinstance(value, bool):
        return None
    limit = float(criterion.limit)
    inside = limit - value if upper(criterion) else value - limit
    if limit == 0:
        return 0.0 if inside == 0 else None
    return inside / abs(limit)


def broken(criterion: Criterion) -> State:
    """Return what a broken limit is: a failure, or a warning when the plan says so."""
    return State.FAIL if criterion.severity is Severity.FAIL else State.WARN
