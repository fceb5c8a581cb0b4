"""The leak test on memory that is simulated: how often it finds a leak, and how often it sees one that is not there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.table import Table
from reports.statistics import Floats, slope, slope_interval, thinned, trend_p
from reports.trends import SETTLING, floor, leaks, settled

_RUNS, _MB, _BASE_MB = 100, 1e6, 300.0
_READINGS = 240
"""Per phase: of more readings the floor would be no other, and the plain test looks at 600 at most."""
_LEAKS = (0.0, 1.0, 5.0, 50.0)
_GROWTH = 0.1


@dataclass(frozen=True, slots=True)
class Memory:
    """A process's memory: MB of its sawtooth, how many teeth a phase has, MB of caches that fill in its first part."""

    name: str
    tooth_mb: float
    teeth: float
    caches_mb: float


KINDS = (
    Memory("even", 0.0, 1.0, 0.0),
    Memory("caches of 60 MB fill in six steps", 0.0, 1.0, 60.0),
    Memory("small teeth: 30 MB, sixty of them, and the caches", 30.0, 60.0, 60.0),
    Memory("large teeth: 60 MB, eight of them, and the caches", 60.0, 8.0, 60.0),
    Memory("large and few: 60 MB, three of them, and the caches", 60.0, 3.0, 60.0),
)
_LENGTHS = ((180.0, "3 min"), (600.0, "10 min"), (3600.0, "1 h"), (14400.0, "4 h"))


def simulated(kind: Memory, length_s: float, mb_per_min: float, runs: int, rng: np.random.Generator) -> Floats:
    """Return memory in bytes, one row a run: base, leak, teeth of random period, height and phase, caches, noise.

    The noise is an autoregressive one of 2 MB (lag-1 correlation 0.95) and 0.5 MB from reading to reading.
    """
    times = (np.arange(_READINGS) + 0.5) * length_s / _READINGS
    made = np.full((runs, _READINGS), _BASE_MB) + mb_per_min / 60 * times
    period = length_s / kind.teeth * rng.uniform(0.7, 1.3, (runs, 1))
    made += kind.tooth_mb * rng.uniform(0.5, 1.5, (runs, 1)) * ((times / period + rng.uniform(0, 1, (runs, 1))) % 1)
    for _ in range(6):
        made += kind.caches_mb / 6 * (times > rng.exponential(0.08 * length_s, (runs, 1)))
    noise, shocks = np.zeros((runs, _READINGS)), rng.normal(0, 2 * np.sqrt(1 - 0.95**2), (runs, _READINGS))
    noise[:, 0] = rng.normal(0, 2, runs)
    for index in range(1, _READINGS):
        noise[:, index] = 0.95 * noise[:, index - 1] + shocks[:, index]
    return (made + noise + rng.normal(0, 0.5, made.shape)) * _MB


def found(memory: Floats, length_s: float) -> tuple[bool, bool]:
    """Return whether (`memory_leak`, the same test on every reading instead of on the floor) see a leak."""
    times = (np.arange(_READINGS) + 0.5) * length_s / _READINGS
    at, values = settled(times, memory, 0.0, length_s)
    middle = float(np.median(values))
    grew = slope(*thinned(at, values)) * length_s > _GROWTH * middle
    plain = grew and trend_p(*thinned(at, values)) < 0.01
    return bool(grew and leaks(times, memory, 0.0, length_s, _GROWTH * middle)), bool(plain)


def measure(_: Path, runs: int = _RUNS) -> Table:
    """Return how many of so many simulated runs are said to leak, by length, kind of memory and leak."""
    table = Table(
        f"Leaks in simulated memory of {_BASE_MB:.0f} MB: share of {runs} runs that `memory_leak` says leak "
        "(in brackets: by the same test on every reading)"
    )
    rng = np.random.default_rng(1)
    for length_s, words in _LENGTHS:
        for kind in KINDS:
            shares = []
            for rate in _LEAKS:
                told = np.array([found(row, length_s) for row in simulated(kind, length_s, rate, runs, rng)])
                shares.append(told.mean(axis=0))
            text = "; ".join(
                f"{rate:g} MB/min {one:.0%} ({plain:.0%})" for rate, (one, plain) in zip(_LEAKS, shares, strict=True)
            )
            table.add(f"{words}, {kind.name}", text, "0 MB/min ≤ 3 %, 50 MB/min ≥ 97 %", _held(shares))
        _add_trends(table, length_s, words, runs, rng)
    return table


def _add_trends(table: Table, length_s: float, words: str, runs: int, rng: np.random.Generator) -> None:
    """Add the rate that `memory_trend_bytes_per_min` finds, with how often it is above 0 for sure."""
    kind, cells = KINDS[2], []
    times = (np.arange(_READINGS) + 0.5) * length_s / _READINGS
    for rate in _LEAKS:
        rows = simulated(kind, length_s, rate, runs, rng)
        floors = [floor(*settled(times, row, 0.0, length_s), SETTLING * length_s, length_s) for row in rows]
        found = np.array([slope_interval(low.times, low.values) for low in floors]) * 60 / _MB
        sure = float((found[:, 1] > 0).mean())
        cells.append(f"{rate:g}: {np.median(found[:, 0]):.2f} ± {found[:, 0].std():.2f}, above 0 in {sure:.0%}")
    table.add(f"{words}, {kind.name}: trend in MB/min", "; ".join(cells))


def _held(shares: list[Floats]) -> bool:
    return bool(shares[0][0] <= 0.03 and shares[-1][0] >= 0.97)
