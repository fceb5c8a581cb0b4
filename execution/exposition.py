"""Metrics of the running test for Prometheus: on a port of their own, and on the web UI's `/metrics`.

Samples are added up once a second, in the thread that writes them to disk; a scrape reads the sums. The load path does
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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

from execution.load import Traffic
from plans.exits import Exit
from plans.problems import PlanError, Problem
from samples.totals import BUCKETS_S, Histogram, Totals
from scenarios.session import Session

PATH = "/metrics"
_VERDICTS = {Exit.PASS: "PASS", Exit.FAIL: "FAIL", Exit.INVALID: "INVALID"}
_REQUEST = ["scenario", "name"]
_BOUNDS = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]


@dataclass(frozen=True, slots=True)
class Watched:
    """What a run shows of itself while it goes on, and after it until the next one begins."""

    run: str
    session: Session
    totals: Totals
    traffic: Traffic


class Exposition(Collector):
    """The figures of the run under way, or of the last one, read from the live objects at each scrape."""

    def __init__(self) -> None:
        self.watched: Watched | None = None
        self.verdict: int | None = None
        """Exit code of the last run that has ended."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics for those who ask for it."""
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
            yield from _requests(watched.totals)


def _run(watched: Watched) -> Iterable[Metric]:
    session, traffic, now = watched.session, watched.traffic, watched.session.clock()
    yield InfoMetricFamily(
        "proofload_run", "The run that the figures are about.", {"run": watched.run, "plan": session.plan.id}
    )
    phase = GaugeMetricFamily("proofload_phase", "1 for the phase under way.", labels=["phase"])
    start = 0.0
    for planned in session.plan.phases:
        under_way = start <= now < start + planned.duration and not session.stopping.is_set()
        phase.add_metric([planned.name], float(under_way))
        start += planned.duration
    yield phase
    gauges = {
        "proofload_in_flight": ("Arrivals that a user has taken and not finished.", traffic.in_flight),
        "proofload_waiting": ("Arrivals that are due and wait for a free user.", traffic.waiting),
        "proofload_users": ("Users.", traffic.users),
    }
    counters = {
        "proofload_arrivals_offered": ("Arrivals and iterations that have come due.", traffic.offered),
        "proofload_arrivals_answered": ("Arrivals and iterations that got a response.", watched.totals.answered),
        "proofload_arrivals_dropped": ("Arrivals for which no user was free.", watched.totals.dropped),
    }
    for name, (text, value) in gauges.items():
        yield GaugeMetricFamily(name, text, value)
    for name, (text, value) in counters.items():
        yield CounterMetricFamily(name, text, value)


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
