"""docker-compose.yml and the Dockerfile: what is reachable, what a container may do, what goes into the image."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_the_file_is_of_the_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["init"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))
    # PostgreSQL's start script steps down from root by itself; no other container has root to begin with.
    assert ("cap_add" in service) == (name == "postgres")


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_that_serves_has_a_check_of_its_health(name: str) -> None:
    assert name == "grafana" or SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_nothing_runs_as_root() -> None:
    users = {name: service.get("user", "") for name, service in SERVICES.items()}
    own = {name for name, service in SERVICES.items() if "PROOFLOAD_IMAGE" in service["image"]}
    assert own == {"master", "worker", "certify", "platform"}
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    for name in set(SERVICES) - own - {"postgres"}:
        assert re.fullmatch(r"[1-9]\d*:\d+", users[name]), name


def test_published_ports_are_those_of_people_and_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"master", "prometheus", "grafana"}
    for ports in published.values():
        assert [re.sub(r"\$\{\w+:-(\d+)\}", r"\1", port) for port in ports] in (
            ["127.0.0.1:8089:8089"],
            ["127.0.0.1:9090:9090"],
            ["127.0.0.1:3000:3000"],
        )


def test_databases_are_seen_by_those_who_use_them_and_nobody_else() -> None:
    assert COMPOSE["networks"]["target"]["internal"]
    assert COMPOSE["networks"]["data"]["internal"]
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in COMPOSE["networks"]
    }
    assert members["data"] == {"postgres", "redis", "platform", "master", "worker", "certify"}
    assert members["target"] == {"platform", "prometheus", "master", "worker", "certify"}
    assert set(SERVICES["postgres"]["networks"]) == set(SERVICES["redis"]["networks"]) == {"data"}
    assert "load" not in SERVICES["platform"]["networks"]


def test_images_have_exact_versions() -> None:
    defaults = re.findall(r"\$\{[A-Z]+_IMAGE:-([^}]+)\}", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert len(defaults) == 6
    for image in defaults:
        assert image == "proofload:local" or re.search(r":v?\d+\.\d+(\.\d+)?", image), image
    assert re.search(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)[1] in defaults  # type: ignore[index]


def test_no_secret_has_a_value_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|TOKEN|SECRET|KEY", variable):
                assert value is None or re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {variable}"
        assert not re.search("PASSWORD|TOKEN", str(service.get("command"))), name


def test_the_image_gets_what_a_run_needs_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {line[1:].rstrip("/") for line in rules if line.startswith("!")}
    assert all((ROOT / name).exists() for name in admitted)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {name for name in admitted if (ROOT / name).is_dir()} == packages - {"tests", "benchmarks", "docs", "deploy"}
    assert not {name for name in admitted if re.search(r"^\.|runs|env", name)}


def test_requirements_are_a_layer_before_the_sources() -> None:
    assert DOCKERFILE.index("COPY requirements.txt") < DOCKERFILE.index("pip install") < DOCKERFILE.index("COPY . ")
    assert DOCKERFILE.count("FROM ${PYTHON_IMAGE}") == 2
