"""`websocket.json`: a run's WebSocket connections and messages in the form of an evaluation platform."""

import json

from pydantic import JsonValue

from reports.analysis import Analysis, GroupResult
from reports.delivery import LOST
from samples.sample import Outcome

SCHEMA_VERSION = 1


def websocket_json(analysis: Analysis) -> bytes | None:
    """Return the result in UTF-8, times in milliseconds; None when no WebSocket was opened."""
    connects = [group for group in analysis.requests if (group.protocol, group.name) == ("websocket", "connect")]
    if not connects:
        return None
    document: dict[str, JsonValue] = {
        "schema_version": SCHEMA_VERSION,
        "duration": _rounded(analysis.length_s),
        "connections": _connections(analysis, connects),
        "connect": _times(analysis, "ws_connect"),
        "latencies": _times(analysis, "message_latency"),
        "ping": _times(analysis, "ws_ping"),
        "messages": _messages(analysis),
    }
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def _connections(analysis: Analysis, connects: list[GroupResult]) -> JsonValue:
    attempts = sum(group.accounting.scheduled for group in connects)
    established = sum(group.accounting.outcomes[Outcome.OK.value] for group in connects)
    codes: dict[str, JsonValue] = {}
    for error in sorted((e for e in analysis.errors if e.name == LOST), key=lambda e: e.status or 0):
        code = str(error.status) if error.status is not None else "none"
        before = codes.get(code, 0)
        assert isinstance(before, int)
        codes[code] = before + error.count
    return {
        "established": established,
        "failed": attempts - established,
        "success_rate": _value(analysis, "ws_success_rate"),
        "lost": _count(analysis, "ws_connections_lost"),
        "close_codes": codes,
    }


def _messages(analysis: Analysis) -> JsonValue:
    missing = analysis.total.metrics["ws_missing"]
    known = missing.value is not None
    return {
        "sent": missing.samples if known else None,
        "received": missing.samples - int(missing.value or 0) if known else None,
        "delivery_rate": _value(analysis, "delivery_rate"),
        "missing": _count(analysis, "ws_missing"),
        "gaps": _count(analysis, "ws_gaps"),
        "duplicates": _count(analysis, "ws_duplicates"),
        "reordered": _count(analysis, "ws_reordered"),
    }


def _times(analysis: Analysis, family: str) -> JsonValue:
    names = {"avg": "mean", "p95": "p95", "max": "max"}
    return {name: _value(analysis, f"{family}_{statistic}_ms") for name, statistic in names.items()}


def _value(analysis: Analysis, metric: str) -> float | None:
    value = analysis.total.metrics[metric].value
    return None if value is None else _rounded(float(value))


def _count(analysis: Analysis, metric: str) -> int | None:
    value = analysis.total.metrics[metric].value
    return None if value is None else int(value)


def _rounded(value: float) -> float:
    return round(value, 6)
