"""Generated evaluation runs: the documented proportions, believable values, the same ones for the same seed."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import tables
from data.generators import FAILURES, MODELS, TEMPLATES, evaluation_runs

ROOT = Path(__file__).parents[2]


def test_statuses_have_the_documented_proportions() -> None:
    counts = Counter(run["status"] for run in evaluation_runs(1, 1000))
    assert counts == {"completed": 700, "failed": 150, "running": 100, "pending": 50}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64), n=st.integers(0, 120))
def test_proportions_hold_to_one_run_at_any_size(seed: int, n: int) -> None:
    runs = evaluation_runs(seed, n)
    counts = Counter(run["status"] for run in runs)
    assert len(runs) == n
    shares = {"completed": 0.7, "failed": 0.15, "running": 0.1, "pending": 0.05}
    assert all(abs(counts[status] - share * n) < 1 for status, share in shares.items())


def test_the_same_seed_gives_the_same_runs_and_another_seed_others() -> None:
    assert evaluation_runs(7, 50) == evaluation_runs(7, 50)
    assert evaluation_runs(7, 50) != evaluation_runs(8, 50)


def test_another_process_makes_the_same_runs() -> None:
    code = "import json; from data.generators import evaluation_runs; print(json.dumps(evaluation_runs(7, 50)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == evaluation_runs(7, 50)


def test_values_are_believable() -> None:
    for run in evaluation_runs(3, 500):
        metrics = run["metrics"]
        assert run["template_name"] in TEMPLATES
        assert run["model_name"] in MODELS
        assert 0 < len(run["name"]) <= 200
        assert 0 < len(run["description"]) <= 2000
        assert (metrics["accuracy"] is not None) == (run["status"] == "completed")
        assert (metrics["latency_ms"] is not None) == (run["status"] == "completed")
        assert (metrics["tokens"] is None) == (run["status"] == "pending")
        assert any(failure in run["description"] for failure in FAILURES) == (run["status"] == "failed")
        assert 0 <= (metrics["accuracy"] or 0) <= 1
        assert 50 < (metrics["latency_ms"] or 100) < 20_000
        assert 200 <= (metrics["tokens"] or 200) <= 2_000_000
        assert 0 < (metrics["cost_usd"] or 1) <= 2


def test_runs_are_varied() -> None:
    runs = evaluation_runs(3, 300)
    assert {run["template_name"] for run in runs} == set(TEMPLATES)
    assert {run["model_name"] for run in runs} == set(MODELS)
    assert len({run["name"] for run in runs}) == 300
    assert len({run["description"] for run in runs}) > 295


def test_the_modules_load_quickly_and_without_faker() -> None:
    code = (
        "import sys, time; began = time.process_time(); import data.generators, data.prompts, data.quality; "
        "print(time.process_time() - began, 'faker' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    seconds, faker = done.stdout.split()
    assert float(seconds) < 0.15
    assert faker == "False"


@pytest.mark.parametrize("n", [1, 200])
def test_runs_can_be_sent_as_json(n: int) -> None:
    runs = evaluation_runs(1, n)
    assert json.loads(json.dumps(runs)) == runs


def test_rows_of_tables_refer_to_templates_that_exist() -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for statement in tables.create("sqlite"):
            connection.execute(statement)
        connection.executemany(tables.INSERT_TEMPLATE, tables.templates())
        columns = ", ".join(rows := next(tables.run_rows(5, 1)))
        places = ", ".join(f":{name}" for name in rows)
        insert = f"INSERT INTO proofload_runs ({columns}) VALUES ({places})"
        connection.executemany(insert, tables.run_rows(5, 1000))
        joined = "SELECT COUNT(*), SUM(t.name = r.template_name) FROM proofload_runs r JOIN proofload_templates t"
        assert connection.execute(f"{joined} ON t.id = r.template_id").fetchone() == (1000, 1000)
        statuses = dict(connection.execute("SELECT status, COUNT(*) FROM proofload_runs GROUP BY status"))
        assert statuses == {"completed": 700, "failed": 150, "running": 100, "pending": 50}
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(insert, rows | {"template_id": 999})
