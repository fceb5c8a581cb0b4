"""The platform as a process: started through its command line, spoken to over loopback, ended by its own id."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import websocket

ROOT = Path(__file__).resolve().parents[2]
RUNS = "/api/v1/evaluations/runs"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Target:
    """One running server."""

    def __init__(self, *arguments: str) -> None:
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "target", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        self.ready_s = time.monotonic() - self.begun
        if not self.ready_line:
            _, problem = self.process.communicate(timeout=5)
            raise RuntimeError(problem.decode())
        self.url: str = json.loads(self.ready_line)["url"]
        self.host, port = self.url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)

    def stop(self) -> int:
        """End it and return its exit code; one that hangs is killed and says -9."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def wait(self, timeout_s: float = 5.0) -> int:
        try:
            self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode

    def connect(self, timeout_s: float = 10.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)

    def ask(self, method: str, path: str, body: object = None, timeout_s: float = 10.0) -> Answer:
        connection = self.connect(timeout_s)
        try:
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, raw, {"content-type": "application/json"} if raw else {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def chat(self, text: str, **more: object) -> Answer:
        return self.ask("POST", CHAT, chat_body(text, **more))

    def say(self, text: str, **more: object) -> str:
        return str(self.chat(text, **more).json()["choices"][0]["message"]["content"])

    def fault(self, kind: str, **parameters: object) -> None:
        answer = self.ask("PUT", "/faults", {"kind": kind, **parameters})
        assert answer.status == 200, answer.body

    def metric(self, name: str) -> float:
        """The value of a series, its labels included in the name as they are printed."""
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise KeyError(name)

    def websocket(self, query: str = "", run_id: str | None = "*") -> websocket.WebSocket:
        address = f"ws://{self.host}:{self.port}/ws/evaluations{query}"
        connection = websocket.create_connection(address, timeout=5, http_no_proxy=["*"])
        if run_id is not None:
            connection.send(json.dumps({"action": "subscribe", "run_id": run_id}))
            reply = json.loads(connection.recv())
            assert reply["type"] == "subscribed"
        return connection

    def tree(self) -> psutil.Process:
        return psutil.Process(self.process.pid)


def chat_body(text: str, **more: object) -> dict[str, object]:
    return {"model": "mixtral-8x7b", "messages": [{"role": "user", "content": text}], **more}


def events_of(body: bytes) -> list[str]:
    """The data of each server-sent event; the framing itself must be exact."""
    assert body.endswith(b"\n\n")
    events = body.decode().removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]


def eventually(condition: Callable[[], bool], timeout_s: float = 3.0) -> bool:
    """Whether `condition` comes true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def together(calls: int, call: Callable[[int], None]) -> None:
    """Run `call(0)` to `call(calls - 1)` at the same time; wait for all of them."""
    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
