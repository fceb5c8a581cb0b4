"""Families of times: latency, TTFT and their kin, each with mean, percentiles and maximum of the same rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plans.metrics import STATISTICS
from reports.analysis import Measured
from reports.intervals import Blocks, mean_interval, percentile_intervals
from reports.rows import Rows, equals, numbers, only
from reports.statistics import PERMILLE, Floats, nearest_rank, rank
from reports.windows import Window, counts
from samples.sample import RESPONSES, Outcome

_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Times:
    """The values of a family in milliseconds, and in which stretch of time the requests that they are of were due."""

    values: NDArray[np.float64] | NDArray[np.int32]
    blocks: Blocks
    why: str | None = None
    """Why there are none."""
    unbounded: bool = False
    """True when there are none because nothing answered."""
    scale: float = 1.0
    """What one unit of `values` is in milliseconds."""


def measured(window: Window, family: str, statistic: str) -> Measured:
    """Return one statistic of a family; the family is computed once per window."""
    key = f"family {family}"
    if key not in window.cache:
        window.cache[key] = _summary(FAMILIES[family](window))
    summary = window.cache[key]
    assert isinstance(summary, dict)
    result = summary[statistic]
    assert isinstance(result, Measured)
    return result


def adjusted(window: Window, statistic: str) -> Measured:
    """Return a percentile of latency with every failure as +infinity; None when it falls among the failures."""
    if "adjusted" not in window.cache:
        window.cache["adjusted"] = _adjusted(window)
    summary = window.cache["adjusted"]
    assert isinstance(summary, dict)
    result = summary[statistic]
    assert isinstance(result, Measured)
    return result


def _adjusted(window: Window) -> dict[str, Measured]:
    rows = window.requests
    if not (count := len(rows)):
        return dict.fromkeys(PERMILLE, Measured(None, 0, "no requests were due"))
    ok = equals(rows, "outcome", Outcome.OK)
    values = np.where(ok, (numbers(rows, "done_s") - numbers(rows, "due_s")) * _MS, np.inf)
    ordered = np.sort(values)
    intervals = percentile_intervals(values, ordered, window.blocks(rows))
    summary = {}
    for statistic, permille in PERMILLE.items():
        if rank(count, permille) > int(ok.sum()):
            why = f"{statistic} falls among the {count - int(ok.sum())} failures of {count} requests"
            summary[statistic] = Measured(None, count, why, unbounded=True)
        else:
            summary[statistic] = Measured(nearest_rank(ordered, permille), count, interval=intervals[permille])
    return summary


def _summary(times: Times) -> dict[str, Measured]:
    count = len(times.values)
    if count == 0:
        return dict.fromkeys(STATISTICS, Measured(None, 0, times.why, unbounded=times.unbounded))
    scale = times.scale
    interval = mean_interval(np.asarray(times.values, np.float64) * scale, times.blocks)
    summary = {"mean": Measured(float(times.values.mean(dtype=np.float64)) * scale, count, interval=interval)}
    ordered = np.sort(times.values)
    intervals = percentile_intervals(times.values, ordered, times.blocks)
    for statistic, permille in PERMILLE.items():
        ends = intervals[permille]
        summary[statistic] = Measured(
            nearest_rank(ordered, permille) * scale,
            count,
            interval=None if ends is None else (ends[0] * scale, ends[1] * scale),
        )
    return summary | {"max": Measured(float(ordered[-1]) * scale, count)}


def _times(window: Window, rows: Rows, milliseconds: Floats, why: str | None, unbounded: bool = False) -> Times:
    """Keep the rows that have a value."""
    good, blocks = np.isfinite(milliseconds), window.blocks(rows)
    if good.all():
        return Times(milliseconds, blocks, why, unbounded)
    return Times(milliseconds[good], blocks.only(good), why, unbounded)


def unanswered(rows: Rows, what: str) -> tuple[str | None, bool]:
    """Return (why, unbounded) for rows that must have been answered to have a time.

    When requests were made and none was answered, their times are not unknown: they are beyond every limit.
    """
    if len(rows) == 0:
        return f"there were no {what}s", False
    outcomes = counts(rows)
    if not any(outcomes[outcome.value] for outcome in RESPONSES):
        most = max(outcomes, key=lambda name: outcomes[name])
        return f"none of {len(rows)} {what}s got a response ({outcomes[most]} ended as {most})", True
    return None, False


def _latency(window: Window) -> Times:
    rows = window.responses
    return _times(
        window,
        rows,
        (numbers(rows, "done_s") - numbers(rows, "due_s")) * _MS,
        *unanswered(window.requests, "request"),
    )


def _service(window: Window) -> Times:
    rows = window.responses
    return _times(
        window,
        rows,
        (numbers(rows, "done_s") - numbers(rows, "sent_s")) * _MS,
        *unanswered(window.requests, "request"),
    )


def _lag(window: Window) -> Times:
    rows = window.requests
    return _times(window, rows, (numbers(rows, "sent_s") - numbers(rows, "due_s")) * _MS, "no request was sent")


def _llm(value: Callable[[Rows], Floats], what: str) -> Callable[[Window], Times]:
    """Return the family of a value of LLM requests that some answers do not have."""

    def family(window: Window) -> Times:
        why, unbounded = unanswered(window.llm, "LLM request")
        return _times(window, window.llm, value(window.llm), why or f"no answer had {what}", unbounded)

    return family


def _icl(window: Window) -> Times:
    why, unbounded = unanswered(window.llm, "LLM request")
    gaps = window.run.frames.gaps.of(window.llm)
    blocks = window.blocks(window.llm).repeated(np.diff(gaps.ends))
    return Times(gaps.values, blocks, why or "no answer had two content events", unbounded, scale=0.001)


def tpot_ms(rows: Rows) -> Floats:
    """Return per row (last content event - first) / (output tokens - tokens in the first event); NaN for one token.

    The events of a response are taken to carry equally many tokens, so that the first holds tokens / events.
    """
    tokens, events = numbers(rows, "output_tokens"), numbers(rows, "events")
    # A single event has no gap, and then there is nothing to divide.
    after_first = np.where((tokens > 1) & (events > 1), tokens - tokens / np.maximum(events, 1), np.nan)
    result: Floats = numbers(rows, "icl_sum_us") / _MS / after_first
    return result


def _norm_tpot(rows: Rows) -> Floats:
    tokens = numbers(rows, "output_tokens")
    answered = np.asarray(rows["outcome"].isin([outcome.value for outcome in RESPONSES]))
    latency = (numbers(rows, "done_s") - numbers(rows, "due_s")) * _MS
    result: Floats = latency / np.where((tokens > 0) & answered, tokens, np.nan)
    return result


def _ws_connect(window: Window) -> Times:
    rows = only(window.connects, equals(window.connects, "outcome", Outcome.OK))
    failed = len(window.connects) > 0 and len(rows) == 0
    why = (
        f"none of {len(window.connects)} WebSocket connections was established" if failed else "no WebSocket was opened"
    )
    return _times(window, rows, numbers(rows, "connect_ms"), why, failed)


def _round_trip(name: str, what: str) -> Callable[[Window], Times]:
    """Return the family of what was asked for on a held connection, and answered."""

    def family(window: Window) -> Times:
        rows = only(window.websocket, equals(window.websocket, "name", name))
        answered = only(rows, equals(rows, "outcome", Outcome.OK))
        lost = len(rows) > 0 and len(answered) == 0
        why = f"none of {len(rows)} {what} was answered" if lost else f"there was no {what}"
        return _times(window, answered, (numbers(answered, "done_s") - numbers(answered, "sent_s")) * _MS, why, lost)

    return family


def _message_latency(window: Window) -> Times:
    timed = np.asarray(window.messages["latency_source"].notna(), dtype=np.bool_)
    rows = only(window.messages, timed & equals(window.messages, "outcome", Outcome.OK))
    return _times(
        window,
        rows,
        (numbers(rows, "done_s") - numbers(rows, "due_s")) * _MS,
        "no WebSocket message with a send time was received",
    )


def _pool_wait(window: Window) -> Times:
    return _times(window, window.sql, numbers(window.sql, "pool_wait_ms"), "no query was given a connection")


FAMILIES: dict[str, Callable[[Window], Times]] = {
    "latency": _latency,
    "service": _service,
    "lag": _lag,
    "ttft": _llm(lambda rows: numbers(rows, "ttft_s") * _MS, "a content event"),
    "ttft_due": _llm(
        lambda rows: (numbers(rows, "sent_s") + numbers(rows, "ttft_s") - numbers(rows, "due_s")) * _MS,
        "a content event",
    ),
    "ttfo": _llm(lambda rows: numbers(rows, "ttfo_s") * _MS, "visible content"),
    "icl": _icl,
    "icl_max": _llm(lambda rows: numbers(rows, "icl_max_us") / _MS, "two content events"),
    "tpot": _llm(tpot_ms, "two content events and a token count above 1"),
    "norm_tpot": _llm(_norm_tpot, "a token count"),
    "ws_connect": _ws_connect,
    "ws_ping": _round_trip("ping", "ping"),
    "ws_echo": _round_trip("echo", "echo"),
    "message_latency": _message_latency,
    "pool_wait": _pool_wait,
}
"""Every family by the name that its metrics begin with."""
