"""Locust's web UI with Proofload in it, as a process, and what a browser asks of it."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reports.analysis import Verdict
from tests.execution.harness import ENVIRONMENT, ROOT
from tests.services import free_port


@contextmanager
def serving_web(plan: Path, runs: Path, *options: str) -> Iterator[str]:
    """Start the web UI, yield its URL, and check that it ends in order, with the code of its last run."""
    port = free_port()
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfile.py"), "--web-host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--web-port", str(port), f"--plan={plan}", f"--runs={runs}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        found = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: status(found), 60)
            yield found
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
        except BaseException:
            process.kill()  # a test that failed may have left a run under way
            raise
    assert "Traceback" not in out, out
    verdicts = [json.loads((folder / "report" / "verdict.json").read_text()) for folder in reported(runs, 1)]
    assert process.returncode == (Verdict(verdicts[-1]["verdict"]).exit_code if verdicts else 0), out


def status(url: str) -> int:
    """Return the status of a page; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def page(url: str) -> str:
    """Return the text of a page."""
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read().decode())


def post(url: str, **form: str) -> dict[str, Any]:
    """Return the answer to a form."""
    with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def reported(runs: Path, count: int) -> list[Path]:
    """Return the folders of the runs that have a verdict, when there are so many."""
    reports = sorted(runs.glob("*/report/verdict.json"))
    return [path.parents[1] for path in reports] if len(reports) >= count else []


def wait_until(condition: Any, seconds: float) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
