"""Each fault of the platform breaks the criterion it should and no other; what cannot be judged is INVALID."""

import json
import resource
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.execution.harness import (
    ENVIRONMENT,
    Finished,
    certify,
    command,
    finished,
    locust_of,
    plan_file,
    serving,
    wait_for_load,
)
from tests.services import free_port

# One limit for each way in which the platform can fail; all hold on a healthy one, with room for a busy machine.
MIX: dict[str, Any] = {
    "ChatUser": {"share": 0.4, "max_tokens": 48, "timeout": "20s"},
    "EvaluationRunUser": {"share": 0.6},
    "WebSocketUser": {"connections": 4, "rate": 10},
}
CRITERIA: list[dict[str, Any]] = [
    {"id": "chat ok", "metric": "success_rate", "at_least": 0.98, "scenario": "ChatUser"},
    {"id": "chat speed", "metric": "service_p90_ms", "below": 1500, "scenario": "ChatUser"},
    {"id": "chat first token", "metric": "ttft_p90_ms", "below": 1000},
    {"id": "chat quality", "metric": "quality_mean", "above": 0.5},
    {"id": "crud ok", "metric": "success_rate", "at_least": 0.98, "scenario": "EvaluationRunUser"},
    {"id": "crud speed", "metric": "service_p90_ms", "below": 1000, "scenario": "EvaluationRunUser"},
    {"id": "stall", "metric": "latency_max_ms", "below": 2500},
    {"id": "messages", "metric": "delivery_rate", "at_least": 0.98},
    {"id": "sockets", "metric": "ws_success_rate", "at_least": 0.98},
]


def run_with(tmp_path: Path, *faults: dict[str, Any]) -> Finished:
    return certify(
        plan_file(
            tmp_path,
            mix=MIX,
            phases=[{"name": "only", "rate": 25, "duration": "6s"}],
            criteria=CRITERIA,
            faults=list(faults),
        )
    )


@pytest.mark.parametrize(
    ("kind", "params", "broken"),
    [
        ("latency", {"ms": 1100, "scope": "crud"}, {"crud speed"}),
        ("errors", {"rate": 0.3, "scope": "crud"}, {"crud ok"}),
        ("errors", {"rate": 0.3, "scope": "llm"}, {"chat ok"}),
        ("truncate_stream", {"rate": 0.3}, {"chat ok"}),
        ("drop_stream", {"rate": 0.3}, {"chat ok"}),
        ("garble", {"rate": 1.0}, {"chat quality"}),
        ("ws_loss", {"rate": 0.3}, {"messages"}),
        ("slow_first_token", {"ms": 1600}, {"chat first token", "chat speed"}),
    ],
)
def test_a_fault_breaks_the_criterion_it_should_and_no_other(
    tmp_path: Path, kind: str, params: dict[str, Any], broken: set[str]
) -> None:
    run = run_with(tmp_path, {"kind": kind, "params": params})

    assert {name for name, state in run.states().items() if state == "fail"} == broken, run.out
    assert run.code == 1
    assert run.verdict["verdict"] == "FAIL"


def test_a_stall_breaks_the_limits_on_latency_and_no_limit_on_answers(tmp_path: Path) -> None:
    run = run_with(tmp_path, {"kind": "stall", "at": "2s", "params": {"seconds": 3}})

    failed = {name for name, state in run.states().items() if state == "fail"}
    assert "stall" in failed
    assert failed <= {"stall", "chat speed", "chat first token", "crud speed"}
    assert run.code == 1
    assert any(event["kind"] == "fault" for event in _events(run))


def _events(run: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]


def test_a_dead_server_is_a_failure_with_the_reason(tmp_path: Path) -> None:
    run = certify(plan_file(tmp_path), f"--host=http://127.0.0.1:{free_port()}")

    assert run.code == 1
    assert run.verdict["verdict"] == "FAIL"
    assert "refused" in " ".join(run.verdict["reasons"])
    assert {row["outcome"] for row in run.iterations} == {"connect_error"}
    assert len(run.iterations) == 60


def test_nothing_measured_is_invalid(tmp_path: Path) -> None:
    run = certify(plan_file(tmp_path, phases=[{"name": "only", "rate": 0.01, "duration": "2s"}]))

    assert run.code == 3
    assert run.verdict["verdict"] == "INVALID"
    assert "nothing was measured" in " ".join(run.verdict["reasons"])


