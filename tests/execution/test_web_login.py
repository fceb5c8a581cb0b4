"""The web UI with --web-login: nobody comes in, starts a load or sees a report without the account."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.execution.harness import ENVIRONMENT, ROOT, plan_file

USER, PASSWORD = "an operator", "canary-5ecret-of-the-web-ui"
ACCOUNT = {"PROOFLOAD_WEB_USER": USER, "PROOFLOAD_WEB_PASSWORD": PASSWORD}
COMMAND = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfile.py"), "--web-host=127.0.0.1", "--web-login"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("login")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*COMMAND, f"--web-port={port}", f"--plan={plan_file(folder)}", f"--runs={folder / 'runs'}"]
    output = (folder / "output").open("wb")
    with (
        output,
        subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=ENVIRONMENT | ACCOUNT
        ) as process,
    ):
        found = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not _answers(found):
            assert process.poll() is None, "ended"
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.1)
        yield found
        process.terminate()
        process.wait(timeout=30)
    for file in [folder / "output", *(path for path in (folder / "runs").rglob("*") if path.is_file())]:
        assert PASSWORD.encode() not in file.read_bytes(), file


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/login", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def _logged_in(url: str, user: str, password: str) -> requests.Session:
    visitor = requests.Session()
    visitor.post(f"{url}/login/submit", {"username": user, "password": password}, timeout=10)
    return visitor


VERDICT = [f"/verdict/{path}" for path in ("", "state", "runs", "runs/any", "verdict.js")]


@pytest.mark.parametrize(
    "path", ["/", "/stats/requests", "/report", "/stats/requests/csv", "/logs", "/tasks", *VERDICT]
)
def test_a_stranger_is_sent_to_the_login(url: str, path: str) -> None:
    answer = requests.get(url + path, timeout=10, allow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login")


@pytest.mark.parametrize("form", [{}, {"plan": "/etc/passwd"}, {"host": "http://example.com"}])
def test_a_stranger_starts_nothing_and_learns_nothing(url: str, folder: Path, form: dict[str, str]) -> None:
    answer = requests.post(f"{url}/swarm", form, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/login")
    assert "passwd" not in answer.text
    assert not list((folder / "runs").glob("*"))


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("another", PASSWORD), (USER, ""), ("", "")])
def test_a_wrong_name_or_password_is_refused(url: str, user: str, password: str) -> None:
    visitor = _logged_in(url, user, password)
    assert "Wrong name or password" in visitor.get(f"{url}/login", timeout=10).text
    assert visitor.get(f"{url}/", timeout=10).url.partition("?")[0] == f"{url}/login"


def test_the_account_comes_in_and_a_host_that_is_not_allowed_is_refused(url: str, folder: Path) -> None:
    visitor = _logged_in(url, USER, PASSWORD)
    assert visitor.get(f"{url}/", timeout=10).url == f"{url}/"
    answer = visitor.post(f"{url}/swarm", {"host": "http://example.com", "user_count": "1"}, timeout=10).json()
    assert not answer["success"]
    assert "example.com" in answer["message"]
    assert not list((folder / "runs").glob("*"))


def test_its_cookie_is_not_sent_along_from_another_site(url: str) -> None:
    answer = requests.post(
        f"{url}/login/submit", {"username": USER, "password": PASSWORD}, timeout=10, allow_redirects=False
    )
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Strict" in answer.headers["Set-Cookie"]


def test_prometheus_needs_no_account(url: str) -> None:
    answer = requests.get(f"{url}/metrics", timeout=10)
    assert answer.status_code == 200
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ({}, "PROOFLOAD_WEB_USER must be set"),
        ({"PROOFLOAD_WEB_USER": USER}, "PROOFLOAD_WEB_PASSWORD must be set"),
        ({"PROOFLOAD_WEB_USER": USER, "PROOFLOAD_WEB_PASSWORD": "short"}, "must have at least 8 characters"),
    ],
)
def test_without_an_account_the_web_ui_does_not_start(tmp_path: Path, account: dict[str, str], said: str) -> None:
    command = [*COMMAND, "--web-port=1", f"--plan={plan_file(tmp_path)}", f"--runs={tmp_path / 'runs'}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | account,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "short" not in done.stderr.replace("shorten", "")
