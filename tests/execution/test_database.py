"""A database under load: every query a sample, plans of queries in the report, and nothing left behind."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from plans.run import Ending
from samples.segments import READING_SCHEMA, read_table, reading_files
from tests.execution.harness import ENVIRONMENT, ROOT, Finished, certify, plan_file
from tests.services import free_port, postgresql

PASSWORD = "canary-of-the-password"
KINDS = {"select_by_id", "page", "filter", "join", "aggregate", "text_search", "update", "bulk_insert"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgresql(PASSWORD) as url:
        yield url.replace("tester@", f"tester:{PASSWORD}@")


def database_plan(folder: Path, url: str = "sqlite", **keys: Any) -> Path:
    options = {"url": url, "connections": 4, "rows": 400, "only": {"inserts": ["bulk_insert"]}}
    return plan_file(
        folder,
        mix={"DatabaseUser": options | keys.pop("options", {})},
        phases=[{"name": "inserts", "rate": 10, "duration": 2}, {"name": "mixed", "rate": 100, "duration": 3}],
        criteria=[
            {"id": "ok", "metric": "success_rate", "at_least": 1},
            {"id": "wait", "metric": "pool_wait_p95_ms", "below": 500},
            {"id": "index", "metric": "index_used", "is": True, "name": "select_by_id"},
            {"id": "scan", "metric": "index_used", "is": True, "name": "text_search", "severity": "warn"},
        ],
        **keys,
    )


def names_of(run: Finished, phase: str) -> Counter[str]:
    return Counter(row["name"] for row in run.samples if row["phase"] == phase)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_each_query_is_a_sample_and_its_plan_stands_in_the_report(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = "sqlite" if kind == "sqlite" else request.getfixturevalue("postgres")
    run = certify(database_plan(tmp_path, url))
    assert run.code == 0, run.out + run.err
    assert names_of(run, "inserts") == {"bulk_insert": 20}
    mixed = names_of(run, "mixed")
    assert mixed.total() == 300
    assert set(mixed) <= KINDS
    assert mixed["select_by_id"] > mixed["bulk_insert"]
    rows = [row for row in run.samples if row["name"] == "bulk_insert"]
    assert {row["rows"] for row in rows} == {100}
    assert all(row["pool_wait_ms"] is not None and row["protocol"] == "sql" for row in run.samples)
    assert run.states() == {"ok": "pass", "wait": "pass", "index": "pass", "scan": "warn"}
    plans = {query["name"]: query for query in run.verdict["queries"]}
    assert set(plans) == KINDS
    assert plans["text_search"]["scanned"] == ["proofload_runs"]
    page = (run.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "sequential scan of proofload_runs" in page
    assert "served by index" in page
    assert not list(run.folder.glob("load.db*"))


def test_the_password_is_in_no_file_and_the_tables_are_gone(tmp_path: Path, postgres: str) -> None:
    run = certify(database_plan(tmp_path, postgres))
    assert run.code == 0, run.out + run.err
    said = run.out + run.err + "".join(f.read_bytes().decode("latin-1") for f in run.folder.rglob("*") if f.is_file())
    assert PASSWORD not in said
    assert "tester:***@" in said
    with psycopg.connect(postgres) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'proofload%'").fetchall()
    assert found == []


def test_the_tables_are_removed_after_ctrl_c_too(tmp_path: Path, postgres: str) -> None:
    plan = database_plan(tmp_path, postgres, options={"only": {}})
    command = [sys.executable, str(ROOT / "certify.py"), str(plan), f"--runs={tmp_path / 'runs'}"]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 30
    with psycopg.connect(postgres, autocommit=True) as connection:
        while not connection.execute("SELECT to_regclass('proofload_runs')").fetchall()[0][0]:
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert connection.execute("SELECT to_regclass('proofload_runs')").fetchall() == [(None,)]
    run = Finished(process.returncode, "", "", next((tmp_path / "runs").iterdir()))
    assert run.record.ending is Ending.INTERRUPTED
    assert run.samples


def test_a_file_of_queries_of_ones_own_is_used_on_a_database_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, price INTEGER)")
        connection.executemany("INSERT INTO items VALUES (?, ?)", [(n, n * 10) for n in range(1, 101)])
    queries = tmp_path / "queries.yaml"
    queries.write_text(
        json.dumps(
            {
                "queries": {
                    "item": {
                        "weight": 3,
                        "sql": "SELECT price FROM items WHERE id = :id",
                        "parameters": {"id": {"query": "SELECT id FROM items"}},
                    },
                    "dear": {"sql": "SELECT * FROM items WHERE price > :least", "parameters": {"least": [900]}},
                }
            }
        ),
        encoding="utf-8",
    )
    plan = plan_file(
        tmp_path,
        mix={"DatabaseUser": {"url": f"sqlite:///{path}", "queries": str(queries)}},
        phases=[{"name": "only", "rate": 50, "duration": 2}],
        criteria=[{"metric": "success_rate", "at_least": 1}],
    )
    run = certify(plan)
    assert run.code == 0, run.out + run.err
    rows = Counter((row["name"], row["rows"]) for row in run.samples)
    assert set(rows) == {("item", 1), ("dear", 10)}
    assert rows.total() == 100
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM items").fetchone() == (100,)


def test_the_connections_of_the_database_are_watched_and_judged(postgres: str, tmp_path: Path) -> None:
    plan = plan_file(
        tmp_path,
        mix={"DatabaseUser": {"url": postgres, "connections": 3, "rows": 100}},
        phases=[{"name": "only", "users": 6, "duration": 3}],
        criteria=[{"id": "pool", "metric": "pool_exhausted", "is": False}],
    )
    run = certify(plan)
    assert run.states() == {"pool": "pass"}, run.out + run.err
    rows = read_table(reading_files(run.folder), READING_SCHEMA).to_pylist()
    own = [row["value"] for row in rows if row["metric"] == "own_connections" and row["t_s"] > 0.5]
    assert 3 in own
    assert max(own) <= 4  # the pool's, and at the end perhaps the one that asks for the plans
    page = (run.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "Database: connections, and what they wait for" in page
    everything = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in everything)


def test_a_database_that_is_not_there_fails_the_run_by_name(tmp_path: Path) -> None:
    run = certify(database_plan(tmp_path, f"postgresql://tester@127.0.0.1:{free_port()}/none"))
    assert run.code == 1, run.out + run.err
    assert {(row["outcome"], row["error"]) for row in run.samples} == {
        ("connect_error", "the database refused the connection")
    }
    found = {one.name: one for one in run.record.preconditions}
    assert not found["database ready"].held


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "postgresql://db.example.com/load"}, "mix.DatabaseUser.url is not allowed: add 'db.example.com'"),
        ({"url": "nothing"}, "mix.DatabaseUser.url must be 'sqlite', or a URL such as postgresql://user@host/name"),
        ({"url": "oracle9://127.0.0.1/x"}, "mix.DatabaseUser.url must be a database URL such as"),
        ({"only": {"noon": ["page"]}}, "mix.DatabaseUser.only.noon is not a phase of the plan"),
        ({"only": {"mixed": ["pages"]}}, "mix.DatabaseUser.only.mixed must name queries of weight > 0"),
        ({"queries": "missing.yaml"}, "missing.yaml: does not exist"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_anything_is_sent(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    if "queries" in options:
        options = options | {"rows": None}
    plan = plan_file(
        tmp_path,
        mix={"DatabaseUser": {key: value for key, value in options.items() if value is not None}},
        phases=[{"name": "mixed", "rate": 1, "duration": 1}],
        criteria=[{"metric": "success_rate", "at_least": 1}],
    )
    command = [sys.executable, str(ROOT / "certify.py"), str(plan), f"--runs={tmp_path / 'runs'}"]
    refused = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert words in refused.stdout + refused.stderr
