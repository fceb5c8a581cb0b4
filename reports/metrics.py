"""The catalogue in code: one registered formula per name of `plans.metrics.METRICS`, each of one window.

A formula takes its rows and its length from the same window, and gives None with a reason rather than a 0 that
nobody measured.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from plans.metrics import METRICS, STATISTICS, Kind
from reports import resources, stability
from reports.analysis import Measured
from reports.families import FAMILIES, adjusted, measured, tpot_ms
from reports.frames import Mask, equals, numbers, only
from reports.statistics import PERMILLE, wilson
from reports.windows import Window
from samples.sample import Outcome, TokenSource

Formula = Callable[[Window], Measured]

FORMULAS: dict[str, Formula] = {
    "stability_score": stability.stability_score,
    "stable_performance": stability.stable_performance,
    "recovery_s": stability.recovery,
    "cpu_cores_mean": resources.cpu_mean,
    "cpu_cores_max": resources.cpu_max,
    "memory_max_bytes": resources.memory_max,
    "memory_growth": resources.memory_growth,
    "memory_leak": resources.memory_leak,
    "stable_utilisation": resources.stable_utilisation,
}
"""Every metric by its catalogue name; a test holds the names equal to the catalogue."""

_OF_PHASES = frozenset({"stability_score", "stable_performance", "recovery_s"})
_OF_GROUPS = Measured(None, 0, "is taken over phases, not over a single scenario or request name")
_SUBSCRIBED = "subscribed"
_LOST = "connection lost"
_SILENT_MESSAGES, _SILENT_S = 10, 5.0
"""A held connection that waits for its next message longer than both, to the end of the window, tells nothing."""


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
    return name in _OF_PHASES or METRICS[name].kind is Kind.RESOURCE


def _registered(name: str) -> Callable[[Formula], Formula]:
    def register(formula: Formula) -> Formula:
        FORMULAS[name] = formula
        return formula

    return register


def _per_second(window: Window, amount: float, samples: int) -> Measured:
    if window.length_s <= 0:
        return Measured(None, samples, "the phase has no length")
    if window.accounting.scheduled == 0:
        return Measured(None, 0, "no arrivals were due")
    return Measured(amount / window.length_s, samples)


@_registered("offered_rps")
def _offered(window: Window) -> Measured:
    return _per_second(window, window.accounting.scheduled, window.accounting.scheduled)


@_registered("throughput_rps")
def _throughput(window: Window) -> Measured:
    return _per_second(window, len(window.responses), len(window.responses))


@_registered("goodput_rps")
def _goodput(window: Window) -> Measured:
    rows = window.requests
    good = int((equals(rows, "outcome", Outcome.OK) & _inside_limits(window, rows)).sum())
    return _per_second(window, good, len(rows))


def _inside_limits(window: Window, rows: pd.DataFrame) -> Mask:
    """Return which rows keep every per-request limit of the plan.

    A time that a request does not have (TTFT of a page, time per token of a single token) breaks no limit.
    """
    limits = window.run.plan.limits
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
    interval = wilson(ok, accounting.scheduled)
    return Measured(ok / accounting.scheduled, accounting.scheduled, interval=interval)


@_registered("error_rate")
def _errors(window: Window) -> Measured:
    success = _success(window)
    if success.value is None or success.interval is None:
        return success
    low, high = success.interval
    failed = success.samples - window.accounting.outcomes[Outcome.OK.value]
    return Measured(failed / success.samples, success.samples, interval=(1 - high, 1 - low))


@_registered("availability")
def _availability(window: Window) -> Measured:
    rows = window.requests
    if not len(rows):
        return Measured(None, 0, "no arrivals were due")
    seconds, second = np.unique(np.floor(numbers(rows, "due_s") - window.start_s), return_inverse=True)
    ok = np.bincount(second[equals(rows, "outcome", Outcome.OK)], minlength=len(seconds))
    good = int((ok > 0).sum())
    return Measured(good / len(seconds), len(seconds), interval=wilson(good, len(seconds)))


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
    return _per_second(window, float(np.nansum(tokens)), counted)


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


@_registered("quality_mean")
def _quality(window: Window) -> Measured:
    quality = numbers(window.requests, "quality")
    graded = quality[np.isfinite(quality)]
    if not len(graded):
        return Measured(None, 0, "no answer was graded")
    half = 1.959963984540054 * float(graded.std(ddof=1)) / len(graded) ** 0.5 if len(graded) > 1 else None
    mean = float(graded.mean())
    return Measured(
        mean, len(graded), interval=None if half is None else (max(mean - half, 0.0), min(mean + half, 1.0))
    )


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
    lost = int(equals(window.websocket, "name", _LOST).sum())
    return Measured(float(lost), count)


@_registered("delivery_rate")
def _delivery(window: Window) -> Measured:
    """Distinct sequence numbers after the base of each connection / the highest - the base.

    The base is the number that the `subscribed` acknowledgement carries; a connection that was subscribed before the
    window begins with the first message in it.
    """
    rows = only(window.messages, np.isfinite(numbers(window.messages, "sequence")))
    if not len(rows):
        return Measured(None, 0, "no WebSocket message with a sequence number was received")
    if silent := _silent(window, rows):
        return Measured(None, len(rows), f"{silent} held connections received nothing any more before the end")
    received = expected = 0
    for _, connection in _connections(rows):
        sequence = numbers(connection, "sequence")
        acknowledged = sequence[equals(connection, "message_type", _SUBSCRIBED)]
        base = acknowledged.min() if len(acknowledged) else sequence.min() - 1
        expected += int(sequence.max() - base)
        received += len(np.unique(sequence[sequence > base]))
    if expected <= 0:
        return Measured(None, 0, "no WebSocket message was expected after the subscriptions")
    return Measured(received / expected, expected, interval=wilson(received, expected))


def _silent(window: Window, rows: pd.DataFrame) -> int:
    """Count the connections that were still held, and on which nothing came any more: what was lost is unknown."""
    options = window.run.plan.mix.WebSocketUser
    longest = max(_SILENT_MESSAGES / options.rate if options else 0.0, _SILENT_S)
    lost = only(window.websocket, equals(window.websocket, "name", _LOST))
    gone = set(zip(lost["worker"], lost["connection"], strict=True))
    last = rows.groupby(["worker", "connection"], observed=True)["done_s"].max()
    return sum(window.end_s - at > longest and key not in gone for key, at in last.items())


def _connections(rows: pd.DataFrame) -> Iterator[tuple[object, pd.DataFrame]]:
    columns = rows[["worker", "connection", "sequence", "message_type"]]
    yield from columns.groupby(["worker", "connection"], observed=True, dropna=False, sort=False)


FORMULAS.update(
    {
        f"{family}_{statistic}_ms": partial(measured, family=family, statistic=statistic)
        for family in FAMILIES
        for statistic in STATISTICS
    }
)
FORMULAS.update({f"adj_{statistic}_ms": partial(adjusted, statistic=statistic) for statistic in PERMILLE})
