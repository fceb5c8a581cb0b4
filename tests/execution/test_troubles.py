"""Troubles that are really provoked, and named by the report with their evidence."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.execution.harness import Finished, certify, plan_file, wait_for_load
from tests.services import postgresql, until
from tests.target.process import Target


def findings(run: Finished) -> dict[str, dict[str, Any]]:
    return {finding["kind"]: finding for finding in run.verdict["findings"]}


def own_queries(folder: Path, url: str, query: str, **options: Any) -> dict[str, Any]:
    """Return a mix of one query of the plan's own."""
    file = folder / "queries.yaml"
    file.write_text(json.dumps({"queries": {"only": {"sql": query}}}), encoding="utf-8")
    return {"DatabaseUser": {"url": url, "queries": str(file)} | options}


@contextmanager
def locking(database: Path, runs: Path) -> Iterator[None]:
    """Hold the database's lock from the first samples of a run on."""
    over = threading.Event()

    def hold() -> None:
        wait_for_load(runs)
        with sqlite3.connect(database, timeout=30) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_locked_database_is_named(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE items (price INTEGER)")
    mix = own_queries(tmp_path, f"sqlite:///{database}", "INSERT INTO items VALUES (1)", timeout="500ms")
    phases = [{"name": "only", "rate": 5, "duration": 5}]
    with locking(database, tmp_path / "runs"):
        run = certify(plan_file(tmp_path, mix=mix, phases=phases))

    assert run.code == 1, run.out + run.err
    found = findings(run)["database_locked"]
    assert "of DatabaseUser in only, from" in found["evidence"][0]
    assert "found: the database was locked" in run.out
    assert "one writer" in found["advice"]


def test_a_database_without_a_connection_left_is_named(tmp_path: Path) -> None:
    with postgresql() as url, ExitStack() as held:
        with suppress(psycopg.OperationalError):
            while True:
                held.enter_context(psycopg.connect(url))
        mix = own_queries(tmp_path, url, "SELECT 1")
        run = certify(plan_file(tmp_path, mix=mix, phases=[{"name": "only", "rate": 5, "duration": 2}]))

    assert run.code == 1, run.out + run.err
    assert "max_connections" in findings(run)["no_connection_left"]["advice"]


def test_a_refused_websocket_is_named_with_the_path_to_look_at(tmp_path: Path) -> None:
    mix = {"WebSocketUser": {"connections": 3, "path": "/nowhere"}}
    criteria = [{"metric": "ws_success_rate", "at_least": 1}]
    phases = [{"name": "only", "rate": 5, "duration": 3}]
    everything = {"EvaluationRunUser": {"share": 1}} | mix
    run = certify(plan_file(tmp_path, mix=everything, phases=phases, criteria=criteria))

    assert run.code == 1, run.out + run.err
    found = findings(run)["websocket_refused"]
    assert "of WebSocketUser in only" in found["evidence"][0]
    assert found["advice"]


def test_too_few_connections_on_this_side_are_named_and_bound_the_run(tmp_path: Path) -> None:
    criteria = [{"metric": "latency_p95_ms", "below": 1}]
    phases = [{"name": "only", "users": 8, "duration": 3}]
    with postgresql() as url:
        mix = own_queries(tmp_path, url, "SELECT pg_sleep(0.02)", connections=1)
        run = certify(plan_file(tmp_path, mix=mix, phases=phases, criteria=criteria))

    assert run.code == 1, run.out + run.err
    found = findings(run)
    assert (
        "of the time of the queries in only was the wait for one of the 1 connections"
        in (found["pool_wait"]["evidence"][0])
    )
    assert "the pool on this side" in found["bottleneck"]["what"]


READS: dict[str, Any] = {"ReadOnlyUser": {}}
BROKEN = [{"metric": "latency_p50_ms", "below": 0.001, "phase": "only"}]


@pytest.mark.parametrize(
    ("fault", "bound", "evidence"),
    [
        ({"kind": "lock", "params": {"ms": 60}}, "a lock of its own", "requests waited for a lock of the server"),
        ({"kind": "capacity", "params": {"rps": 15}}, "its queue", "requests waited before the server on average"),
    ],
)
def test_what_the_platform_is_made_to_wait_for_is_what_bound_it(
    fault: dict[str, Any], bound: str, evidence: str, tmp_path: Path
) -> None:
    phases = [{"name": "only", "users": 12, "duration": 5}]
    run = certify(plan_file(tmp_path, mix=READS, phases=phases, criteria=BROKEN, faults=[fault]))

    assert run.code == 1, run.out + run.err
    found = findings(run)["bottleneck"]
    assert "in only the target was bound by" in found["what"]
    assert bound in found["what"]
    assert any(evidence in text for text in found["evidence"])


def test_a_row_that_every_query_changes_is_a_lock_in_the_database(tmp_path: Path) -> None:
    query = "WITH changed AS (UPDATE items SET n = n + 1 WHERE id = 1 RETURNING n) SELECT n, pg_sleep(0.1) FROM changed"
    with postgresql() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE items (id int PRIMARY KEY, n int)")
            connection.execute("INSERT INTO items VALUES (1, 0)")
        mix = own_queries(tmp_path, url, query, connections=8)
        phases = [{"name": "only", "users": 8, "duration": 5}]
        run = certify(plan_file(tmp_path, mix=mix, phases=phases, criteria=BROKEN))

    assert run.code == 1, run.out + run.err
    found = findings(run)["bottleneck"]
    assert "locks in the database" in found["what"]
    assert any("connections of the database waited for a lock on average" in text for text in found["evidence"])


@contextmanager
def limited_memory(pid: int, megabytes: int) -> Iterator[None]:
    """Put a process into a control group that may have so much memory; where that is not allowed, skip."""
    groups = Path("/sys/fs/cgroup")
    root = groups / "memory" if (groups / "memory").is_dir() else groups
    group = root / f"proofload-test-{pid}"
    limit = "memory.limit_in_bytes" if root != groups else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(megabytes * 2**20))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield
    finally:
        until(lambda: not (group / "cgroup.procs").read_text().strip())
        group.rmdir()


