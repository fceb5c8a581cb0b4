from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.servers import ROOT, Script, ScriptServer
from tests.scenarios.streams import Run


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
        assert users.stdin is not None
        assert users.stdout is not None
        rate = more.pop("rate", 20.0)
        numbers = {"rate": rate, "duration": count / rate, "timeout": 5.0, "streaming": 1.0, "kill_at": 0.0} | more
        path = script if isinstance(script, str) else script.path()
        job = {"numbers": numbers, "host": host or server.url, "path": path}
        users.stdin.write(json.dumps(job).encode() + b"\n")
        users.stdin.flush()
        told = json.loads(users.stdout.readline())
        samples: list[dict[str, Any]] = told["samples"]
        assert told["offered"] == count
        assert sorted(sample["arrival"] for sample in samples) == list(range(count))
        assert all(sample["iteration"] and sample["done_s"] >= sample["due_s"] for sample in samples)
        return samples

    return one
