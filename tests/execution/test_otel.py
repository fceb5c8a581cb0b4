"""OpenTelemetry by option: what Locust exports of a run, received by a small server of OTLP over HTTP."""

import gzip
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.execution.harness import certify, plan_file

INSTALLED = find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None
needs_sdk = pytest.mark.skipif(not INSTALLED, reason="the OpenTelemetry SDK is not installed: make otel")


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Yield the URL of a receiver, and the list of what it was sent: paths and bodies."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            received.append((self.path, gzip.decompress(body) if packed else body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def durations(bodies: list[bytes]) -> dict[tuple[str, bool], int]:
    """Return how many requests the last export tells of, by name and whether they failed."""
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2  # noqa: PLC0415

    found: dict[tuple[str, bool], int] = {}
    for body in bodies:
        sent = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        metrics = [m for one in sent.resource_metrics for scope in one.scope_metrics for m in scope.metrics]
        for point in [p for m in metrics if m.name == "locust.client.duration" for p in m.histogram.data_points]:
            attributes = {attribute.key: attribute.value.string_value for attribute in point.attributes}
            found[attributes["name"], "error.type" in attributes] = point.count
    return found


@needs_sdk
def test_every_request_is_exported_with_its_outcome(tmp_path: Path) -> None:
    plan = plan_file(
        tmp_path,
        criteria=[{"metric": "success_rate", "at_least": 0.1}],
        faults=[{"at": "1s", "kind": "errors", "params": {"rate": 0.3}}],
    )
    with receiver() as (url, received):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
        done = certify(plan, "--otel", environment=settings)

    assert done.code == 0, done.out + done.err
    recorded = Counter((row["name"], row["outcome"] != "ok") for row in done.samples)
    assert {failed for _, failed in recorded} == {True, False}
    assert durations([body for path, body in received if path == "/v1/metrics"]) == recorded


@needs_sdk
def test_a_receiver_that_is_away_changes_neither_the_run_nor_its_verdict(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = certify(plan_file(tmp_path), "--otel", environment=settings)

    assert done.code == 0, done.out + done.err
    assert len(done.iterations) == 60


def test_without_the_sdk_the_option_is_refused_before_the_load(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()  # a package of this name that has no SDK in it comes first
    runs = tmp_path / "runs"
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", "locustfile.py", "--headless", "--otel", f"--runs={runs}"],
        capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PYTHONPATH": str(hidden.parent)},
    )  # fmt: skip

    assert done.returncode == 2, done.stderr
    assert "--otel needs the OpenTelemetry SDK, which is not installed: make otel" in done.stderr
    assert not any(runs.iterdir())
