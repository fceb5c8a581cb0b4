"""Rows of the public recordings of LLM services: Mooncake, Azure and BurstGPT."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

from data.traces.trace import Row, RowError

MOST_TOKENS = 10_000_000
BLOCK_TOKENS = 512
"""What an id of Mooncake's `hash_ids` stands for."""

_NUMBER = re.compile(r"(\d{1,10})(?:\.(\d*))?")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d):([0-5]\d):([0-5]\d)(?:\.(\d*))?(Z|[+-]\d\d:\d\d)?")
_SECOND = 10**9

Parse = Callable[[Sequence[str]], Row]


def mooncake(line: str) -> Row:
    """Return a row of Mooncake's JSON lines: `timestamp` in milliseconds, two lengths, and the ids of blocks."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise RowError(f"is not valid JSON: {error}") from None
    if not isinstance(entry, dict):
        raise RowError(f"must be a JSON object, got {shown(line)}")
    moment = entry.get("timestamp")
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < 10**13:
        raise RowError(f"timestamp must be a number of milliseconds >= 0, got {_json(entry, 'timestamp')}")
    blocks = entry.get("hash_ids", [])
    if not isinstance(blocks, list) or not all(isinstance(i, int) and -(2**63) <= i < 2**63 for i in blocks):
        raise RowError(f"hash_ids must be a list of whole numbers, got {_json(entry, 'hash_ids')}")
    tokens = [entry.get(name) for name in ("input_length", "output_length")]
    for name, value in zip(("input_length", "output_length"), tokens, strict=True):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
            raise RowError(f"{name} must be a whole number from 0 to {MOST_TOKENS}, got {_json(entry, name)}")
    return Row(round(moment * 10**6), tokens[0] or 0, tokens[1] or 0, blocks)


def azure(header: Sequence[str]) -> Parse:
    """Return the parser of Azure's LLM inference traces: a date with up to 100 ns, and two lengths."""
    at, asked, answered = columns(header, "TIMESTAMP", "ContextTokens", "GeneratedTokens")

    def parse(cells: Sequence[str]) -> Row:
        expect_cells(cells, header)
        return Row(
            moment(cells[at], "TIMESTAMP"),
            tokens(cells[asked], "ContextTokens"),
            tokens(cells[answered], "GeneratedTokens"),
        )

    return parse


def burstgpt(header: Sequence[str]) -> Parse:
    """Return the parser of BurstGPT: seconds, and two lengths; an answer of 0 tokens is a request that failed."""
    at, asked, answered, _, _ = columns(
        header, "Timestamp", "Request tokens", "Response tokens", "Model", "Log Type"
    )  # fmt: skip

    def parse(cells: Sequence[str]) -> Row:
        expect_cells(cells, header)
        return Row(
            seconds(cells[at], "Timestamp"),
            tokens(cells[asked], "Request tokens"),
            tokens(cells[answered], "Response tokens"),
        )

    return parse


def columns(header: Sequence[str], *names: str) -> list[int]:
    """Return where the columns stand. Raises RowError when one is missing."""
    found = [name.strip() for name in header]
    missing = [name for name in names if name not in found]
    if missing:
        raise RowError(f"must name the column {missing[0]}, got {', '.join(found) or 'nothing'}")
    return [found.index(name) for name in names]


def expect_cells(cells: Sequence[str], header: Sequence[str]) -> None:
    """Raise RowError when a row has not as many cells as the header."""
    if len(cells) != len(header):
        raise RowError(f"must have {len(header)} cells like the header, got {len(cells)}")


def tokens(text: str, name: str) -> int:
    """Return a number of tokens; some files write 5.0 for 5."""
    digits = text.strip().removesuffix(".0")
    if not (digits.isascii() and digits.isdigit() and int(digits[:9]) <= MOST_TOKENS and len(digits) <= 8):
        raise RowError(f"{name} must be a whole number from 0 to {MOST_TOKENS}, got {shown(text)}")
    return int(digits)


def seconds(text: str, name: str) -> int:
    """Return a number of seconds in nanoseconds, digit by digit: a float would round it."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise RowError(f"{name} must be a number of seconds >= 0, got {shown(text)}")
    return int(match[1]) * _SECOND + fraction(match[2])


def fraction(digits: str | None) -> int:
    """Return the digits behind a point in nanoseconds; what is below is cut off."""
    return int((digits or "").ljust(9, "0")[:9])


def moment(text: str, name: str) -> int:
    """Return a date with time in nanoseconds since 1970; without a zone it is taken for UTC."""
    match = _MOMENT.fullmatch(text.strip())
    try:
        if match is None or int(match[2]) > 23:
            raise ValueError
        day, hour, minute, second, digits, zone = match.groups()
        whole = _midnight(day) + int(hour) * 3600 + int(minute) * 60 + int(second) - _ahead(zone)
    except ValueError:
        raise RowError(f"{name} must be a time such as 2023-11-16 18:15:46.6805900, got {shown(text)}") from None
    return whole * _SECOND + fraction(digits)


@lru_cache(maxsize=64)
def _midnight(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp())


def _ahead(zone: str | None) -> int:
    """Return how many seconds a zone is ahead of UTC."""
    if zone in (None, "Z"):
        return 0
    assert zone is not None
    return (-1 if zone[0] == "-" else 1) * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)


def shown(text: str) -> str:
    """Return a value as a message shows it: in quotes, long ones cut."""
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _json(entry: dict[str, object], name: str) -> str:
    return shown(json.dumps(entry[name])) if name in entry else "nothing"
