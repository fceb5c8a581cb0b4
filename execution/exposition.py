"""Metrics of the running test for Prometheus: on a port of their own, and on the web UI's `/metrics`.

Samples are added up once a second, in the thread that writes them to disk; a scrape reads the sums. The load path does
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

import gevent
from gevent.pywsgi import WSGIServer
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from execution.run import Run
from plans.assessment import TOO_EARLY, Assessment
from plans.exits import Exit
from plans.problems import PlanError, Problem
from samples.live import LONGEST_S, WINDOW_S
from samples.totals import BUCKETS_S, Histogram, Totals

PATH = "/metrics"
_VERDICTS = {Exit.PASS: "PASS", Exit.FAIL: "FAIL", Exit.INVALID: "INVALID"}
_REQUEST = ["scenario", "name"]
_STATES = ("pass", "fail", "warn", "no_data", TOO_EARLY)
_READINGS = {
    ("generator", "cpu_cores"): ("proofload_generator_cpu_cores", "CPU of a process that makes load.", 1.0),
    ("generator", "rss_bytes"): ("proofload_generator_memory_bytes", "Memory of a process that makes load.", 1.0),
    ("generator", "loop_lag_p99_ms"): (
        "proofload_generator_loop_lag_seconds", "How late an event loop woke up: p99 of a second.", 0.001,
    ),
    ("target", "cpu_cores"): ("proofload_target_cpu_cores", "CPU of the server under test.", 1.0),
    ("target", "rss_bytes"): ("proofload_target_memory_bytes", "Memory of the server under test.", 1.0),
}  # fmt: skip
_BOUNDS = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]


class Exposition(Collector):
    """The figures of the run under way, or of the last one, read from the live objects at each scrape."""

    def __init__(self) -> None:
        self.watched: Run | None = None
        """The run under way, and after its end that one until the next begins."""
        self.verdict: int | None = None
        """Exit code of the last run that has ended."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics for those who ask for it."""
        if self.watched is not None:
            self.watched.assessing.look()
        encode, content_type = choose_encoder(accept)
        # In a thread: of many requests the page is long, and the event loop has a load to make.
        return gevent.get_hub().threadpool.apply(encode, (self._registry,)), content_type

    def collect(self) -> Iterator[Metric]:
        """Yield one family per figure."""
        verdict = GaugeMetricFamily("proofload_last_verdict", "1 for the verdict of the last run.", labels=["verdict"])
        for code, name in _VERDICTS.items():
            verdict.add_metric([name], float(self.verdict == code))
        yield verdict
        if (watched := self.watched) is not None:
            yield from _run(watched)
            yield from _windows(watched)
            yield from _requests(watched.totals)
            if (judged := watched.assessing.latest) is not None:
                yield from _judged(judged)


def _run(run: Run) -> Iterable[Metric]:
    plan, traffic, place = run.session.plan, run.load, run.progress.place()
    yield InfoMetricFamily(
        "proofload_run", "The run that the figures are about.", {"run": run.folder.name, "plan": plan.id}
    )
    phase = GaugeMetricFamily("proofload_phase", "1 for the phase under way.", labels=["phase"])
    for planned in plan.phases:
        phase.add_metric([planned.name], float(planned.name == place.phase))
    yield phase
    gauges = {
        "proofload_in_flight": ("Arrivals that a user has taken and not finished.", traffic.in_flight),
        "proofload_waiting": ("Arrivals that are due and wait for a free user.", traffic.waiting),
        "proofload_users": ("Users.", traffic.users),
        "proofload_phase_left_seconds": ("Until the end of the phase under way.", place.phase_left_s),
        "proofload_run_left_seconds": ("Until the last arrival may come due.", place.left_s),
    }
    counters = {
        "proofload_arrivals_offered": ("Arrivals and iterations that have come due.", traffic.offered),
        "proofload_arrivals_answered": ("Arrivals and iterations that got a response.", run.totals.answered),
        "proofload_arrivals_dropped": ("Arrivals for which no user was free.", run.totals.dropped),
    }
    for name, (text, value) in gauges.items():
        yield GaugeMetricFamily(name, text, value)
    for name, (text, value) in counters.items():
        yield CounterMetricFamily(name, text, value)


