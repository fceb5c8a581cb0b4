"""How figures are written for people: one way for the page, the terminal, the summary and JUnit."""

import math

from plans.metrics import METRICS
from plans.schema import Criterion
from reports.analysis import Accounting, CriterionResult, Measured

MISSING = "–"
"""What stands for a value that nobody can tell; it is never written as 0."""

UNBOUNDED = "∞"
"""What stands for a value beyond everything that was measured, such as a percentile that falls among failures."""

_FACTORS = frozenset({"tokens_per_event"})
"""Metrics of unit `ratio` that are no share of a whole and so no percentage."""

_SIGNS = {"<": "<", "<=": "≤", ">=": "≥", ">": ">", "is": "is"}

_SCALES: dict[str, tuple[tuple[float, float, str], ...]] = {
    # (from this value on, divided by, sign), the largest first
    "ms": ((600_000, 60_000, "min"), (1000, 1000, "s"), (0, 1, "ms")),
    "s": ((7200, 3600, "h"), (600, 60, "min"), (1, 1, "s"), (0, 0.001, "ms")),
    "bytes": ((1e12, 1e12, "TB"), (1e9, 1e9, "GB"), (1e6, 1e6, "MB"), (1e3, 1e3, "kB"), (0, 1, "B")),
    "bytes/s": ((1e9, 1e9, "GB/s"), (1e6, 1e6, "MB/s"), (1e3, 1e3, "kB/s"), (0, 1, "B/s")),
    "bytes/min": ((1e9, 1e9, "GB/min"), (1e6, 1e6, "MB/min"), (1e3, 1e3, "kB/min"), (0, 1, "B/min")),
    "rps": ((0, 1, "RPS"),),
    "cores": ((0, 1, "cores"),),
    "tokens/s": ((0, 1, "tok/s"),),
    "count": ((0, 1, ""),),
    "factor": ((0, 1, ""),),
}


def unit_of(metric: str) -> str:
    """Return the unit in which a catalogued metric is written; `factor` for ratios that are not percentages."""
    if metric in _FACTORS:
        return "factor"
    known = METRICS.get(metric)
    return known.unit if known else ""