def test_a_server_near_the_memory_that_its_control_group_may_have_is_bound_by_it(tmp_path: Path) -> None:
    server = Target()
    with ExitStack() as cleaning:
        cleaning.enter_context(limited_memory(server.process.pid, 400))
        cleaning.callback(server.stop)
        rest = 400 - server.tree().memory_info().rss / 2**20
        server.fault("memory_leak", mb_per_s=200, at_most_mb=rest - 25)
        until(lambda: server.tree().memory_info().rss > 365 * 2**20)
        target = {"host": server.url, "process": {"pid": server.process.pid}}
        phases = [{"name": "only", "users": 2, "duration": 5}]
        run = certify(plan_file(tmp_path, mix=READS, phases=phases, criteria=BROKEN, target=target))

    assert run.code == 1, run.out + run.err
    assert "memory (its limit)" in findings(run)["bottleneck"]["what"]


def test_burnt_cores_are_the_bottleneck_that_is_named(tmp_path: Path) -> None:
    run = certify(
        plan_file(
            tmp_path,
            phases=[{"name": "only", "rate": 20, "duration": 6}],
            criteria=[{"metric": "latency_p50_ms", "below": 0.001, "phase": "only"}],
            faults=[{"kind": "cpu", "params": {"cores": os.cpu_count()}}],
            generator={"lag_p99_ms": 5000, "loop_lag_p99_ms": 5000, "cpu": 2},
        )
    )

    assert run.code == 1, run.out + run.err
    found = findings(run)["bottleneck"]
    assert "in only the target was bound by CPU" in found["what"]
    assert "of the machine was busy on average, the target" in found["evidence"][0]
    # Its pool and its queue are read from the target's own page, and were idle.
    assert any("of 8 connections of the server's pool were in use" in text for text in found["evidence"])
    assert any(text.startswith("queue: 0") for text in found["evidence"])
