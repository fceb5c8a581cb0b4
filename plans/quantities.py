"""Limits with a unit, as people write them: `90 GB`, `512 MiB`, `1 MB/min`, `8 cores`."""

import re

_BYTES = {
    "B": 1.0,
    **{f"{letter}B": 1000.0**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024.0**power for power, letter in enumerate("KMGT", 1)},
}
_SCALES: dict[str, dict[str, float]] = {
    "bytes": _BYTES,
    "bytes/min": {f"{name}/min": factor for name, factor in _BYTES.items()},
    "cores": {"cores": 1.0, "core": 1.0},
    "share": {"%": 0.01},
}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([A-Za-z]+(?:/min)?|%)")


def parse_quantity(value: object, unit: str) -> object:
    """Return the number of a text with a unit of the same kind as `unit`; anything else as it is.

    >>> parse_quantity("90 GB", "bytes"), parse_quantity("8 cores", "cores"), parse_quantity(90, "bytes")
    (90000000000.0, 8.0, 90)

    Raises ValueError for a unit that does not fit.
    """
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    scales = _SCALES.get(unit, {})
    if match[2] not in scales:
        allowed = f"a number, or one in {', '.join(scales)}" if scales else "a number without a unit"
        raise ValueError(f"must be {allowed}")
    return float(match[1]) * scales[match[2]]
