"""Was the load generator well, and is everything there? A broken check makes the run INVALID."""

from math import ceil

import numpy as np
import pandas as pd

from plans.run import PhaseRecord
from reports.analysis import HealthCheck, PhaseResult
from reports.rows import Mask, Rows, equals, flags, numbers, only
from reports.statistics import Floats, nearest_rank
from reports.windows import RunData, Scope
from reports.workers import lost_with_workers, presence, present_s, while_present
from samples.sample import AT_MAXIMUM, Outcome

_FEWEST_FOR_PHASE = 100
"""A p99 of fewer starts is their maximum: such a phase is judged with the whole run only, and a run by its second
latest start, which the p99 of a hundred is too. One late start of a few is no finding."""
_SHORTEST_SPAN_S = 10.0
"""Of 500 ticks the p99 is the sixth worst: a single hiccup in a shorter phase would decide."""
_FEWEST_TICKS_PER_S = 35.0
"""Of the 50 that a generator reports for each second, late ones included; fewer mean that readings are missing."""
_MORE_PROCESSES = "use more processes or workers, or a faster machine; the load was not what the plan says"


def checks(run: RunData, phases: list[PhaseResult]) -> list[HealthCheck]:
    """Return every check of the run, in the order in which a reader should look at them."""
    return [_accounting(run, phases), _complete(run), _written(run), _processes(run), *generator_checks(run)]


def generator_checks(run: RunData) -> list[HealthCheck]:
    """Return the checks of whether the generator kept up, which can be made while a run goes on, too."""
    return [_sent(run), *lost_with_workers(run, _judged(run)), _lag(run), _loop_lag(run), _cpu(run)]


def _accounting(run: RunData, phases: list[PhaseResult]) -> HealthCheck:
    wrong = [f"{p.accounting.lost} of {p.accounting.scheduled} in {p.name}" for p in phases if p.accounting.lost]
    known = {phase.name for phase in run.phases}
    strangers = run.iterations["phase"].value_counts()
    wrong += [
        f"{count} samples of unknown phase '{name}'" for name, count in strangers.items() if count and name not in known
    ]
    return HealthCheck(
        "accounting: arrivals without an outcome", not wrong, "; ".join(wrong) or "0", "0",
        "samples were lost or counted twice: look at the warnings in events.jsonl and for workers that died",
    )  # fmt: skip


def _complete(run: RunData) -> HealthCheck:
    """begun <= recorded = written = on disk, for every process."""
    on_disk = run.frames.samples["worker"].value_counts()
    wrong, total = [], 0
    for process in run.record.processes:
        rows = int(on_disk.get(process.worker, 0))
        total += rows
        if not process.begun <= process.recorded == process.written == rows:
            wrong.append(
                f"worker {process.worker}: {process.begun} attempts begun, {process.recorded} recorded, "
                f"{process.written} written, {rows} on disk"
            )
    wrong += run.frames.problems
    return HealthCheck(
        "samples on disk", not wrong, "; ".join(wrong) or f"{total} of {total}", "all that were recorded",
        "the run folder is not whole: look for a full disk, a killed process or files that were moved",
    )  # fmt: skip


def _written(run: RunData) -> HealthCheck:
    errors = [f"worker {p.worker}: {text}" for p in run.record.processes for text in p.write_errors]
    errors += run.record.write_errors
    return HealthCheck(
        "write errors", not errors, "; ".join(errors[:3]) or "none", "none",
        "free space on the disk that holds the run folder, or choose another",
    )  # fmt: skip


def _processes(run: RunData) -> HealthCheck:
    known = {process.worker for process in run.record.processes}
    seen = {str(worker) for worker, count in run.frames.samples["worker"].value_counts().items() if count}
    missing = sorted(seen - known)
    text = presence(run)
    if not known:
        text = "the run record names no process"
    if missing:
        text = f"no record of worker {', '.join(missing)}, which has samples"
    return HealthCheck(
        "processes that reported", bool(known) and not missing, text, "all",
        "a worker was lost or did not report its counts: look at its log",
    )  # fmt: skip


