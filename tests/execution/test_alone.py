"""One user alone, as in a debugger: `python locustfile.py USER`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.harness import ENVIRONMENT, ROOT, plan_file, serving

USERS = str(ROOT / "tests" / "execution" / "my_users.py")


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "locustfile.py"), *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("user", "kind", "name"), [("ChatUser", "llm", "chat (stream)"), ("WebSocketUser", "websocket", "connect")]
)
def test_a_user_of_the_suite_runs_alone_on_the_embedded_platform(user: str, kind: str, name: str) -> None:
    done = alone(user, "--plan", "plans/quickstart.yaml", "--requests", "3")

    assert done.returncode == 0, done.stderr
    shown = [line.split("\t") for line in done.stdout.splitlines() if line.startswith(kind)]
    assert shown[0][1].strip() == name
    assert len(shown) == (3 if user == "ChatUser" else 1)  # pushed messages are nobody's requests
    assert all(cells[3].strip() == "" for cells in shown), shown


@pytest.mark.parametrize(("user", "shown"), [("Plain", "GET\titems"), ("LateFailure", "GET\tsecond")])
def test_a_user_of_a_locustfile_runs_alone_and_makes_no_more_requests_than_asked(
    tmp_path: Path, user: str, shown: str
) -> None:
    log = tmp_path / "log"
    with serving("--log", str(log)) as host:
        plan = plan_file(tmp_path, mix={user: {"file": USERS}})
        done = alone(user, f"--plan={plan}", f"--host={host}", "--requests=4")

    assert done.returncode == 0, done.stderr
    assert len(json.loads(log.read_text())["requests"]) == 4
    assert done.stdout.count(shown) == (4 if user == "Plain" else 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Nobody"], "command line: user must be one of the plan's mix (ChatUser, "),
        (["ReadOnlyUser"], "got 'ReadOnlyUser'"),
        (["ChatUser", "--plan=no-such.yaml"], "no-such.yaml: does not exist"),
        (["ChatUser", "--host=http://example.com"], "--host is not allowed"),
    ],
)
def test_what_cannot_run_is_named(arguments: list[str], words: str) -> None:
    done = alone(*arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
