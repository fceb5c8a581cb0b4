"""Which figures the tables of the page show, in which order and under which heads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reports.analysis import Measured


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Neighbouring columns under one head: (short label, metric)."""

    head: str
    columns: tuple[tuple[str, str], ...]


def _statistics(head: str, family: str, *statistics: str) -> ColumnGroup:
    return ColumnGroup(head, tuple((s.replace("p999", "p99.9"), f"{family}_{s}_ms") for s in statistics))


_LLM_COLUMNS = (
    _statistics("First token (due)", "ttft_due", "p50", "p95", "p99"),
    _statistics("Between chunks", "icl", "p50", "p95", "p99"),
    _statistics("Per output token", "tpot", "p50", "p95"),
    ColumnGroup("Tokens", (("output", "output_tokens_per_s"), ("input", "input_tokens_per_s"))),
    ColumnGroup(
        "Answers",
        (
            ("quality", "quality_mean"),
            ("steady", "quality_stability"),
            ("consistent", "consistency_score"),
            ("defects", "defect_rate"),
            ("tokens/chunk", "tokens_per_event"),
        ),
    ),
)

PHASE_TABLES: tuple[tuple[str, tuple[ColumnGroup, ...]], ...] = (
    (
        "Rate, success and latency",
        (
            ColumnGroup(
                "Rate", (("offered", "offered_rps"), ("throughput", "throughput_rps"), ("goodput", "goodput_rps"))
            ),
            ColumnGroup(
                "Share", (("success", "success_rate"), ("available", "availability"), ("stable", "stability_score"))
            ),
            _statistics("Latency (done − due)", "latency", "mean", "p50", "p90", "p95", "p99", "p999", "max"),
            _statistics("Start lag", "lag", "p99"),
        ),
    ),
    ("Language model", _LLM_COLUMNS),
    (
        "WebSocket",
        (
            _statistics("Connect", "ws_connect", "p50", "p95"),
            _statistics("Message latency", "message_latency", "p50", "p95", "p99", "max"),
            _statistics("Ping", "ws_ping", "p95"),
            _statistics("Echo", "ws_echo", "p95"),
            ColumnGroup("Share", (("connected", "ws_success_rate"), ("delivered", "delivery_rate"))),
            ColumnGroup(
                "Count",
                (
                    ("lost connections", "ws_connections_lost"),
                    ("missing", "ws_missing"),
                    ("gaps", "ws_gaps"),
                    ("duplicates", "ws_duplicates"),
                    ("reordered", "ws_reordered"),
                ),
            ),
        ),
    ),
    ("Database", (_statistics("Wait for a connection", "pool_wait", "mean", "p50", "p95", "p99", "max"),)),
    (
        "Server",
        (
            ColumnGroup("Queue", (("mean", "queue_length_mean"), ("max", "queue_length_max"))),
            ColumnGroup("KV-cache", (("max", "kv_cache_share_max"), ("preempted", "preemptions"))),
            ColumnGroup("In flight", (("ours − its", "in_flight_difference"),)),
            ColumnGroup("Sessions", (("max", "sessions_max"), ("memory each", "memory_per_session_bytes"))),
            ColumnGroup("GPU", (("utilisation", "gpu_utilisation_mean"), ("memory", "gpu_memory_max_bytes"))),
        ),
    ),
    (
        "Target and stability",
        (
            ColumnGroup(
                "CPU", (("mean", "cpu_cores_mean"), ("max", "cpu_cores_max"), ("over rest", "cpu_cores_over_rest"))
            ),
            ColumnGroup(
                "Memory",
                (
                    ("max", "memory_max_bytes"),
                    ("over rest", "memory_over_rest_bytes"),
                    ("growth", "memory_growth"),
                    ("leak", "memory_leak"),
                ),
            ),
            ColumnGroup(
                "Behaviour",
                (
                    ("stable use", "stable_utilisation"),
                    ("stable", "stable_performance"),
                    ("recovery", "recovery_s"),
                    ("graceful", "graceful_degradation"),
                ),
            ),
        ),
    ),
)

GROUP_COLUMNS: tuple[ColumnGroup, ...] = (
    ColumnGroup("Rate", (("throughput", "throughput_rps"),)),
    _statistics("Latency (done − due)", "latency", "mean", "p50", "p95", "p99", "max"),
    _statistics("First token (due)", "ttft_due", "p50", "p95"),
    _statistics("Between chunks", "icl", "p95"),
    _statistics("Messages", "message_latency", "p95"),
    _statistics("Pool wait", "pool_wait", "p95"),
)

HEADLINES: tuple[tuple[str, str, bool], ...] = (
    ("Throughput", "throughput_rps", True),
    ("Offered", "offered_rps", False),
    ("Success", "success_rate", True),
    ("Latency p50", "latency_p50_ms", True),
    ("Latency p95", "latency_p95_ms", True),
    ("Latency p99", "latency_p99_ms", True),
    ("First token p95", "ttft_due_p95_ms", False),
    ("Output tokens", "output_tokens_per_s", False),
    ("Message p95", "message_latency_p95_ms", False),
)
"""(label, metric, shown even when missing) of the figures under the verdict, over the whole run."""


def columns_with_values(
    groups: Iterable[ColumnGroup], rows: Iterable[Mapping[str, Measured]]
) -> tuple[ColumnGroup, ...]:
    """Return the groups without the columns that are missing in every row."""
    found = {name for row in rows for name, measured in row.items() if measured.value is not None}
    kept = (ColumnGroup(g.head, tuple(c for c in g.columns if c[1] in found)) for g in groups)
    return tuple(group for group in kept if group.columns)


def label_of(metric: str) -> str:
    """Return a metric's name in words: `latency p95`, `success rate`."""
    return metric.removesuffix("_ms").removesuffix("_rps").removesuffix("_bytes").replace("_", " ")
