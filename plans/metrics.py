"""The catalogue of metrics: one name, one unit, one direction, one formula.

Criteria are checked against it before a run, `reports/metrics.py` computes exactly these names (a test holds
the two equal), and the glossaries in `docs/metrics.md` and in every report are generated from it.
"""

from plans.endurance import ENDURANCE
from plans.metric import Better, Kind, Metric
from plans.overload import OVERLOAD

__all__ = ["KNOWN_AT_THE_END", "METRICS", "STATISTICS", "Better", "Kind", "Metric"]

STATISTICS = {
    "mean": "arithmetic mean",
    "p50": "50th percentile, nearest rank",
    "p90": "90th percentile, nearest rank",
    "p95": "95th percentile, nearest rank",
    "p99": "99th percentile, nearest rank",
    "p999": "99.9th percentile, nearest rank",
    "max": "maximum",
}

_FAMILIES: tuple[tuple[str, str, Kind], ...] = (
    ("latency", "done - due, over requests that got a response", Kind.REQUEST),
    ("service", "done - sent, over requests that got a response", Kind.REQUEST),
    ("lag", "sent - due, over all requests that were sent", Kind.REQUEST),
    ("ttft", "first content, reasoning or tool-call event - sent", Kind.LLM),
    ("ttft_due", "first content, reasoning or tool-call event - due", Kind.LLM),
    ("ttfo", "first visible content - sent", Kind.LLM),
    ("icl", "gaps between content events, pooled over requests (inter-chunk latency)", Kind.LLM),
    ("icl_max", "longest gap between content events of a request", Kind.LLM),
    (
        "tpot",
        "(last content event - first) / (output tokens - tokens in the first event); events of a response "
        "are taken to carry equally many tokens; none for one token",
        Kind.LLM,
    ),
    ("norm_tpot", "latency / output tokens", Kind.LLM),
    ("ws_connect", "TCP + TLS + upgrade of a WebSocket connection", Kind.WEBSOCKET),
    ("ws_ping", "pong received - ping sent", Kind.WEBSOCKET),
    ("ws_echo", "echo received - message sent: the whole round trip", Kind.WEBSOCKET),
    (
        "message_latency",
        "received - server's send stamp when clocks are shared, else half of an echoed round trip",
        Kind.WEBSOCKET,
    ),
    ("pool_wait", "wait for a free connection of the database pool; latency has it in it", Kind.SQL),
)

_ADJUSTED = ("p50", "p90", "p95", "p99", "p999")

_DEFECTS = {
    "defect": "with any of the defects below",
    "empty": "without content",
    "truncated": "that broke off, or end by length before the length that was asked for",
    "looping": "that say the same again and again",
    "garbled": "of broken text",
}

