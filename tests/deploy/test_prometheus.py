"""What Prometheus and Grafana are given is what they can use, by Prometheus' own tool."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not here")


def _promtool(*words: str) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    assert "SUCCESS" in _promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    for rules in PROMETHEUS.glob("rules*.yml"):
        assert "SUCCESS" in _promtool("check", "rules", str(rules))


@needs_promtool
def test_promtool_refuses_a_configuration_that_is_wrong(tmp_path: Path) -> None:
    text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(text.replace("scrape_interval", "scrape_intervall"), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_platform_and_master_are_scraped_every_15_seconds_under_their_names() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    assert config["global"]["scrape_interval"] == "15s"
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs["platform"] == ["platform:8000"]
    assert jobs["proofload"] == ["master:8089"]
    assert {"master", "platform"} <= set(COMPOSE["services"])


def test_grafana_finds_prometheus_and_the_dashboards_where_compose_puts_them() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert urlsplit(source["url"]).hostname in COMPOSE["services"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/proofload.yaml").read_text())["providers"]
    mounts = dict(volume.split(":")[:2] for volume in COMPOSE["services"]["grafana"]["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
