"""The SQL client on real databases: it waits without blocking, names what goes wrong, and reads the plans."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.errors import ConnectFailed, QueryFailed
from clients.sql import SqlClient, explained
from tests.services import free_port, postgresql

ROOT = Path(__file__).resolve().parents[2]
SLOW = {
    "postgresql": "SELECT pg_sleep(0.6)",
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 6000000) SELECT MAX(x) FROM n",
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["postgresql", "sqlite"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    kind = str(request.param)
    url = request.getfixturevalue("postgres") if kind == "postgresql" else f"sqlite:///{tmp_path / 'one.db'}"
    command = [sys.executable, "-m", "tests.clients.sql_process", url, SLOW[kind]]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer | {"kind": kind}


@pytest.mark.alone
def test_users_of_one_process_do_not_block_each_other_and_what_goes_wrong_is_named(told: dict[str, Any]) -> None:
    beside = told["beside"]
    assert beside["still_busy"]  # the slow query ran all the time while the quick ones were made
    assert beside["quick_s"] < 0.05
    assert beside["turn_s"] < 0.02
    if told["kind"] == "postgresql":
        alone, beside_a_sleeper = told["crowd_s"]  # 50 users with connections of their own
        assert beside_a_sleeper - alone < 0.005
    first, second, third = told["pool_wait"]
    assert first < 0.05
    assert third > second * 1.5 > 0.1
    assert told["killed"] == [[7]]
    assert told["exhausted"] == ["TimedOut", "pool exhausted: none of 1 connections was free within 0.3 s"]
    name, words = told["timed_out"]
    assert name == "TimedOut"
    if told["kind"] == "postgresql":
        assert words == "the database cancelled the statement: statement timeout"
    else:
        assert words == "no answer within 0.3 s"
    assert told["after_time_out"] == [[8]]
    assert told["broken"][0] == "QueryFailed"
    assert "nowhere" in told["broken"][1]
    assert told["after_broken"] == [[9]]


@pytest.mark.clock
def test_a_lock_that_is_not_given_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    client = SqlClient(f"sqlite:///{path}", connections=1, timeout=0.2)
    client.run("CREATE TABLE t (x INTEGER)")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueryFailed, match=r"^locked: database is locked"):
        client.run("INSERT INTO t VALUES (1)")
    other.rollback()
    other.close()
    assert client.run("INSERT INTO t VALUES (1)").count == 1
    client.close()


def test_nobody_listening_is_named() -> None:
    client = SqlClient(f"postgresql://nobody@127.0.0.1:{free_port()}/none", connections=1, timeout=2)
    with pytest.raises(ConnectFailed, match=r"^the database refused the connection$"):
        client.run("SELECT 1")
    client.close()


def test_a_database_without_a_connection_left_is_named(postgres: str) -> None:
    crowd = SqlClient(postgres, connections=120, timeout=5)
    held = [crowd._engine.connect() for _ in range(100)]  # as many as PostgreSQL allows its administrator
    with pytest.raises(ConnectFailed, match=r"^the database has no connection left: "):
        crowd.run("SELECT 1")
    for one in held:
        one.close()
    crowd.close()


def test_many_rows_are_one_batch_and_rows_are_fetched(tmp_path: Path) -> None:
    client = SqlClient(f"sqlite:///{tmp_path / 'rows.db'}", connections=1, timeout=2)
    client.run("CREATE TABLE t (x INTEGER, y TEXT)")
    assert client.run("INSERT INTO t VALUES (:x, :y)", [{"x": n, "y": "a" * n} for n in range(50)]).count == 50
    found = client.run("SELECT x FROM t WHERE x >= :low ORDER BY x", {"low": 45})
    assert (found.rows, found.count) == ([(45,), (46,), (47,), (48,), (49,)], 5)
    client.close()


def test_postgresql_tells_the_index_and_explaining_changes_nothing(postgres: str) -> None:
    client = SqlClient(postgres, connections=1, timeout=5)
    client.run("DROP TABLE IF EXISTS t")
    client.run("CREATE TABLE t (x INTEGER PRIMARY KEY, y INTEGER)")
    client.run("INSERT INTO t SELECT n, n FROM generate_series(1, 5000) AS n")
    client.run("ANALYZE")
    by_key = client.explain("SELECT * FROM t WHERE x = :x", {"x": 7})
    by_value = client.explain("SELECT * FROM t WHERE y = :y", {"y": 7})
    change = client.explain("UPDATE t SET y = 0 WHERE x = :x", {"x": 7})
    assert by_key is not None
    assert (by_key.indexes, by_key.scanned) == (("t_pkey",), ())
    assert "Buffers" in by_key.text
    assert by_value is not None
    assert (by_value.indexes, by_value.scanned) == ((), ("t",))
    assert change is not None
    assert change.indexes == ("t_pkey",)
    assert client.run("SELECT y FROM t WHERE x = 7").rows == [(7,)]
    client.close()


@pytest.mark.parametrize(
    ("plan", "indexes", "scanned"),
    [
        ("SEARCH r USING INDEX ix_a (status=?)", ("ix_a",), ()),
        ("SEARCH r USING COVERING INDEX ix_b (status=?)", ("ix_b",), ()),
        ("SEARCH r USING INTEGER PRIMARY KEY (rowid=?)", ("INTEGER PRIMARY KEY",), ()),
        ("SCAN r", (), ("r",)),
        ("SCAN r USING INDEX ix_c\nSCAN t\nUSE TEMP B-TREE FOR ORDER BY", ("ix_c",), ("t",)),
        ("Bitmap Heap Scan on r\n  ->  Bitmap Index Scan on ix_d", ("ix_d",), ()),
        ("Index Only Scan Backward using ix_e on r", ("ix_e",), ()),
        ("Parallel Seq Scan on runs r", (), ("runs",)),
    ],
)
def test_plans_are_read(plan: str, indexes: tuple[str, ...], scanned: tuple[str, ...]) -> None:
    assert (explained(plan).indexes, explained(plan).scanned) == (indexes, scanned)