def test_a_starved_generator_is_invalid_although_every_criterion_holds(tmp_path: Path) -> None:
    plan = plan_file(tmp_path, phases=[{"name": "only", "rate": 20, "duration": "8s"}], generator={})
    with subprocess.Popen(
        command(plan, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        locust = locust_of(process.pid)
        wait_for_load(tmp_path / "runs")
        for _ in range(3):
            locust.suspend()
            time.sleep(0.8)
            locust.resume()
            time.sleep(0.4)
        out, _ = process.communicate(timeout=60)
    run = finished(process.returncode, out, "", tmp_path / "runs")

    assert run.code == 3, out
    assert run.verdict["verdict"] == "INVALID"
    broken = {check["name"] for check in run.verdict["health"] if not check["passed"]}
    assert broken & {"event loop lag p99", "arrival lag p99"} or any("lag" in name for name in broken), broken


def test_a_slow_answer_within_the_drain_is_counted_and_one_beyond_it_is_cut(tmp_path: Path) -> None:
    phases = [{"name": "only", "rate": 10, "duration": "3s"}]
    slow = [{"kind": "latency", "params": {"ms": 2500}}]
    criteria = [{"metric": "success_rate", "at_least": 1, "id": "ok"}]
    patient = certify(plan_file(tmp_path, phases=phases, criteria=criteria, faults=slow, pool={"drain": "15s"}))
    hasty = certify(plan_file(tmp_path, phases=phases, criteria=criteria, faults=slow, pool={"drain": "0.5s"}))

    assert [row["outcome"] for row in patient.iterations] == ["ok"] * 30
    counts = hasty.verdict["phases"][0]["accounting"]
    assert counts["scheduled"] == 30
    assert counts["lost"] == 0
    assert counts["outcomes"]["cut"] == pytest.approx(20, abs=3)
    assert counts["outcomes"]["ok"] + counts["outcomes"]["cut"] == 30
    assert hasty.code == 1


def test_a_pool_at_its_maximum_drops_arrivals_and_says_so(tmp_path: Path) -> None:
    run = certify(
        plan_file(
            tmp_path,
            phases=[{"name": "only", "rate": 20, "duration": "5s"}],
            faults=[{"kind": "latency", "params": {"ms": 4000}}],
            pool={"max_users": 10, "max_lag": "1s", "drain": "10s"},
        )
    )

    counts = run.verdict["phases"][0]["accounting"]
    assert counts["scheduled"] == 100
    assert counts["lost"] == 0
    assert counts["outcomes"]["dropped"] > 50
    assert run.code == 1
    dropped = [row for row in run.iterations if row["outcome"] == "dropped"]
    assert {row["sent_s"] for row in dropped} == {None}


def test_a_server_too_slow_for_the_whole_pool_is_a_failure_also_at_the_drain_deadline(tmp_path: Path) -> None:
    run = certify(
        plan_file(
            tmp_path,
            phases=[{"name": "only", "rate": 20, "duration": "4s"}],
            faults=[{"kind": "latency", "params": {"ms": 4000}}],
            pool={"max_users": 10, "max_lag": "10s", "drain": "1s"},
        )
    )

    assert run.verdict["verdict"] == "FAIL", run.out
    assert run.code == 1


def test_a_fault_that_the_platform_refuses_makes_the_run_invalid(tmp_path: Path) -> None:
    run = certify(
        plan_file(
            tmp_path,
            phases=[{"name": "only", "rate": 20, "duration": "20s"}],
            faults=[{"kind": "latency", "at": "1s", "params": {"milliseconds": 5}}],
        )
    )

    assert run.code == 3, run.out
    assert any("fault latency on was refused" in note for note in run.verdict["notes"])
    assert run.record.ended_s is not None
    assert run.record.ended_s < 10


def test_a_full_disk_leaves_a_readable_run_that_is_invalid(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000))

    plan = plan_file(tmp_path, phases=[{"name": "only", "rate": 60, "duration": "8s"}])
    with serving() as host:
        run = certify(plan, f"--host={host}", preexec_fn=small_files)

    assert run.code == 3, run.out + run.err
    assert "Traceback" not in run.out + run.err
    assert 0 < len(run.samples) < 480
    assert "INVALID" in run.out


def test_no_secret_reaches_a_run_folder_or_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-7f3a-secret"
    other = "canary-91b2-header"
    monkeypatch.setitem(ENVIRONMENT, "TEST_TOKEN", canary)
    monkeypatch.setitem(ENVIRONMENT, "TEST_HEADER", other)
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_answer_once, args=(listener, seen), daemon=True).start()
    plan = plan_file(
        tmp_path,
        target={
            "host": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "api_key_env": "TEST_TOKEN",
            "headers": {"X-Api-Key": "key ${TEST_HEADER}", "X-Tenant": "blue"},
        },
        phases=[{"name": "only", "rate": 2, "duration": "1s"}],
    )
    run = certify(plan)
    listener.close()

    assert f"Authorization: Bearer {canary}\r\n".encode() in b"".join(seen), "the server is to get the token"
    assert f"X-Api-Key: key {other}\r\n".encode() in b"".join(seen), "and the headers of the plan"
    assert b"X-Tenant: blue\r\n" in b"".join(seen)
    for secret in (canary, other):
        assert secret not in run.out + run.err
        leaked = [p for p in run.folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
        assert leaked == []
    assert run.record.plan.target.headers.keys() == {"X-Api-Key", "X-Tenant"}


def _answer_once(listener: socket.socket, seen: list[bytes]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        seen.append(client.recv(65536))
        # An echo of what was sent is what a careless server does; it must not end up in an error text either.
        body = seen[-1]
        client.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        client.close()


def test_a_monitor_that_dies_leaves_its_limits_without_data_and_the_run_without_a_pass(tmp_path: Path) -> None:
    criteria = [{"id": "memory", "metric": "memory_max_bytes", "below": 10_000_000_000}]
    plan = plan_file(tmp_path, phases=[{"name": "only", "rate": 10, "duration": "14s"}], criteria=criteria)
    with subprocess.Popen(
        command(plan, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        locust = locust_of(process.pid)
        wait_for_load(tmp_path / "runs")
        next(child for child in locust.children() if "monitoring" in child.cmdline()).kill()
        out, _ = process.communicate(timeout=60)
    run = finished(process.returncode, out, "", tmp_path / "runs")

    assert run.code == 3, out
    assert run.states() == {"memory": "no_data"}


def test_a_run_in_which_only_warnings_were_judged_is_no_pass(tmp_path: Path) -> None:
    criteria = [{"metric": "success_rate", "at_least": 0.5, "severity": "warn"}]
    run = certify(plan_file(tmp_path, criteria=criteria))

    assert run.code == 3, run.out
    assert "nothing was judged" in " ".join(run.verdict["reasons"])