def _windows(run: Run) -> Iterable[Metric]:
    """Yield exact percentiles of the last seconds: a histogram's are within the width of a bucket."""
    latency = GaugeMetricFamily(
        "proofload_window_latency_seconds",
        "From the due time to the end, of arrivals that got a response in the last seconds.",
        labels=["window", "percentile"],
    )
    lag = GaugeMetricFamily(
        "proofload_window_start_lag_seconds",
        "From the due time to the begin, of arrivals that ended in the last seconds: the 99th percentile.",
        labels=["window"],
    )
    for length in (WINDOW_S, LONGEST_S):
        name, window = f"{length:g}s", run.tallies.window(length)
        shown = {"p50": window.p50_ms, "p95": window.p95_ms, "p99": window.p99_ms, "max": window.max_ms}
        for percentile, value in shown.items():
            if value is not None:
                latency.add_metric([name, percentile], value / 1000)
        if window.lag_p99_ms is not None:
            lag.add_metric([name], window.lag_p99_ms / 1000)
    yield from (latency, lag)


def _judged(judged: Assessment) -> Iterable[Metric]:
    """Yield the limits of the plan, the generator's health and the newest readings, as they were last looked at."""
    labels = ["criterion", "metric", "where"]
    state = GaugeMetricFamily("proofload_criterion_state", "1 for the state of a limit.", labels=[*labels, "state"])
    value = GaugeMetricFamily("proofload_criterion_value", "What was measured so far.", labels=labels)
    limit = GaugeMetricFamily("proofload_criterion_limit", "The limit that it is held against.", labels=labels)
    for one in judged.criteria:
        about = [str(one.index), one.metric, one.where]
        for name in _STATES:
            state.add_metric([*about, name], float(one.state == name))
        limit.add_metric(about, float(one.limit_value))
        if one.value is not None:
            value.add_metric(about, float(one.value))
    healthy = GaugeMetricFamily("proofload_generator_healthy", "1 while the check holds.", labels=["check"])
    for check in judged.health:
        healthy.add_metric([check.name], float(check.passed))
    yield from (state, value, limit, healthy)
    for (source, metric), (name, text, scale) in _READINGS.items():
        family = GaugeMetricFamily(name, text, labels=["worker"])
        for reading in judged.resources:
            if (reading.source, reading.metric) == (source, metric):
                family.add_metric([reading.worker], reading.value * scale)
        yield family


def _requests(totals: Totals) -> Iterable[Metric]:
    requests = CounterMetricFamily("proofload_requests", "Requests that have ended.", labels=[*_REQUEST, "outcome"])
    for key, count in totals.outcomes.copy().items():
        requests.add_metric(key, count)
    yield requests
    latency = "From the due time to the end, of requests that got a response."
    messages = "From the server's send stamp to the receipt of WebSocket messages."
    lag = "From the due time to the begin, of requests that found a free user."
    yield _histograms("proofload_request_latency_seconds", latency, _REQUEST, totals.latency.copy())
    yield _histograms("proofload_message_latency_seconds", messages, _REQUEST, totals.messages.copy())
    yield _histograms("proofload_start_lag_seconds", lag, [], {(): totals.lag})


def _histograms(
    name: str, text: str, labels: list[str], series: dict[tuple[str, str], Histogram] | dict[tuple[()], Histogram]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in series.items():
        counted = accumulate(histogram.counts.tolist())
        family.add_metric(list(values), list(zip(_BOUNDS, counted, strict=True)), histogram.sum_s)
    return family


def serve(exposition: Exposition, host: str, port: int) -> WSGIServer:
    """Serve the page until the process ends. Raises PlanError when the address cannot be had."""

    def answer(request: dict[str, str], start_response: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
        if request["PATH_INFO"] != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"the metrics are under {PATH}\n".encode()]
        body, content_type = exposition.page(request.get("HTTP_ACCEPT", ""))
        start_response("200 OK", [("Content-Type", content_type)])
        return [body]

    server = WSGIServer((host, port), answer, log=None)
    try:
        server.start()
    except OSError as error:
        message = f"must be an address that is free, got {host}:{port} ({error.strerror or error})"
        raise PlanError([Problem("command line", "--metrics-port", message)]) from None
    return server
