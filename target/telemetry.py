"""What the server counts about itself, in Prometheus text at GET /metrics.

Request counts cost a few microseconds each; everything that can be read from the live objects (engine,
connections, faults) is read only when somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .database import PoolUse
from .engine import Engine
from .faults import Faults

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
UNMATCHED = "unmatched"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)


class RouteNames:
    """Maps a path to the template of its route, so that ids in paths do not become label values."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._fixed: set[str] = set()
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for template in templates:
            if "{" not in template:
                self._fixed.add(template)
                continue
            pieces = re.split(r"\{[^}]*\}", template)
            self._patterns.append((re.compile("[^/]+".join(map(re.escape, pieces))), template))

    def of(self, path: str) -> str:
        """The template for `path`, or "unmatched"."""
        if path in self._fixed:
            return path
        for pattern, template in self._patterns:
            if pattern.fullmatch(path):
                return template
        return UNMATCHED


class Telemetry:
    """All counters of one server."""

    def __init__(
        self, engine: Engine, faults: Faults, connections: Callable[[], int], pool: Callable[[], PoolUse]
    ) -> None:
        # The moment a series began is of no use to anyone here and doubles the text.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.websocket_messages = Counter(
            "websocket_messages_sent",
            "Messages sent over WebSocket, by type.",
            ["type"],
            registry=self.registry,
        )
        self.database_seconds = Histogram(
            "database_query_seconds", "Seconds per database operation.", ["operation"], registry=self.registry
        )
        self.in_progress = Gauge("http_requests_in_progress", "HTTP requests being served.", registry=self.registry)
        self._requests = Counter(
            "http_requests", "HTTP requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from the request to the last byte of its response.",
            ["method", "route"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(_Live(engine, faults, connections, pool))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        # labels() checks its arguments each time; the few series that exist are kept by key instead.
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP request; `status` 0 means that the connection ended before a response began."""
        method = method if method in METHODS else "OTHER"
        key = (method, route, status)
        series = self._series.get(key)
        if series is None:
            series = (self._requests.labels(method, route, str(status)), self._seconds.labels(method, route))
            self._series[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def render(self) -> bytes:
        """The whole registry as Prometheus text."""
        return generate_latest(self.registry)


class _Live(Collector):
    """Figures read from the live objects at each scrape."""

    def __init__(
        self, engine: Engine, faults: Faults, connections: Callable[[], int], pool: Callable[[], PoolUse]
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._faults = faults
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """Yield one family per figure."""
        engine, pool = self._engine, self._pool()
        gauges = {
            "engine_requests_running": ("Sequences in the batch.", engine.running),
            "engine_requests_waiting": ("Requests in the queue.", engine.waiting),
            "engine_slots": ("Sequences that fit into the batch.", engine.options.slots),
            "engine_queue_limit": ("Requests that may wait.", engine.options.queue_limit),
            "database_pool_in_use": ("Connections of the database pool that are lent.", pool.in_use),
            "database_pool_size": ("Connections that the database pool may have.", pool.size),
            "database_pool_waiting": ("Operations that wait for a connection.", pool.waiting),
            **self._queues(),
            "websocket_connections": ("Open WebSocket connections.", self._connections()),
        }
        counters = {
            "engine_prompt_tokens": ("Prompt tokens prefilled.", engine.prompt_tokens_total),
            "engine_generation_tokens": ("Tokens generated.", engine.output_tokens_total),
            "engine_steps": ("Decode steps done.", engine.steps_total),
            "engine_requests_rejected": (
                "Requests refused because the queue was full.",
                engine.rejected_total,
            ),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value)
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(name, text, value)
        active = GaugeMetricFamily("faults_active", "Faults that are switched on.", labels=["kind"])
        for fault in self._faults.active():
            active.add_metric([fault.kind], 1)
        yield active

    def _queues(self) -> dict[str, tuple[str, int]]:
        """Gauges of the queues of the faults `capacity` and `lock`; none where they are off."""
        found: dict[str, tuple[str, int]] = {}
        if (station := self._faults.station("capacity")) is not None:
            found["station_requests_running"] = ("Requests that a server works on.", station.busy)
            found["station_requests_waiting"] = ("Requests that wait for a server.", station.waiting)
        if (lock := self._faults.station("lock")) is not None:
            found["lock_requests_waiting"] = ("Requests that wait for the lock.", lock.waiting)
        return found
