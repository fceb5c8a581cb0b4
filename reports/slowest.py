"""The slowest requests of a run, one by one."""

import math

import numpy as np

from reports.analysis import SlowRequest
from reports.rows import among, equals, numbers, only
from reports.windows import RunData
from samples.sample import Outcome, Protocol

MOST = 25
_NOT_ENDED = (Outcome.DROPPED, Outcome.CUT)


def slowest(run: RunData) -> list[SlowRequest]:
    """Return the requests with the longest latency, failed ones too; dropped and cut ones did not come to an end."""
    samples = run.frames.samples
    ended = ~among(samples, _NOT_ENDED) & ~equals(samples, "protocol", Protocol.WEBSOCKET)
    latency = np.where(ended, numbers(samples, "done_s") - numbers(samples, "due_s"), -np.inf)
    count = min(MOST, int(ended.sum()))
    places = np.argpartition(latency, len(latency) - count)[len(latency) - count :] if count else np.zeros(0, np.int64)
    chosen = np.zeros(len(samples), dtype=np.bool_)
    chosen[places] = True
    rows = only(samples, chosen)
    order = np.argsort(-latency[chosen], kind="stable")
    due, lag = numbers(rows, "due_s"), (numbers(rows, "sent_s") - numbers(rows, "due_s")) * 1000
    ttft, status = numbers(rows, "ttft_s") * 1000, numbers(rows, "status")
    words = {name: [str(text) for text in rows[name]] for name in ("phase", "scenario", "name", "outcome", "worker")}
    return [
        SlowRequest(
            due_s=float(due[i]),
            latency_ms=float(latency[chosen][i] * 1000),
            lag_ms=_known(lag[i]),
            ttft_ms=_known(ttft[i]),
            status=None if math.isnan(status[i]) else int(status[i]),
            **{name: texts[i] for name, texts in words.items()},
        )
        for i in order.tolist()
    ]


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
