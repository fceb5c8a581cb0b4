"""Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`, or a number of seconds."""

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 366 * 86_400.0
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def parse_duration(value: object) -> float:
    """Return seconds.

    >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration(5)
    (5400.0, 0.25, 5.0)

    Raises ValueError when the text is not a duration.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration such as 30s, 5m, 1h30m or 250ms")
    if not isinstance(value, str):
        return _finite(value)
    text = value.strip().replace(" ", "")
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        return _finite(float(text))
    except ValueError:
        raise ValueError("must be a duration such as 30s, 5m, 1h30m or 250ms") from None


def _finite(value: float) -> float:
    """Return a float; an integer that no float can hold becomes infinity, which the field then refuses."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def format_duration(seconds: float) -> str:
    """Return the shortest form, exact to 0.1 s, and to 1 ms below ten seconds.

    >>> format_duration(5400), format_duration(75), format_duration(0.5), format_duration(59.96)
    ('1h30m', '1m15s', '0.5s', '1m')
    """
    milliseconds = round(seconds * 1000) if seconds < 10 else round(seconds * 10) * 100
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    return text + (f"{rest / 1000:g}s" if rest or not text else "")


_DESCRIPTION = "a duration such as 30s, 5m, 1h30m or 250ms, or a number of seconds"
_Seconds = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=float | str),
    Field(allow_inf_nan=False, description=_DESCRIPTION),
]
Duration = Annotated[_Seconds, Field(gt=0, le=_LONGEST)]
DurationOrZero = Annotated[_Seconds, Field(ge=0, le=_LONGEST)]