def _attempted(rows: Rows) -> Mask:
    """Return which arrivals the generator did its part for.

    It sent them, or found nobody to connect to, or dropped them because the plan allows no more users.
    """
    failed = equals(rows, "outcome", Outcome.CONNECT_ERROR) | equals(rows, "outcome", Outcome.TIMEOUT)
    limited = equals(rows, "outcome", Outcome.DROPPED) & np.asarray(
        rows["error"].astype(str).str.startswith(AT_MAXIMUM), dtype=np.bool_
    )
    return np.isfinite(numbers(rows, "sent_s")) | failed | limited


def _sent(run: RunData) -> HealthCheck:
    limit, worst, where = run.plan.generator.sent, 1.0, "every phase"
    for phase in run.phases:
        scheduled = sum(phase.scheduled.values())
        if not phase.reached or scheduled <= 0:
            continue
        share = int(_attempted(run.window(Scope(phase.name)).counted).sum()) / scheduled
        if share < worst:
            worst, where = share, phase.name
    return HealthCheck(
        "arrivals sent", worst >= limit * (1 - 1e-9), f"{worst * 100:.2f} % in {where}", f"≥ {limit * 100:g} %",
        "the generator did not start what was due: raise pool.expected_latency so that the pool starts larger, "
        "or use more processes",
    )  # fmt: skip


def _lag(run: RunData) -> HealthCheck:
    """p99 of sent - due of arrivals that found a free user, in the worst open phase."""
    limit, advice = run.plan.generator.lag_p99_ms, f"requests started late: {_MORE_PROCESSES}"
    lags = {phase.name: _lags(run, phase) for phase in run.phases if phase.reached and not phase.closed}
    pooled = np.concatenate([*lags.values(), np.zeros(0)])
    if not len(pooled):
        why = "no open phase" if not lags else "no arrival of an open phase found a free user"
        return HealthCheck("start lag p99", True, why, f"≤ {limit:g} ms", advice)
    candidates = {"the whole run": pooled} | {n: v for n, v in lags.items() if len(v) >= _FEWEST_FOR_PHASE}
    found = {name: _p99(values) for name, values in candidates.items()}
    where = max(found, key=lambda name: found[name])
    text = f"{found[where]:.1f} ms over {where}" if where == "the whole run" else f"{found[where]:.1f} ms in {where}"
    return HealthCheck("start lag p99", found[where] <= limit, text, f"≤ {limit:g} ms", advice)


def _p99(lags: Floats) -> float:
    ordered = np.sort(lags)
    return float(ordered[-2]) if 1 < len(ordered) < _FEWEST_FOR_PHASE else nearest_rank(ordered, 990)


def _lags(run: RunData, phase: PhaseRecord) -> Floats:
    rows = run.window(Scope(phase.name)).counted
    lag = (numbers(rows, "sent_s") - numbers(rows, "due_s")) * 1000
    result: Floats = lag[np.isfinite(lag) & ~flags(rows, "waited")]
    return result


def _generator(run: RunData, metric: str) -> pd.DataFrame:
    """Return the generator's readings of a metric while load was made; all of them when the run was shorter."""
    readings = run.frames.readings
    rows = only(readings, equals(readings, "source", "generator") & equals(readings, "metric", metric))
    rows = only(rows, while_present(run, rows))
    times = numbers(rows, "t_s")
    during = only(rows, (times >= run.start_s) & (times <= run.end_s))
    return during if len(during) else rows


