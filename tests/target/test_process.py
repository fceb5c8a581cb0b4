from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests import services
from tests.target.process import CHAT, ROOT, RUNS, Target, chat_body, eventually


def begin_stream(target: Target) -> http.client.HTTPResponse:
    """A stream of 3000 tokens (half a minute) whose first bytes have come."""
    connection = target.connect()
    request = json.dumps(chat_body("go on", max_tokens=3000, ignore_eos=True, stream=True))
    connection.request("POST", CHAT, request, {"content-type": "application/json"})
    response = connection.getresponse()
    response.read1(1)
    return response


@pytest.mark.alone
def test_it_is_ready_in_time_and_says_where_in_one_line(start: Callable[..., Target]) -> None:
    target = start()
    ready = json.loads(target.ready_line)
    assert ready == {"url": f"http://127.0.0.1:{target.port}", "pid": target.process.pid}
    assert target.ask("GET", "/health").json()["status"] == "ok"
    # Other work on the machine may slow one start; the fastest of three is the program's own.
    assert target.ready_s < 1.5 or min(start().ready_s, start().ready_s) < 1.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_streams_sockets_and_faults_open(
    start: Callable[..., Target], number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    target = start()
    assert [path.name for path in tmp_path.glob("target-*/*.db")] == ["evaluations.db"]
    stream, updates = begin_stream(target), target.websocket()
    target.fault("cpu", cores=0.2)
    target.fault("stall", seconds=60)
    children = target.tree().children()
    begin = time.monotonic()
    target.process.send_signal(number)
    assert target.wait() == 0
    assert time.monotonic() - begin < 2.0
    assert list(tmp_path.iterdir()) == []
    assert not any(child.is_running() for child in children)
    with pytest.raises(http.client.IncompleteRead):
        stream.read()
    updates.close()


def test_a_signal_during_the_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-m", "target", "--seed-runs", "5000"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert eventually(lambda: any(tmp_path.iterdir()), 30)  # Python itself may take seconds on a busy machine
    process.terminate()
    _, problem = process.communicate(timeout=10)
    assert (process.returncode, problem) == (0, b"")
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_its_parent_is_gone(start: Callable[..., Target]) -> None:
    target = start("--exit-with-parent")
    stream = begin_stream(target)
    assert target.process.stdin is not None
    begin = time.monotonic()
    target.process.stdin.close()
    assert eventually(lambda: target.process.poll() is not None)
    assert target.process.returncode == 0
    assert time.monotonic() - begin < 2.0
    target.process.stdin = None
    stream.close()


def test_burnt_cpu_ends_even_when_the_server_is_killed(
    start: Callable[..., Target], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A killed server cannot remove its folder; it belongs to the test then.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    target = start()
    assert target.process.stdin is not None
    target.process.stdin.close()
    target.process.stdin = None
    time.sleep(0.4)
    # Without --exit-with-parent the end of its input means nothing.
    assert target.ask("GET", "/health").status == 200
    target.fault("cpu", cores=0.1)
    (child,) = target.tree().children()
    target.process.kill()
    assert eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "x"], "--port"),
        (["--slots", "0"], "--slots"),
        (["--decode-base-ms", "nan"], "--decode-base-ms"),
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--host", ""], "--allow-remote"),
        (["--database", "mysql://user:secret@host/db"], "mysql"),
        (["--models", ","], "--models"),
        (["--no-such-option"], "--no-such-option"),
        (["--database", "sqlite+aiosqlite:////no/such/folder/x.db"], "database"),
        (["--database", "postgresql://user:secret@127.0.0.1:1/db"], "database"),
    ],
)
def test_what_it_cannot_do_ends_with_2_and_a_sentence(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "target", *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr


def test_a_taken_port_ends_with_2(target: Target) -> None:
    command = [sys.executable, "-m", "target", "--port", str(target.port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{target.port}" in ended.stderr


def test_metrics_name_routes_by_template_and_count_tokens(target: Target) -> None:
    for run_id in (1, 2, 3):
        target.ask("GET", f"{RUNS}/{run_id}")
    target.ask("GET", "/no/such/path")
    tokens = target.metric("engine_generation_tokens_total")
    target.say("go on", max_tokens=7, ignore_eos=True)
    assert target.metric("engine_generation_tokens_total") == tokens + 7
    text = target.ask("GET", "/metrics").body.decode()
    assert f'route="{RUNS}/{{run_id}}",status="200"' in text
    assert f'route="{RUNS}/1"' not in text
    assert 'route="unmatched",status="404"' in text
    assert "http_request_duration_seconds_bucket" in text
    assert target.metric("process_resident_memory_bytes") > 2**20
    assert target.metric("engine_slots") == 64
    assert (target.metric("database_pool_size"), target.metric("database_pool_waiting")) == (8, 0)


def test_the_contract_is_published(target: Target) -> None:
    paths = target.ask("GET", "/openapi.json").json()["paths"]
    assert {CHAT, "/v1/embeddings", RUNS, f"{RUNS}/{{run_id}}", "/faults", "/health"} <= paths.keys()


def test_an_idle_connection_is_kept(target: Target) -> None:
    connection = target.connect()
    connection.request("GET", "/health")
    connection.getresponse().read()
    kept = connection.sock
    connection.request("GET", "/health")
    connection.getresponse().read()
    assert connection.sock is kept
    connection.close()


def test_runs_stay_in_a_named_sqlite_file(start: Callable[..., Target], tmp_path: Path) -> None:
    arguments = ("--database", f"sqlite+aiosqlite:///{tmp_path / 'kept.db'}", "--seed-runs", "10")
    first = start(*arguments)
    created = first.ask("POST", RUNS, {"name": "kept", "template_name": "t"}).json()
    assert first.stop() == 0
    second = start(*arguments)
    assert second.ask("GET", f"{RUNS}/{created['id']}").json() == created
    assert second.ask("GET", RUNS).json()["total"] == 11


@pytest.fixture
def postgresql() -> Iterator[str]:
    with services.postgresql() as url:
        yield url


def test_postgresql_serves_the_same_routes(start: Callable[..., Target], postgresql: str) -> None:
    target = start("--database", postgresql, "--seed-runs", "20")
    created = target.ask("POST", RUNS, {"name": "Kept in Postgres", "template_name": "t"}).json()
    path = f"{RUNS}/{created['id']}"
    assert target.ask("GET", path).json() == created
    assert target.ask("PATCH", path, {"status": "running"}).json()["status"] == "running"
    assert target.ask("GET", RUNS).json()["total"] == 21
    found = target.ask("GET", f"{RUNS}/search?q=in%20postgres").json()["items"]
    assert [item["id"] for item in found] == [created["id"]]
    assert target.ask("GET", f"{RUNS}/stats").json()["total"] == 21
    assert target.ask("POST", f"{RUNS}/compare", {"run_ids": [1, 2]}).status == 200
    assert target.ask("DELETE", path).status == 204
    assert target.stop() == 0
