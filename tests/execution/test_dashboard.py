"""The Grafana dashboard and the alerts: well-formed, and every query finds data of a run in a real Prometheus."""

import json
import re
import signal
import subprocess
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests import services
from tests.execution.harness import ENVIRONMENT, ROOT, command, plan_file
from tests.target.process import Target

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "proofload.json"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
ALERTS = ROOT / "tests" / "execution" / "alerts.yml"


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


def series(url: str, query: str) -> list[dict[str, Any]]:
    asked = urlencode({"query": query.replace("$__rate_interval", "20s")})
    with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=10) as response:
        found: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return [one for one in found if one["value"][1] != "NaN"]


def test_the_dashboard_is_well_formed() -> None:
    everything = dashboard()["panels"]
    assert dashboard()["uid"] == "proofload"
    assert [one["type"] for one in dashboard()["templating"]["list"]] == ["datasource"]
    assert [number for number, count in Counter(panel["id"] for panel in everything).items() if count > 1] == []
    for panel in panels():
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        wants_unit = panel["type"] != "table" and panel["options"].get("textMode") not in {"name", "value_and_name"}
        assert not wants_unit or panel["fieldConfig"]["defaults"].get("unit"), panel["title"]
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_are_documented() -> None:
    documented = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"proofload_[a-z_0-9]+", DASHBOARD.read_text() + RULES.read_text()))
    assert len(asked) > 20
    assert [name for name in sorted(asked) if name.removesuffix("_bucket") not in documented] == []


def test_promtool_accepts_the_alerts_and_they_fire_on_what_they_are_about() -> None:
    promtool = services.binary("promtool")
    for arguments in (["check", "rules", RULES], ["test", "rules", ALERTS]):
        done = subprocess.run([promtool, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert alerts == set(re.findall(r"alertname: (\w+)", ALERTS.read_text()))
    documented = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    assert [alert for alert in alerts if alert not in documented] == []


def test_every_query_of_the_dashboard_finds_data_while_a_run_goes_on(tmp_path: Path) -> None:
    port = services.free_port()
    platform = Target("--port", "0")
    with services.prometheus(tmp_path, f"127.0.0.1:{port}", f"{platform.host}:{platform.port}") as url:
        plan = plan_file(
            tmp_path,
            mix={"EvaluationRunUser": {}, "WebSocketUser": {"connections": 2}},
            target={"host": platform.url},
            phases=[{"name": "only", "rate": 20, "duration": "5m"}],
            criteria=[
                {"metric": "success_rate", "at_least": 0.5},
                {"metric": "latency_p95_ms", "phase": "only", "below": 0.001},
            ],
        )
        run = subprocess.Popen(
            command(plan, tmp_path / "runs", f"--metrics-port={port}"),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            missing = dict.fromkeys(queries())

            def nothing_is_missing() -> bool:
                for title, query in list(missing):
                    if series(url, query):
                        del missing[title, query]
                return not missing

            services.until(lambda: nothing_is_missing() or run.poll() is not None, patience_s=90)
            assert list(missing) == []
            (broken,) = series(url, 'proofload_criterion_state{state="fail"} == 1')
            assert (broken["metric"]["metric"], broken["metric"]["where"]) == ("latency_p95_ms", "in only")
            held = series(url, 'proofload_criterion_value{metric="success_rate"} >= 0.99')
            assert held[0]["metric"]["where"] == "over the whole run"
            (left,) = series(url, "proofload_run_left_seconds")
            assert 0 < float(left["value"][1]) < 300
            exact = {one["metric"]["percentile"]: float(one["value"][1])
                     for one in series(url, 'proofload_window_latency_seconds{window="30s"}')}  # fmt: skip
            assert 0 < exact["p50"] <= exact["p95"] <= exact["p99"] <= exact["max"]
        finally:
            run.send_signal(signal.SIGTERM)
            run.wait(60)
            platform.stop()
