"""The catalogue in code: one registered formula per name of `plans.metrics.METRICS`, each of one window.

A formula takes its rows and its length from the same window, and gives None with a reason rather than a 0 that
nobody measured.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from plans.metrics import METRICS, STATISTICS, Kind
from plans.schema import RequestLimits
from reports import (
    connections,
    degradation,
    delivery,
    endurance,
    quality,
    resources,
    score,
    serverside,
    stability,
    stress,
)
from reports.analysis import Measured
from reports.families import FAMILIES, adjusted, measured, tpot_ms
from reports.intervals import Blocks, amount_interval, mean_interval, share_interval
from reports.recovery import recovery
from reports.rows import Mask, Rows, among, equals, numbers, only
from reports.statistics import PERMILLE, Interval, wilson
from reports.windows import Window
from samples.sample import RESPONSES, Defect, Outcome, TokenSource

Formula = Callable[[Window], Measured]

FORMULAS: dict[str, Formula] = {
    "stability_score": stability.stability_score,
    "stable_performance": stability.stable_performance,
    "recovery_s": recovery,
    "quality_mean": quality.quality_mean,
    "quality_stability": quality.quality_stability,
    "consistency_score": quality.consistency_score,
    "defect_rate": quality.defect_rate,
    "judge_score": quality.judge_score,
    "cpu_cores_mean": resources.cpu_mean,
    "cpu_cores_max": resources.cpu_max,
    "memory_max_bytes": resources.memory_max,
    "memory_growth": resources.memory_growth,
    "memory_leak": resources.memory_leak,
    "stable_utilisation": resources.stable_utilisation,
    "memory_over_rest_bytes": resources.memory_over_rest,
    "cpu_cores_over_rest": resources.cpu_over_rest,
    "memory_trend_bytes_per_min": resources.memory_trend,
    "cpu_share_mean": resources.cpu_share,
    "file_leak": endurance.file_leak,
    "thread_leak": endurance.thread_leak,
    "connections_left": endurance.connections_left,
    "latency_drift": endurance.latency_drift,
    "error_drift": endurance.error_drift,
    "latency_p95_throughout_ms": endurance.p95_throughout,
    "connection_leak": connections.connection_leak,
    "pool_exhausted": connections.pool_exhausted,
    "queue_length_mean": serverside.queue_mean,
    "queue_length_max": serverside.queue_max,
    "kv_cache_share_max": serverside.kv_cache_max,
    "preemptions": serverside.preemptions,
    "sessions_max": serverside.sessions_max,
    "memory_per_session_bytes": serverside.memory_per_session,
    "in_flight_difference": serverside.in_flight_difference,
    "gpu_utilisation_mean": serverside.gpu_utilisation,
    "gpu_memory_max_bytes": serverside.gpu_memory,
}
"""Every metric by its catalogue name; a test holds the names equal to the catalogue."""

_OF_PHASES = frozenset(
    {"stability_score", "stable_performance", "recovery_s", "graceful_degradation", "throughput_degradation"}
)
_OF_STEPS = ("degradation_", "breaking_point_")
_RECOVERIES = {"latency_recovery_s": "latency", "error_recovery_s": "errors", "memory_recovery_s": "memory"}
_OF_GROUPS = Measured(None, 0, "is taken over phases, not over a single scenario or request name")


def measure(name: str, window: Window) -> Measured:
    """Return a catalogued metric over a window. Raises KeyError for a name that the catalogue does not have."""
    formula = FORMULAS[name]
    if not window.reached:
        return Measured(None, 0, "the phase was not reached")
    return formula(window)


def measure_all(window: Window) -> dict[str, Measured]:
    """Return every catalogued metric over a window, in the catalogue's order; the window's rows are let go."""
    group = window.scope.scenario is not None or window.scope.name is not None
    found = {name: _OF_GROUPS if group and _phase_only(name) else measure(name, window) for name in METRICS}
    window.release()
    return found


def _phase_only(name: str) -> bool:
    if name in _RECOVERIES or name.startswith(_OF_STEPS):
        return True
    return name in _OF_PHASES or METRICS[name].kind in {Kind.RESOURCE, Kind.RUN}


def _registered(name: str) -> Callable[[Formula], Formula]:
    def register(formula: Formula) -> Formula:
        FORMULAS[name] = formula
        return formula

    return register


def _per_second(window: Window, amount: float, samples: int, interval: Interval | None = None) -> Measured:
    if window.length_s <= 0:
        return Measured(None, samples, "the phase has no length")
    if window.accounting.scheduled == 0:
        return Measured(None, 0, "no arrivals were due")
    ends = None if interval is None else (max(interval[0], 0.0) / window.length_s, interval[1] / window.length_s)
    return Measured(amount / window.length_s, samples, interval=ends)


def _counted_interval(window: Window, hits: Mask, blocks: Blocks) -> Interval | None:
    """Return the interval of how many of the requests are hits: their share is by chance, and closed, their number."""
    if window.closed:
        return amount_interval(hits.astype(np.float64), blocks)
    share = share_interval(hits, blocks)
    return None if share is None else (share[0] * len(hits), share[1] * len(hits))


@_registered("offered_rps")
def _offered(window: Window) -> Measured:
    return _per_second(window, window.accounting.scheduled, window.accounting.scheduled)


@_registered("throughput_rps")
def _throughput(window: Window) -> Measured:
    rows, count = window.requests, len(window.responses)
    return _per_second(window, count, count, _counted_interval(window, among(rows, RESPONSES), window.blocks(rows)))


@_registered("throughput_degradation")
def _throughput_degradation(window: Window) -> Measured:
    return degradation.of_throughput(window, _throughput)


@_registered("goodput_rps")
def _goodput(window: Window) -> Measured:
    rows = window.requests
    good = _good(window, rows)
    return _per_second(window, int(good.sum()), len(rows), _counted_interval(window, good, window.blocks(rows)))


def _good(window: Window, rows: Rows) -> Mask:
    return equals(rows, "outcome", Outcome.OK) & inside_limits(window.run.plan.limits, rows)


def inside_limits(limits: RequestLimits, rows: Rows) -> Mask:
    """Return which rows keep every per-request limit of the plan.

    A time that a request does not have (TTFT of a page, time per token of a single token) breaks no limit.
    """
    due, sent, ttft = numbers(rows, "due_s"), numbers(rows, "sent_s"), numbers(rows, "ttft_s")
    pairs = (
        (limits.latency_ms, (numbers(rows, "done_s") - due) * 1000),
        (limits.service_ms, (numbers(rows, "done_s") - sent) * 1000),
        (limits.ttft_due_ms, (sent + ttft - due) * 1000),
        (limits.ttft_ms, ttft * 1000),
        (limits.tpot_ms, tpot_ms(rows)),
    )
    inside: Mask = np.ones(len(rows), dtype=np.bool_)
    for limit, values in pairs:
        if limit is not None:
            inside &= ~(values > limit * (1 + 1e-9))
    return inside


@_registered("success_rate")
def _success(window: Window) -> Measured:
    accounting = window.accounting
    if accounting.scheduled <= 0:
        return Measured(None, 0, "no arrivals were due")
    ok = accounting.outcomes[Outcome.OK.value]
    rows = window.counted
    interval = share_interval(equals(rows, "outcome", Outcome.OK), window.blocks(rows))
    return Measured(ok / accounting.scheduled, accounting.scheduled, interval=interval)


@_registered("error_rate")
def _errors(window: Window) -> Measured:
    success = _success(window)
    if success.value is None or success.interval is None:
        return success
    low, high = success.interval
    failed = success.samples - window.accounting.outcomes[Outcome.OK.value]
    return Measured(failed / success.samples, success.samples, interval=(1 - high, 1 - low))


@_registered("refused_rate")
def _refused(window: Window) -> Measured:
    scheduled = window.accounting.scheduled
    if scheduled <= 0:
        return Measured(None, 0, "no arrivals were due")
    refused = degradation.refusals(window.requests)
    interval = share_interval(refused, window.blocks(window.requests))
    return Measured(int(refused.sum()) / scheduled, scheduled, interval=interval)


@_registered("availability")
def _availability(window: Window) -> Measured:
    rows = window.requests
    if not len(rows):
        return Measured(None, 0, "no arrivals were due")
    seconds, second = np.unique(np.floor(numbers(rows, "due_s") - window.start_s), return_inverse=True)
    ok = np.bincount(second[equals(rows, "outcome", Outcome.OK)], minlength=len(seconds))
    good = ok > 0
    interval = share_interval(good, window.blocks_at(seconds + window.start_s))
    return Measured(int(good.sum()) / len(seconds), len(seconds), interval=interval)


@_registered("scheduled")
def _scheduled(window: Window) -> Measured:
    return Measured(float(window.accounting.scheduled), window.accounting.scheduled)


@_registered("dropped")
def _dropped(window: Window) -> Measured:
    if window.accounting.scheduled == 0:
        return Measured(None, 0, "no arrivals were due")
    return Measured(float(window.accounting.outcomes[Outcome.DROPPED.value]), window.accounting.scheduled)


def _tokens(window: Window, column: str) -> Measured:
    rows = window.llm
    if not len(rows):
        return Measured(None, 0, "there were no LLM requests")
    tokens = numbers(rows, column)
    counted = int(np.isfinite(tokens).sum())
    if not counted and bool(equals(rows, "outcome", Outcome.OK).any()):
        return Measured(None, 0, f"no answer had a count of {column.replace('_', ' ')}")
    told, blocks = np.nan_to_num(tokens), window.blocks(rows)
    ends = amount_interval(told, blocks) if window.closed else mean_interval(told, blocks)
    if ends is not None and not window.closed:
        ends = (ends[0] * len(rows), ends[1] * len(rows))
    return _per_second(window, float(told.sum()), counted, ends)


@_registered("output_tokens_per_s")
def _output_tokens(window: Window) -> Measured:
    return _tokens(window, "output_tokens")


@_registered("input_tokens_per_s")
def _input_tokens(window: Window) -> Measured:
    return _tokens(window, "prompt_tokens")


@_registered("tokens_per_event")
def _tokens_per_event(window: Window) -> Measured:
    rows = only(window.llm, equals(window.llm, "token_source", TokenSource.USAGE))
    tokens, events = numbers(rows, "output_tokens"), numbers(rows, "events")
    both = np.isfinite(tokens) & (events > 0)
    if not both.any():
        # Counted events are one token each by construction: the quotient would say nothing.
        return Measured(None, 0, "no streamed answer came with the server's token count")
    return Measured(float(tokens[both].sum() / events[both].sum()), int(both.sum()))


@_registered("graceful_degradation")
def _graceful(window: Window) -> Measured:
    return degradation.graceful(window, lambda rows: _good(window, rows))


def _breaking_rps(window: Window) -> Measured:
    return stress.breaking_point(window, measure, closed=False)


def _breaking_users(window: Window) -> Measured:
    return stress.breaking_point(window, measure, closed=True)


def _degrades(pattern: stress.Pattern) -> Formula:
    return lambda window: stress.degrades(window, measure, pattern)


@_registered("performance_score")
def _score(window: Window) -> Measured:
    return score.performance_score(window, measure)


@_registered("index_used")
def _index_used(window: Window) -> Measured:
    scope = window.scope
    told = [query for query in window.run.record.queries if scope.name in (None, query.name)]
    if not told or not len(window.sql):
        return Measured(None, 0, "there were no queries to explain")
    if untold := [query.name for query in told if query.scanned is None]:
        return Measured(None, len(told), f"the database does not say how it serves {', '.join(untold)}")
    return Measured(not any(query.scanned for query in told), len(told))


@_registered("ws_success_rate")
def _ws_success(window: Window) -> Measured:
    count = len(window.connects)
    if not count:
        return Measured(None, 0, "no WebSocket was opened")
    ok = int(equals(window.connects, "outcome", Outcome.OK).sum())
    return Measured(ok / count, count, interval=wilson(ok, count))


@_registered("ws_connections_lost")
def _ws_lost(window: Window) -> Measured:
    count = len(window.connects)
    if not count and not len(window.messages):
        return Measured(None, 0, "no WebSocket was opened")
    lost = int(equals(window.websocket, "name", delivery.LOST).sum())
    return Measured(float(lost), count)


FORMULAS.update(
    {
        "delivery_rate": delivery.delivery_rate,
        "ws_missing": delivery.missing,
        "ws_gaps": delivery.counted(lambda found: found.gaps),
        "ws_duplicates": delivery.counted(lambda found: found.duplicates),
        "ws_reordered": delivery.counted(lambda found: found.reordered),
    }
)
FORMULAS.update({"breaking_point_rps": _breaking_rps, "breaking_point_users": _breaking_users})
FORMULAS.update(
    {f"degradation_{one.value}": _degrades(one) for one in stress.Pattern if one is not stress.Pattern.NONE}
)
FORMULAS.update({name: partial(recovery, aspects=(aspect,)) for name, aspect in _RECOVERIES.items()})
FORMULAS.update({f"{defect.value}_rate": partial(quality.defect_rate, defect=defect) for defect in Defect})
FORMULAS.update(
    {
        f"{family}_{statistic}_ms": partial(measured, family=family, statistic=statistic)
        for family in FAMILIES
        for statistic in STATISTICS
    }
)
FORMULAS.update({f"adj_{statistic}_ms": partial(adjusted, statistic=statistic) for statistic in PERMILLE})