def figure(value: float | bool | None, unit: str, digits: int = 3) -> str:
    """Return the value with its unit to about `digits` significant digits.

    >>> figure(1234.5, "ms"), figure(182.2, "ms"), figure(3.41e9, "bytes"), figure(0.99996, "ratio")
    ('1.23 s', '182 ms', '3.41 GB', '99.996 %')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if unit == "bool" or isinstance(value, bool):
        return "yes" if value else "no"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit == "ratio":
        return _percent(value, digits)
    if unit == "count" and float(value).is_integer():
        return f"{int(value):,}"
    scales = _SCALES.get(unit, ((0, 1, unit),))
    size = abs(value)
    if unit == "cores" and digits == 3 and size < 0.1:
        digits = 2
    # Rounding may lift a value over the border: 999.7 ms is 1.00 s and not 1000 ms.
    rounded = float(f"{size:.{digits}g}")
    _, divisor, sign = next(scale for scale in scales if rounded >= scale[0] or scale is scales[-1])
    return f"{_number(value / divisor, digits)} {sign}".strip()


def _number(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(float(f"{abs(value):.{digits}g}")))
    return f"{value:,.{min(max(places, 0), 9)}f}"


def _percent(value: float, digits: int) -> str:
    """Return a share as a percentage that is never rounded up to 100 % nor down to 0 %."""
    percent = value * 100
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    places = max(digits - 2, 0)
    near = min(abs(percent), abs(100 - percent)) if 0 < percent < 100 else abs(percent)
    text = f"{percent:.{places}f}"
    if near < 1:
        places = min(places - math.floor(math.log10(near)), 9)
        text = f"{percent:.{places}f}".rstrip("0").rstrip(".")
    return f"{text} %"


def measured_text(measured: Measured, metric: str) -> str:
    """Return a measured value as text, or the sign for missing."""
    if measured.lower_bound is not None:
        return f"> {figure(measured.lower_bound, unit_of(metric))}"
    return UNBOUNDED if measured.unbounded else figure(measured.value, unit_of(metric))


def limit_text(criterion: Criterion, digits: int = 3) -> str:
    """Return a limit with its comparison: `< 2.00 s`, `≥ 99.5 %`, `is no`, `≤ 5.00 % worse`."""
    if criterion.worse_at_most is not None:
        return f"≤ {_share(criterion.worse_at_most, criterion.metric)} worse"
    return f"{_SIGNS[criterion.operator]} {figure(criterion.limit, unit_of(criterion.metric), digits)}"


def _share(share: float, metric: str, sign: str = "") -> str:
    """Return a change as a percentage, that of a share as percentage points."""
    return f"{share * 100:{sign}.3g} {'points' if unit_of(metric) == 'ratio' else '%'}"


def change_text(change: float | None, metric: str) -> str:
    """Return how much a metric changed: `+3.21 %`; `-0.2 points` for one that is a share."""
    return MISSING if change is None else _share(change, metric, "+")


def pair(result: CriterionResult) -> tuple[str, str]:
    """Return measured value and limit as texts with as many digits as it takes to tell them apart."""
    criterion, value = result.criterion, result.measured.value
    unit, limit = unit_of(criterion.metric), criterion.limit
    digits = 3
    if value is not None and value != limit:
        while digits < 9 and figure(value, unit, digits) == figure(limit, unit, digits):
            digits += 1
    measured = measured_text(result.measured, criterion.metric) if value is None else figure(value, unit, digits)
    return measured, limit_text(criterion, digits)


def margin_text(margin: float | None) -> str:
    """Return a margin with its sign as a percentage of the limit: `+34.0 %`."""
    if margin is None:
        return MISSING
    if abs(margin) >= 10:
        return f"{margin * 100:+,.0f} %"
    if abs(margin) >= 0.01:
        return f"{margin * 100:+.1f} %"
    return ("+" if margin > 0 else "") + _percent(margin, 3)


def interval_text(measured: Measured, metric: str) -> str:
    """Return the 95 % interval as `low … high`."""
    if measured.interval is None:
        return MISSING
    unit = unit_of(metric)
    low, high = (figure(bound, unit) for bound in measured.interval)
    return f"{low} … {high}"


def clock(seconds: float, whole: float = 0.0) -> str:
    """Return a moment of the run as `m:ss`, or `h:mm:ss` when the `whole` run is an hour or longer.

    >>> clock(75), clock(75, 7200), clock(1.5)
    ('1:15', '0:01:15', '0:01.5')
    """
    sign, seconds = ("-" if seconds < 0 else ""), abs(round(seconds, 1))
    minutes, rest = divmod(seconds, 60)
    tail = f"{rest:02.0f}" if float(rest).is_integer() else f"{rest:04.1f}"
    if max(whole, seconds) < 3600:
        return f"{sign}{int(minutes)}:{tail}"
    hours, minutes = divmod(int(minutes), 60)
    return f"{sign}{hours}:{minutes:02d}:{tail}"


def length(seconds: float) -> str:
    """Return a length of time in the two largest units: `4h 0m`, `45m 10s`, `12.5 s`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    total = round(seconds)
    hours, minutes, rest = total // 3600, total % 3600 // 60, total % 60
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def identity_text(accounting: Accounting) -> str:
    """Return the accounting identity of a phase as one line: `1,000 = 990 ok + 10 timeout`."""
    parts = [f"{count:,} {name}" for name, count in accounting.outcomes.items() if count] or ["0"]
    if accounting.lost:
        parts.append(f"{accounting.lost:,} lost")
    return f"{accounting.scheduled:,} = {' + '.join(parts)}"