_SINGLES: tuple[Metric, ...] = (
    Metric("offered_rps", "rps", Better.NEITHER, "arrivals due in the phase / phase length"),
    Metric(
        "throughput_rps",
        "rps",
        Better.HIGHER,
        "responses received (ok, or failed by content or status) to arrivals due in the phase / phase length",
    ),
    Metric(
        "goodput_rps",
        "rps",
        Better.HIGHER,
        "requests that were ok and inside every per-request limit of the plan / phase length",
    ),
    Metric(
        "throughput_degradation",
        "ratio",
        Better.LOWER,
        "1 - throughput_rps of the phase / the highest throughput_rps of the earlier phases of its kind (open or "
        "closed), 0 when it is no lower",
    ),
    Metric("success_rate", "ratio", Better.HIGHER, "ok / scheduled"),
    Metric("error_rate", "ratio", Better.LOWER, "1 - ok / scheduled"),
    Metric("refused_rate", "ratio", Better.LOWER, "requests refused with status 429 or 503 / scheduled"),
    Metric(
        "availability",
        "ratio",
        Better.HIGHER,
        "share of 1-second windows with arrivals in which at least one request was ok",
    ),
    Metric("scheduled", "count", Better.NEITHER, "arrivals due in the phase"),
    Metric("dropped", "count", Better.LOWER, "arrivals for which no user was free within the plan's limit"),
    Metric(
        "stability_score",
        "ratio",
        Better.HIGHER,
        "share of 10-second windows in which every windowed limit held: throughput >= 95 % of offered, mean "
        "latency and success rate inside the phase's limits",
    ),
    Metric(
        "stable_performance",
        "bool",
        Better.HIGHER,
        "stability_score >= 0.95 and in-flight at the end <= 1.5 x (rate x median latency) + 5",
    ),
    Metric(
        "output_tokens_per_s",
        "tokens/s",
        Better.HIGHER,
        "output tokens of the phase's requests / phase length",
        Kind.LLM,
    ),
    Metric(
        "input_tokens_per_s",
        "tokens/s",
        Better.HIGHER,
        "prompt tokens of the phase's requests / phase length",
        Kind.LLM,
    ),
    Metric(
        "tokens_per_event",
        "ratio",
        Better.NEITHER,
        "output tokens / content events; above 1.2 the tail of inter-token times cannot be measured",
        Kind.LLM,
    ),
    Metric(
        "quality_mean",
        "ratio",
        Better.HIGHER,
        "mean share of a prompt's expectations that its answer met",
        Kind.LLM,
    ),
    Metric(
        "quality_stability",
        "ratio",
        Better.HIGHER,
        "share of whole 30-second windows with graded answers whose mean quality is at or above the plan's limit on "
        "quality_mean there (0.8 without one)",
        Kind.LLM,
    ),
    Metric(
        "consistency_score",
        "ratio",
        Better.HIGHER,
        "mean similarity of the answers to canaries with the unloaded answers to the same: 2 x words in common, in "
        "order / words of both",
        Kind.LLM,
    ),
    *(
        Metric(f"{defect}_rate", "ratio", Better.LOWER, f"answers {what} / answers received", Kind.LLM)
        for defect, what in _DEFECTS.items()
    ),
    Metric(
        "performance_score",
        "ratio",
        Better.HIGHER,
        "0.25 latency + 0.25 throughput + 0.20 stability + 0.15 resources + 0.15 quality: latency, throughput and "
        "resources are 1 when all limits of the plan on them hold and 0.5 when not; stability is stability_score and "
        "quality is quality_mean, the lowest of the phases that the plan limits them in",
        Kind.RUN,
    ),
    Metric(
        "judge_score",
        "ratio",
        Better.HIGHER,
        "mean grade of a sample of the answers by another model, after the run",
        Kind.RUN,
    ),
    Metric(
        "ws_success_rate",
        "ratio",
        Better.HIGHER,
        "WebSocket connections established / attempted",
        Kind.WEBSOCKET,
    ),
    Metric(
        "ws_connections_lost",
        "count",
        Better.LOWER,
        "established WebSocket connections that ended before the run did",
        Kind.WEBSOCKET,
    ),
    Metric(
        "delivery_rate",
        "ratio",
        Better.HIGHER,
        "WebSocket messages received / expected, by the sequence numbers of each connection",
        Kind.WEBSOCKET,
    ),
    Metric(
        "ws_missing",
        "count",
        Better.LOWER,
        "WebSocket messages expected and not received, by the sequence numbers of each connection",
        Kind.WEBSOCKET,
    ),
    Metric("ws_gaps", "count", Better.LOWER, "stretches of sequence numbers that are missing", Kind.WEBSOCKET),
    Metric("ws_duplicates", "count", Better.LOWER, "WebSocket messages whose number had come before", Kind.WEBSOCKET),
    Metric(
        "ws_reordered",
        "count",
        Better.LOWER,
        "WebSocket messages, duplicates aside, that came after one with a higher number",
        Kind.WEBSOCKET,
    ),
    Metric(
        "index_used",
        "bool",
        Better.HIGHER,
        "the query, or every one of the plan, is served without reading a table from begin to end (EXPLAIN, after the "
        "load)",
        Kind.SQL,
    ),
    Metric("cpu_cores_mean", "cores", Better.LOWER, "mean CPU of the target's process tree", Kind.RESOURCE),
    Metric(
        "cpu_cores_max",
        "cores",
        Better.LOWER,
        "highest one-second CPU of the target's process tree",
        Kind.RESOURCE,
    ),
    Metric(
        "memory_max_bytes",
        "bytes",
        Better.LOWER,
        "highest resident memory of the target's process tree",
        Kind.RESOURCE,
    ),
    Metric(
        "memory_over_rest_bytes",
        "bytes",
        Better.LOWER,
        "memory_max_bytes - median resident memory before the load",
        Kind.RESOURCE,
    ),
    Metric("cpu_cores_over_rest", "cores", Better.LOWER, "cpu_cores_mean - median CPU before the load", Kind.RESOURCE),
    Metric(
        "pool_exhausted",
        "bool",
        Better.LOWER,
        "a request failed because a pool or the database had no connection to give, or at more than 5 % of the "
        "readings every connection of the server's pool was lent while an operation waited, or the database had none",
        Kind.RESOURCE,
    ),
    Metric("queue_length_mean", "count", Better.LOWER, "mean of the server's waiting requests", Kind.RESOURCE),
    Metric(
        "queue_length_max", "count", Better.LOWER, "highest reading of the server's waiting requests", Kind.RESOURCE
    ),
    Metric("kv_cache_share_max", "ratio", Better.LOWER, "highest use of the server's KV-cache", Kind.RESOURCE),
    Metric("preemptions", "count", Better.LOWER, "requests that the server put back to make room", Kind.RESOURCE),
    Metric("sessions_max", "count", Better.NEITHER, "highest reading of the server's open sessions", Kind.RESOURCE),
    Metric(
        "memory_per_session_bytes",
        "bytes",
        Better.LOWER,
        "memory_over_rest_bytes / sessions_max: all that the server's memory grew by, shared among its sessions",
        Kind.RESOURCE,
    ),
    Metric(
        "in_flight_difference",
        "count",
        Better.NEITHER,
        "mean of LLM requests sent and not yet done - requests running and waiting in the server, at its readings",
        Kind.RESOURCE,
    ),
    Metric("gpu_utilisation_mean", "ratio", Better.NEITHER, "mean utilisation of this machine's GPUs", Kind.RESOURCE),
    Metric(
        "gpu_memory_max_bytes",
        "bytes",
        Better.LOWER,
        "sum over this machine's GPUs of the highest memory in use",
        Kind.RESOURCE,
    ),
)


def _catalogue() -> dict[str, Metric]:
    metrics = [
        Metric(f"{family}_{statistic}_ms", "ms", Better.LOWER, f"{meaning}: {formula}", kind)
        for family, formula, kind in _FAMILIES
        for statistic, meaning in STATISTICS.items()
    ]
    metrics += [
        Metric(
            f"adj_{statistic}_ms",
            "ms",
            Better.LOWER,
            f"{STATISTICS[statistic]} of latency with failures as +infinity; none when it falls among them",
        )
        for statistic in _ADJUSTED
    ]
    return {metric.name: metric for metric in (*_SINGLES, *OVERLOAD, *ENDURANCE, *metrics)}


METRICS: dict[str, Metric] = _catalogue()

KNOWN_AT_THE_END = frozenset(
    {
        *(metric.name for metric in (*OVERLOAD, *ENDURANCE) if metric.name != "cpu_share_mean"),
        "scheduled",
        "stable_performance",
        "performance_score",
        "judge_score",
        "index_used",
    }
)
"""Metrics that say nothing of a phase that still goes on: counts of all of it, trends over its length, what is looked
at after the load. While a run goes on their criteria wait."""
