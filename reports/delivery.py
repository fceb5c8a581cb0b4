"""Delivery: which of a WebSocket server's numbered messages came, how often, and in which order.

A connection begins after the number that the `subscribed` acknowledgement carries. In a later phase it begins after
the highest number that was received before, so that nothing is lost between two phases; the order of reception and
what came once already are known across them, too. Terms are those of RFC 4737 (reordering) and RFC 5560 (duplication).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.analysis import Measured
from reports.rows import Rows, equals, numbers, only
from reports.statistics import wilson
from reports.windows import Scope, Window
from reports.workers import absences

LOST = "connection lost"
_SUBSCRIBED = "subscribed"
_ACKNOWLEDGEMENTS = (_SUBSCRIBED, "unsubscribed")
"""They carry a number that a message has."""
_SILENT_MESSAGES, _SILENT_S = 10, 5.0
"""A held connection that waits for its next message longer than both, to the end of the window, tells nothing."""
_KEY = ["worker", "connection"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Counts over the connections of a window; `why` when there is nothing to count."""

    expected: int = 0
    received: int = 0
    gaps: int = 0
    """Stretches of numbers that are missing."""
    duplicates: int = 0
    reordered: int = 0
    why: str | None = None
    unknown: str | None = None
    """Why it cannot be told how many were expected."""


def delivery_rate(window: Window) -> Measured:
    """Return received / expected: distinct numbers of each connection / the highest - where it began."""
    found = _delivery(window)
    why = found.why or found.unknown
    if why is not None:
        return Measured(None, found.received, why)
    if found.expected == 0:
        return Measured(None, 0, "no WebSocket message was expected after the subscriptions")
    return Measured(found.received / found.expected, found.expected, interval=wilson(found.received, found.expected))


def missing(window: Window) -> Measured:
    """Return how many numbers were not received."""
    found = _delivery(window)
    if why := found.why or found.unknown:
        return Measured(None, found.received, why)
    return Measured(float(found.expected - found.received), found.expected)


def counted(count: Callable[[Delivery], int]) -> Callable[[Window], Measured]:
    """Return the metric of a count of what was seen."""

    def measure(window: Window) -> Measured:
        found = _delivery(window)
        return Measured(None, 0, found.why) if found.why else Measured(float(count(found)), found.received)

    return measure


def _delivery(window: Window) -> Delivery:
    if "delivery" not in window.cache:
        window.cache["delivery"] = _count(window)
    found = window.cache["delivery"]
    assert isinstance(found, Delivery)
    return found


def _count(window: Window) -> Delivery:
    if window.scope.name is not None:
        return Delivery(why="sequence numbers count over all messages of a connection, not over one name")
    rows = _numbered(window.messages)
    if rows.empty:
        return Delivery(why="no WebSocket message with a sequence number was received")
    before = _before(window)
    begins = _begins(rows, before)
    messages = pd.concat([before.assign(is_now=False), rows.assign(is_now=True)], ignore_index=True)
    messages = messages[~messages["is_acknowledgement"]].sort_values("done_s", kind="stable")
    is_copy = messages.duplicated([*_KEY, "sequence"])
    first = messages[~is_copy]
    is_late = first["sequence"] < first.groupby(_KEY)["sequence"].cummax()
    found = first[first["is_now"]].merge(begins.rename("begin").reset_index(), on=_KEY)
    found = found[found["sequence"] > found["begin"]].sort_values([*_KEY, "sequence"])
    steps = found["sequence"] - found.groupby(_KEY)["sequence"].shift().fillna(found["begin"])
    silent = _silent(window, rows)
    return Delivery(
        expected=int(steps.sum()),
        received=len(found),
        gaps=int((steps > 1).sum()),
        duplicates=int((is_copy & messages["is_now"]).sum()),
        reordered=int((is_late & first["is_now"]).sum()),
        unknown=f"{silent} held connections received nothing any more before the end" if silent else None,
    )


def _numbered(messages: Rows) -> pd.DataFrame:
    rows = only(messages, np.isfinite(numbers(messages, "sequence")))
    return pd.DataFrame(
        {
            "worker": rows["worker"].astype(str),
            "connection": numbers(rows, "connection"),
            "sequence": numbers(rows, "sequence"),
            "done_s": numbers(rows, "done_s"),
            "is_acknowledgement": rows["message_type"].isin(_ACKNOWLEDGEMENTS),
            "is_subscribed": equals(rows, "message_type", _SUBSCRIBED),
        }
    )


def _before(window: Window) -> pd.DataFrame:
    """Return the numbered messages of the phases before this one."""
    messages = window.run.window(Scope(scenario=window.scope.scenario)).messages
    phases = [phase.name for phase in window.run.phases if phase.start_s < window.start_s]
    return _numbered(only(messages, np.asarray(messages["phase"].isin(phases), dtype=np.bool_)))


def _begins(rows: pd.DataFrame, before: pd.DataFrame) -> "pd.Series[float]":
    """Return the number after which each connection begins."""
    highest = before.groupby(_KEY)["sequence"].max()
    acknowledged = rows[rows["is_subscribed"]].groupby(_KEY)["sequence"].min()
    first = rows.groupby(_KEY)["sequence"].min() - 1
    return highest.combine_first(acknowledged).combine_first(first)


def _silent(window: Window, rows: pd.DataFrame) -> int:
    """Count the connections that were still held, and on which nothing came any more: what was lost is unknown."""
    options = window.run.plan.mix.WebSocketUser
    longest = max(_SILENT_MESSAGES / options.rate if options else 0.0, _SILENT_S)
    lost = only(window.websocket, equals(window.websocket, "name", LOST))
    ends = {"worker": lost["worker"].astype(str), "connection": lost["connection"], "done_s": lost["done_s"]}
    gone = pd.DataFrame(ends).groupby(_KEY)["done_s"].max()
    last = rows.groupby(_KEY)["done_s"].max()
    is_silent = (_held_until(window, last) - last > longest) & ~(gone.reindex(last.index) >= last)
    return int(is_silent.sum())


def _held_until(window: Window, last: "pd.Series[float]") -> "pd.Series[float]":
    """Return how long each connection was held, by its last message: one ends with its worker, lost or told to end."""
    spans = {p.worker: [span for span in absences(p) if span[0] > -math.inf] for p in window.run.record.processes}
    ends = [
        min((start for start, end in spans.get(worker, []) if end > moment), default=math.inf)
        for (worker, _), moment in zip(last.index, last, strict=True)
    ]
    return pd.Series(np.minimum(ends, window.end_s), index=last.index)
