"""Do the intervals hold the truth, and are regressions found and not invented? On runs whose truth is known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.simulated import RATE, Array, Workload, failures, many_servers, one_server, wavy
from benchmarks.table import Table
from reports.analysis import Measured
from reports.changes import Word
from reports.comparison import Comparison, compare
from reports.intervals import Blocks, mean_interval, percentile_intervals, share_interval
from reports.snapshots import Figure, Scoped, Snapshot, figure_of
from reports.statistics import Interval, nearest_rank

MINUTES_5 = 300.0
_COVERED = (0.93, 0.97)
_JUDGED = {"latency_p50_ms": 500, "latency_p95_ms": 950}
_PERCENTILES = {"p50": 500, "p95": 950, "p99": 990}
_ERRORS = 0.01


def covered(workload: Workload, runs: int, seconds: float, seed: int = 1) -> dict[str, float]:
    """Return the share of runs in which the interval of the mean, p50, p95 and p99 holds the truth."""
    truth = workload.truth
    hits: dict[str, list[bool]] = {name: [] for name in ("mean", *_PERCENTILES)}
    for due, latencies in _runs(workload, runs, seconds, seed):
        blocks = Blocks.of(due, [(0.0, float(due[-1]))])
        hits["mean"].append(_holds(mean_interval(latencies, blocks), truth.mean))
        found = percentile_intervals(latencies, np.sort(latencies), blocks)
        for name, permille in _PERCENTILES.items():
            hits[name].append(_holds(found[permille], truth.percentiles[permille]))
    return {name: float(np.mean(every)) for name, every in hits.items()}


def covered_rates(rate: float, share: float, common_s: float, runs: int, seconds: float, seed: int = 2) -> float:
    """Return the share of runs in which the interval of an error rate holds the truth."""
    rng, count = np.random.default_rng(seed), int(seconds * RATE)
    blocks = Blocks.of(np.arange(count) / RATE, [(0.0, seconds)])
    hits = []
    for first in range(0, runs, 50):
        failed = failures(rng, min(50, runs - first), count, rate, share, common_s)
        hits += [_holds(share_interval(run, blocks), rate) for run in failed]
    return float(np.mean(hits))


def compared(workload: Workload, pairs: int, seconds: float, slower: float = 1.0, seed: int = 3) -> list[Comparison]:
    """Return comparisons of pairs of runs, the second one `slower` by a factor; 1 % of all requests fail."""
    every = _runs(workload, 2 * pairs, seconds, seed)
    rng = np.random.default_rng(seed)
    found = []
    for due, latencies in every:
        later_due, later = next(every)
        found.append(compare(_snapshot(due, latencies, rng), _snapshot(later_due, later * slower, rng)))
    return found


def _snapshot(due: Array, latencies: Array, rng: np.random.Generator) -> Snapshot:
    """Return what Proofload would keep of a run: the figures that are judged unless a plan says otherwise."""
    blocks, ordered = Blocks.of(due, [(0.0, float(due[-1]))]), np.sort(latencies)
    ends = percentile_intervals(latencies, ordered, blocks)
    figures: dict[str, Figure | None] = {
        name: figure_of(Measured(nearest_rank(ordered, permille), len(due), interval=ends[permille]))
        for name, permille in _JUDGED.items()
    }
    failed = failures(rng, 1, len(due), _ERRORS, 0.2, 1.0)[0]
    share = float(failed.mean())
    figures["error_rate"] = figure_of(Measured(share, len(due), interval=share_interval(failed, blocks)))
    answered = share_interval(np.ones(len(due), np.bool_), blocks)
    rate = None if answered is None else (answered[0] * RATE, answered[1] * RATE)
    figures["throughput_rps"] = figure_of(Measured(RATE, len(due), interval=rate))
    told = {name: figure for name, figure in figures.items() if figure is not None}
    return Snapshot(name="simulated", verdict="PASS", scopes=[Scoped(metrics=told)])


def _runs(workload: Workload, runs: int, seconds: float, seed: int) -> Iterator[tuple[Array, Array]]:
    rng = np.random.default_rng(seed)
    for first in range(0, runs, 50):
        yield from zip(*workload.draw(rng, min(50, runs - first), int(seconds * RATE)), strict=True)


def _holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def measure(_scratch: Path) -> Table:
    """Count how often intervals hold the truth and how often comparisons claim a regression, at 50 RPS."""
    table = Table("Statistics on simulated runs at 50 RPS, of 5 minutes where not told otherwise")
    for workload in (wavy(0, 1), wavy(0.2, 1), wavy(0.2, 5), wavy(0.5, 2), one_server(0.5), many_servers(0.7)):
        _add_coverage(table, workload, 1000, MINUTES_5, promised=True)
    for workload, seconds in ((one_server(0.8), MINUTES_5), (wavy(1.0, 5), MINUTES_5), (one_server(0.8), 1800.0)):
        _add_coverage(table, workload, 1000 if seconds == MINUTES_5 else 300, seconds, promised=False)
    for rate, share, common, promised in (
        (0.01, 0.0, 1.0, True), (0.01, 0.2, 1.0, True), (0.05, 0.2, 5.0, True), (0.05, 0.5, 2.0, True),
        (0.01, 0.5, 2.0, False), (0.001, 0.5, 2.0, False),
    ):  # fmt: skip
        found = covered_rates(rate, share, common, 2000, MINUTES_5)
        held = _COVERED[0] <= found <= _COVERED[1] if promised else None
        what = f"failures, {rate:.1%} of the requests, {share:.0%} of their cause common for {common:g} s"
        table.add(f"{what}: intervals that hold the rate", f"{found:.1%}", "93 to 97 %" if promised else "", held)
    for workload in (wavy(0.2, 1), many_servers(0.7), wavy(0.2, 5), one_server(0.8)):
        _add_claims(table, workload)
    for workload, promised in (
        (wavy(0.2, 1), True), (many_servers(0.6), True), (wavy(0.2, 2), False), (wavy(0.2, 5), False),
        (one_server(0.5), False),
    ):  # fmt: skip
        _add_found(table, workload, promised)
    return table


def _add_coverage(table: Table, workload: Workload, runs: int, seconds: float, promised: bool) -> None:
    found = covered(workload, runs, seconds)
    held = all(_COVERED[0] <= share <= _COVERED[1] for share in found.values()) if promised else None
    length = "" if seconds == MINUTES_5 else f", {seconds / 60:g} minutes"
    what = f"latency, {workload.name}{length}: intervals that hold the truth, {runs} runs"
    table.add(
        what, ", ".join(f"{name} {share:.1%}" for name, share in found.items()), "93 to 97 %" if promised else "", held
    )


def _add_claims(table: Table, workload: Workload) -> None:
    words = [one.word for one in compared(workload, 200, MINUTES_5)]
    claimed, same = (words.count(word) / len(words) for word in (Word.REGRESSED, Word.SAME))
    what = f"200 pairs without a change, {workload.name}: regressions claimed"
    table.add(what, f"{claimed:.1%} (same: {same:.0%})", "at most 5 %", claimed <= 0.05)


def _add_found(table: Table, workload: Workload, promised: bool) -> None:
    words = [one.word for one in compared(workload, 200, MINUTES_5, slower=1.1)]
    found = words.count(Word.REGRESSED) / len(words)
    what = f"200 pairs, the second 10 % slower, {workload.name}: regressions found"
    table.add(what, f"{found:.1%}", "at least 90 %" if promised else "", found >= 0.9 if promised else None)