def _loop_lag(run: RunData) -> HealthCheck:
    """The p99 over all ticks of a process's event loop, nearest rank; the worst process.

    Only late ticks are kept one by one (`loop_late_ms`), beside the count of all (`loop_ticks`). A percentile that
    falls among the others is known to be small, and that is enough.
    """
    limit = run.plan.generator.loop_lag_p99_ms
    ticks, late = _generator(run, "loop_ticks"), _generator(run, "loop_late_ms")
    if not len(ticks) or not _ticked(run, ticks):
        return _unread("event loop lag p99", f"≤ {limit:g} ms")
    spans = [("the whole run", run.start_s, run.end_s)]
    spans += [(p.name, p.start_s, p.end_s) for p in _judged(run) if p.end_s - p.start_s >= _SHORTEST_SPAN_S]
    worst: dict[tuple[str, str], float] = {}
    for worker, part in ticks.groupby("worker", observed=True):
        own = only(late, equals(late, "worker", str(worker)))
        for name, start, end in spans:
            worst[str(worker), name] = _tick_p99(part, own, start, end)
    at = max(worst, key=lambda key: worst[key])
    where = f"worker {at[0]}" + ("" if at[1] == spans[0][0] else f" in {at[1]}")
    text = f"{worst[at]:.1f} ms in {where}" if worst[at] else "below 5 ms"
    advice = f"the event loop was busy: {_MORE_PROCESSES}"
    return HealthCheck("event loop lag p99", worst[at] <= limit, text, f"≤ {limit:g} ms", advice)


def _ticked(run: RunData, ticks: pd.DataFrame) -> bool:
    """Return True when every process has reported its ticks for the time in which it was there."""
    for process in run.record.processes:
        own = only(ticks, equals(ticks, "worker", process.worker))
        if float(numbers(own, "value").sum()) < _FEWEST_TICKS_PER_S * (present_s(run, process) - 2 - len(process.away)):
            return False
    return True


def _tick_p99(ticks: pd.DataFrame, late: pd.DataFrame, start: float, end: float) -> float:
    """Return the p99 of the ticks that were reported within a span, ms; 0 when it falls among those on time."""

    def inside(rows: pd.DataFrame) -> Floats:
        times = numbers(rows, "t_s")
        return numbers(rows, "value")[(times >= start) & (times <= end)]

    count = int(inside(ticks).sum())
    above = count - ceil(count * 99 / 100)
    slow = np.sort(inside(late))[::-1]
    return float(slow[above]) if above < len(slow) else 0.0


def _cpu(run: RunData) -> HealthCheck:
    """Mean CPU of each generator process over each judged phase; the worst of them."""
    limit, advice = run.plan.generator.cpu, f"a generator process was at its limit: {_MORE_PROCESSES}"
    rows = _generator(run, "cpu_cores")
    if not len(rows):
        return _unread("generator CPU", f"≤ {limit:g} cores")
    found: dict[tuple[str, str], float] = {}
    for worker, part in rows.groupby("worker", observed=True):
        times, values = numbers(part, "t_s"), numbers(part, "value")
        for phase in _judged(run):
            inside = values[(times >= phase.start_s) & (times <= phase.end_s)]
            if len(inside):
                found[str(worker), phase.name] = float(inside.mean())
    if not found:
        found = {("any", "the whole run"): float(numbers(rows, "value").mean())}
    worst = max(found, key=lambda key: found[key])
    text = f"{found[worst]:.2f} cores of worker {worst[0]} in {worst[1]}"
    return HealthCheck("generator CPU", found[worst] <= limit * (1 + 1e-9), text, f"≤ {limit:g} cores", advice)


def _judged(run: RunData) -> list[PhaseRecord]:
    """Return the phases that a criterion is about: all of them when one is about the whole run."""
    named = {criterion.phase for criterion in run.plan.criteria}
    return [p for p in run.phases if p.reached and (not named or None in named or p.name in named)]


def _unread(name: str, limit: str) -> HealthCheck:
    advice = (
        "the generator's own readings are missing, so nobody can tell whether it kept up: look for resources-*.arrow"
    )
    return HealthCheck(name, False, "no readings", limit, advice)
