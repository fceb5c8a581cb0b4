"""Metrics of the running test: a real Prometheus scrapes a run, and its own tool checks the page."""

import json
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import quote

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests import services
from tests.execution.harness import ENVIRONMENT, ROOT, certify, command, finished, plan_file

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def page(port: int, accept: str = "text/plain") -> str:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(asked, timeout=5) as response:
        assert response.headers["Content-Type"].startswith(accept)
        return str(response.read().decode())


def value(url: str, query: str) -> float | None:
    with urllib.request.urlopen(f"{url}/api/v1/query?query={quote(query)}", timeout=5) as response:
        found = json.load(response)["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def test_prometheus_sees_the_run_as_it_is(tmp_path: Path) -> None:
    port, plan = services.free_port(), plan_file(tmp_path, phases=[{"name": "only", "rate": 40, "duration": "6s"}])
    promtool = services.binary("promtool")
    with services.prometheus(tmp_path, f"127.0.0.1:{port}") as url:
        run = subprocess.Popen(
            command(plan, tmp_path / "runs", f"--metrics-port={port}"),
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        services.until(lambda: services.accepts(port))
        services.until(lambda: (value(url, "sum(proofload_requests_total)") or 0) > 60)
        assert value(url, 'proofload_phase{phase="only"}') == 1
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page(port), capture_output=True, text=True, check=False
        )
        families = {family.name: family for family in text_string_to_metric_families(page(port, OPEN_METRICS))}
        out, err = run.communicate(timeout=60)
        done = finished(run.returncode, out, err, tmp_path / "runs")
        assert done.code == 0, out + err
        over_all = "max_over_time({}[5m])"
        answered = value(url, over_all.format("proofload_arrivals_answered_total"))
        p99 = value(url, "histogram_quantile(0.99, sum by (le) (max_over_time("
                    "proofload_request_latency_seconds_bucket[5m])))")  # fmt: skip
        users = value(url, over_all.format("proofload_users"))

    assert (checked.returncode, checked.stderr) == (0, "")
    documented = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert [name for name in families if name not in documented] == []
    assert families["proofload_run"].samples[0].labels["plan"] == "TEST"
    assert families["proofload_request_latency_seconds"].type == "histogram"
    # The last scrape is at most a second and a flush before the end of the load, or in the drain after it.
    ok = sum(row["outcome"] == "ok" for row in done.iterations)
    assert answered is not None
    assert 0.5 * ok <= answered <= ok == 240
    assert p99 is not None
    assert 0 < p99 < 2.5
    assert users is not None
    assert users >= 1


def test_without_the_option_there_is_no_port_and_a_taken_one_is_told_before_the_load(tmp_path: Path) -> None:
    plan = plan_file(tmp_path)
    with services.redis(tmp_path) as url:
        taken = url.split(":")[-1].split("/")[0]
        done = certify(plan, f"--metrics-port={taken}")

    assert done.code == 2
    assert f"--metrics-port must be an address that is free, got 127.0.0.1:{taken}" in done.err
    assert not any((tmp_path / "runs").iterdir())
