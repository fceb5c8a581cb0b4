"""Lengths in tokens, drawn from a distribution: the same ones for the same seed."""

import math
from array import array
from pathlib import Path
from random import Random

DRAWN = 1 << 16
"""How many lengths are drawn before the load; then they come again, with other texts."""
_MOST_TRIES = 1000


class LengthError(ValueError):
    """Lengths that cannot be had; the text says why."""


def draw(
    random: Random,
    distribution: str,
    *,
    value: int | None = None,
    mean: float | None = None,
    std: float | None = None,
    least: int | None = None,
    most: int | None = None,
    count: int = DRAWN,
) -> "array[int]":
    """Return `count` lengths. What falls outside the bounds is drawn again: no heap of values at a bound.

    `mean` and `std` are those of the lengths without bounds, of a lognormal distribution too.
    """
    if distribution == "fixed":
        return array("i", [value or 0]) * count
    if distribution == "uniform":
        return array("i", (random.randint(least or 0, most or 0) for _ in range(count)))
    average, spread = mean or 0.0, std or 0.0
    sigma = math.sqrt(math.log1p((spread / average) ** 2)) if distribution == "lognormal" else spread
    mu = math.log(average) - sigma**2 / 2 if distribution == "lognormal" else average
    one = random.lognormvariate if distribution == "lognormal" else random.gauss
    low, high = 1 if least is None else least, 10_000_000 if most is None else most
    drawn, tries = array("i"), 0
    while len(drawn) < count:
        length = round(min(one(mu, sigma), 1e9))
        if low <= length <= high:
            drawn.append(length)
        tries += 1
        if tries >= _MOST_TRIES * (len(drawn) + 1):
            raise LengthError(f"hold next to nothing of the distribution: {low} to {high} tokens")
    return drawn


def resample(random: Random, path: Path, *, count: int = DRAWN) -> "array[int]":
    """Return `count` lengths drawn from those in a file, one a line. Raises LengthError by line and value."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LengthError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LengthError(f"{path}: is not text in UTF-8") from None
    known = array("i")
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not (text.isascii() and text.isdigit() and len(text) <= 7):
            raise LengthError(f"{path}: line {number}: must be a whole number from 0 to 9999999, got {text[:80]!r}")
        if text:
            known.append(int(text))
    if not known:
        raise LengthError(f"{path}: must hold at least one length, got none")
    return array("i", random.choices(known, k=count))
