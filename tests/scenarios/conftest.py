from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.servers import ROOT, Script, ScriptServer
from tests.scenarios.streams import Load, Run


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptServer]:
    with ScriptServer() as running:
        yield running


@pytest.fixture(scope="module")
def users() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.scenarios.chat_process"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    yield process
    process.stdin.close()
    process.wait(10)


@pytest.fixture
def run(server: ScriptServer, users: subprocess.Popen[bytes]) -> Run:
    """Has one user ask `count` times in a phase, and returns the samples. Every arrival must have exactly one."""

    def one(script: Script | str, count: int = 1, host: str = "", **more: float) -> list[dict[str, Any]]:
        path = script if isinstance(script, str) else script.path()
        options = {"path": path, "prompts": "simple", "streaming": more.pop("streaming", 1.0)}
        samples: list[dict[str, Any]] = tell(users, host or server.url, "ChatUser", options, count, **more)["samples"]
        return samples

    return one


@pytest.fixture
def load(users: subprocess.Popen[bytes]) -> Load:
    """Has one user of any class carry `count` arrivals to a server, after its warm-up; returns samples and notes."""

    def one(host: str, scenario: str, count: int = 1, **options: Any) -> dict[str, Any]:
        return tell(users, host, scenario, options, count, warm_up=1.0)

    return one


def tell(
    users: subprocess.Popen[bytes], host: str, scenario: str, options: dict[str, Any], count: int, **more: float
) -> dict[str, Any]:
    assert users.stdin is not None
    assert users.stdout is not None
    rate = more.pop("rate", 20.0)
    numbers = {"rate": rate, "duration": count / rate, "timeout": 5.0, "warm_up": 0.0, "kill_at": 0.0} | more
    job = {"numbers": numbers, "host": host, "scenario": scenario, "options": options}
    users.stdin.write(json.dumps(job).encode() + b"\n")
    users.stdin.flush()
    told: dict[str, Any] = json.loads(users.stdout.readline())
    iterations = [sample for sample in told["samples"] if sample["iteration"]]
    assert told["offered"] == count
    assert told["in_flight"] == 0  # a user that was killed holds no place any more
    assert sorted(sample["arrival"] for sample in iterations) == list(range(count))
    assert all(sample["done_s"] >= sample["due_s"] for sample in iterations)
    return told
