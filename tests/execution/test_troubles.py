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

from tests.execution.harness import Finished, certify, plan_file, wait_for_load
from tests.services import postgresql

SLOW = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000) SELECT COUNT(*) FROM c"


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
    mix = own_queries(tmp_path, f"sqlite:///{tmp_path / 'empty.db'}", SLOW, connections=1)
    criteria = [{"metric": "latency_p95_ms", "below": 1}]
    phases = [{"name": "only", "users": 8, "duration": 3}]
    run = certify(plan_file(tmp_path, mix=mix, phases=phases, criteria=criteria))

    assert run.code == 1, run.out + run.err
    found = findings(run)
    assert (
        "of the time of the queries in only was the wait for one of the 1 connections"
        in (found["pool_wait"]["evidence"][0])
    )
    assert "the pool on this side" in found["bottleneck"]["what"]


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
