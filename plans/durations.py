"""Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`, or a number of seconds."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def parse_duration(value: Any) -> float:
    """Return seconds.

    >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration(5)
    (5400.0, 0.25, 5.0)

    Raises ValueError when the text is not a duration.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration such as 30s, 5m, 1h30m or 250ms")
    if not isinstance(value, str):
        return float(value)
    text = value.strip().replace(" ", "")
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a duration such as 30s, 5m, 1h30m or 250ms") from None


def format_duration(seconds: float) -> str:
    """Return the shortest exact form down to 0.1 s.

    >>> format_duration(5400), format_duration(75), format_duration(0.5)
    ('1h30m', '1m15s', '0.5s')
    """
    whole, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(whole), 60)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    return text + (f"{rest:.3g}s" if rest or not text else "")


_DESCRIPTION = "a duration such as 30s, 5m, 1h30m or 250ms, or a number of seconds"
Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False, description=_DESCRIPTION)]
DurationOrZero = Annotated[
    float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False, description=_DESCRIPTION)
]
