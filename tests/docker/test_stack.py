"""The web UI and all around it: who reaches what, the login, Prometheus, a run from the form, and its end."""

from __future__ import annotations

import json
import secrets
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.docker.engine import Checkout, docker, inspected, left_behind, said, wait_for

WORKERS = 2
ACCOUNT = {"PROOFLOAD_WEB_USER": "operator", "PROOFLOAD_WEB_PASSWORD": f"canary{secrets.token_hex(8)}"}
SERVICES = ("master", "worker", "platform", "postgres", "redis", "prometheus")


class Stack:
    """Everything that `up` has started."""

    def __init__(self, checkout: Checkout) -> None:
        self.name, self.settings = checkout.name, checkout.settings
        self.web = f"http://127.0.0.1:{self.settings['WEB_PORT']}"
        self.prometheus = f"http://127.0.0.1:{self.settings['PROMETHEUS_PORT']}"

    def containers(self, service: str) -> list[str]:
        labels = [f"project={self.name}", f"service={service}"]
        return docker("ps", "--quiet", *(f"--filter=label=com.docker.compose.{label}" for label in labels)).split()

    def runs(self, service: str, *words: str) -> bool:
        """Return whether a command inside a container succeeds."""
        try:
            docker("exec", self.containers(service)[0], *words)
        except subprocess.CalledProcessError:
            return False
        return True

    def asked(self, query: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as r:
            result: list[dict[str, Any]] = json.load(r)["data"]["result"]
        return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(checkout: Checkout, runs: Path) -> Iterator[Stack]:
    done = checkout.do("up", f"--workers={WORKERS}", LOCUST_WEB_LOGIN="true", **ACCOUNT)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield Stack(checkout)
    finally:
        ended = checkout.do("down", f"--runs={runs}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert left_behind(checkout.name) == []
    (folder,) = runs.iterdir()  # the run that a test started in the web UI
    assert (folder / "report" / "report.html").exists()
    assert str(folder / "report" / "report.html") in ended.stdout
    password = ACCOUNT["PROOFLOAD_WEB_PASSWORD"].encode()
    assert [path for path in folder.rglob("*") if path.is_file() and password in path.read_bytes()] == []


@pytest.fixture(scope="module")
def visitor(stack: Stack) -> urllib.request.OpenerDirector:
    """Somebody who has logged in."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    form = {"username": ACCOUNT["PROOFLOAD_WEB_USER"], "password": ACCOUNT["PROOFLOAD_WEB_PASSWORD"]}
    opener.open(f"{stack.web}/login/submit", urllib.parse.urlencode(form).encode(), timeout=20)
    return opener


def _start(visitor: urllib.request.OpenerDirector, stack: Stack, **form: str) -> dict[str, Any]:
    body = urllib.parse.urlencode({"user_count": "1", "spawn_rate": "1", **form}).encode()
    with visitor.open(f"{stack.web}/swarm", body, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_every_container_is_up_and_well(stack: Stack) -> None:
    for service in SERVICES:
        containers = stack.containers(service)
        assert len(containers) == (WORKERS if service == "worker" else 1), service
        for container in containers:
            wait_for(service, lambda c=container: inspected(c)["State"]["Health"]["Status"] == "healthy")  # type: ignore[misc]
    assert stack.containers("certify") == []


def test_ports_are_open_to_this_machine_alone(stack: Stack) -> None:
    published = {
        (service, binding["HostIp"], binding["HostPort"])
        for service in SERVICES
        for container in stack.containers(service)
        for bindings in inspected(container)["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }
    assert published == {
        ("master", "127.0.0.1", stack.settings["WEB_PORT"]),
        ("prometheus", "127.0.0.1", stack.settings["PROMETHEUS_PORT"]),
    }


@pytest.mark.parametrize("service", ["master", "worker", "platform"])
def test_a_container_can_write_only_where_it_must(stack: Stack, service: str) -> None:
    assert stack.runs(service, "sh", "-c", '[ "$(id -u)" != 0 ]')
    assert stack.runs(service, "touch", "/tmp/file")
    assert not stack.runs(service, "touch", "/proofload/file")
    assert not stack.runs(service, "touch", "/venv/file")
    here = "/proofload/runs/file"
    assert stack.runs(service, "sh", "-c", f"touch {here} && rm {here}") is (service == "master")
    assert stack.runs(service, "sh", "-c", "grep -q '^CapEff:\t0*$' /proc/self/status")


def _reaches(stack: Stack, source: str, host: str, port: int) -> bool:
    code = f"import socket; socket.create_connection(({host!r}, {port}), 3)"
    return stack.runs(source, "python3", "-c", code)


def test_each_reaches_whom_it_must_and_nobody_else(stack: Stack) -> None:
    for host, port in (("platform", 8000), ("master", 5557), ("postgres", 5432), ("redis", 6379)):
        assert _reaches(stack, "worker", host, port), host
    assert _reaches(stack, "platform", "postgres", 5432)
    for service, networks in (("platform", {"target", "data"}), ("postgres", {"data"}), ("redis", {"data"})):
        found = inspected(stack.containers(service)[0])["NetworkSettings"]["Networks"]
        assert set(found) == {f"{stack.name}_{network}" for network in networks}
    # Prometheus is beside the platform and not beside its databases: it does not even know their names.
    assert stack.runs("prometheus", "sh", "-c", "getent hosts platform || nslookup platform")
    assert not stack.runs("prometheus", "sh", "-c", "getent hosts postgres || nslookup postgres")
    # The internal networks lead nowhere: not even to the other network of somebody who is beside one.
    for network in ("target", "data"):
        assert docker("network", "inspect", "--format", "{{.Internal}}", f"{stack.name}_{network}") == "true"
    outside = inspected(stack.containers("prometheus")[0])["NetworkSettings"]["Networks"][f"{stack.name}_load"]
    assert _reaches(stack, "master", outside["IPAddress"], 9090)
    assert not _reaches(stack, "platform", outside["IPAddress"], 9090)


def test_nobody_comes_in_without_the_account(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.web}/", timeout=20) as response:
        assert urllib.parse.urlsplit(response.url).path == "/login"
    with urllib.request.urlopen(f"{stack.web}/stats/requests", timeout=20) as response:
        assert urllib.parse.urlsplit(response.url).path == "/login"


def test_the_accounts_password_is_in_no_log_and_no_list_of_processes(stack: Stack) -> None:
    password = ACCOUNT["PROOFLOAD_WEB_PASSWORD"]
    for service in SERVICES:
        for container in stack.containers(service):
            assert password not in said(container)
            assert password not in docker("top", container, "-eo", "pid,args")
            assert (password in str(inspected(container))) is (service == "master")
    with urllib.request.urlopen(f"{stack.web}/metrics", timeout=20) as response:
        assert password not in response.read().decode()


def test_prometheus_scrapes_master_and_platform(stack: Stack) -> None:
    def both_up() -> bool:
        found = {one["metric"]["job"]: one["value"][1] for one in stack.asked("up")}
        return found.get("proofload") == "1" and found.get("platform") == "1"

    wait_for("a scrape of both", both_up)


def test_a_host_that_is_not_allowed_gets_no_load(stack: Stack, visitor: urllib.request.OpenerDirector) -> None:
    answer = _start(visitor, stack, host="http://example.com", time_scale="0.1")
    assert not answer["success"]
    assert "example.com" in answer["message"]
    assert "not allowed" in answer["message"]


def test_a_run_that_is_started_in_the_form_ends_with_its_report(
    stack: Stack, visitor: urllib.request.OpenerDirector
) -> None:
    answer = _start(visitor, stack, host="http://platform:8000", time_scale="0.2")
    assert answer["success"], answer

    def reported() -> bool:
        try:
            with visitor.open(f"{stack.web}/report", timeout=20) as response:
                return b"QUICKSTART-001" in response.read()
        except urllib.error.HTTPError:
            return False

    wait_for("the report", reported)
    wait_for("its figures in Prometheus", lambda: stack.asked("proofload_requests_total"))
