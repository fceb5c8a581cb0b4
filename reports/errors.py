"""Failures in groups: texts that differ only in ids and numbers are the same failure."""

import re

import numpy as np
import pandas as pd

from reports.analysis import ErrorGroup
from reports.rows import Rows, equals, numbers, only
from samples.sample import Outcome

MOST_GROUPS = 50

_REPLACED = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "{uuid}"),
    # A quoted text with a digit in it is an id; one without may be the reason itself.
    (re.compile(r"(['\"])(?=[^'\"]*\d)[^'\"]{1,80}\1"), "'{id}'"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "{hex}"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "{hex}"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "{n}"),
)
_STATUS = re.compile(r"\bHTTP (\d{3})\b")


def normalised(text: str) -> str:
    """Return an error text with uuids, hex, quoted ids and numbers replaced; `HTTP 503` keeps its number.

    >>> normalised("HTTP 503: run 42 of 'user-7' is busy")
    "HTTP 503: run {n} of '{id}' is busy"
    """
    kept = _STATUS.sub(lambda match: "HTTP " + "".join(chr(0xE000 + int(digit)) for digit in match[1]), text)
    for pattern, sign in _REPLACED:
        kept = pattern.sub(sign, kept)
    return "".join(str(ord(c) - 0xE000) if 0xE000 <= ord(c) <= 0xE009 else c for c in kept)


def error_groups(samples: Rows) -> tuple[list[ErrorGroup], int]:
    """Return the largest groups of failures (at most 50, the largest first), and how many groups there are."""
    failed = only(samples, ~equals(samples, "outcome", Outcome.OK))
    if not len(failed):
        return [], 0
    errors = failed["error"].cat.remove_unused_categories()
    texts = [normalised(str(text)) for text in errors.cat.categories]
    kinds = {text: code for code, text in enumerate(dict.fromkeys([*texts, ""]))}
    of_category = np.array([*(kinds[text] for text in texts), kinds[""]], dtype=np.int64)
    frame = pd.DataFrame(
        {
            "outcome": failed["outcome"].cat.codes.to_numpy(),
            "status": np.nan_to_num(numbers(failed, "status"), nan=-1.0),
            "text": of_category[errors.cat.codes.to_numpy()],  # code -1, no text, is the last entry
            "scenario": failed["scenario"].cat.codes.to_numpy(),
            "name": failed["name"].cat.codes.to_numpy(),
            "due_s": numbers(failed, "due_s"),
            "row": np.arange(len(failed)),
        }
    )
    keys = ["outcome", "status", "text", "scenario", "name"]
    found = frame.groupby(keys, sort=False).agg(
        count=("row", "size"), first=("due_s", "min"), last=("due_s", "max"), row=("row", "first")
    )
    largest = found.sort_values("count", ascending=False, kind="stable").head(MOST_GROUPS)
    figures = zip(*(largest[column].tolist() for column in ("row", "count", "first", "last")), strict=True)
    return [_group(failed.between(row, row + 1), count, first, last) for row, count, first, last in figures], len(found)


def _group(example: Rows, count: int, first_s: float, last_s: float) -> ErrorGroup:
    """Return the group that an example (one row) stands for."""
    error, status = example["error"].iloc[0], example["status"].iloc[0]
    text = "" if pd.isna(error) else str(error)
    return ErrorGroup(
        outcome=str(example["outcome"].iloc[0]),
        status=None if pd.isna(status) else int(status),
        text=normalised(text),
        scenario=str(example["scenario"].iloc[0]),
        name=str(example["name"].iloc[0]),
        count=count,
        first_s=first_s,
        last_s=last_s,
        example=text,
    )
