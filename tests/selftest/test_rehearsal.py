"""The rehearsal says of each plan whether it came to a verdict, and of one that did not, why."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.execution.harness import ENVIRONMENT, ROOT

PLAN = {
    "id": "GOOD",
    "title": "a plan",
    "mix": {"ReadOnlyUser": {}},
    "phases": [{"name": "only", "rate": 20, "duration": "10m"}],
    "criteria": [{"metric": "latency_p95_ms", "below": 0.001}],
}
USER = """
from locust import User, task

class Broken(User):
    @task
    def work(self):
        raise RuntimeError("no longer fits")
"""


def test_a_verdict_of_any_kind_is_enough_and_what_never_came_to_one_is_named(tmp_path: Path) -> None:
    plans = {
        "good": PLAN,
        "silent": PLAN | {"mix": {"ReadOnlyUser": {"path": "/nothing"}}},
        "broken": PLAN | {"mix": {"Broken": {"file": "users.py"}}},
        "wrong": PLAN | {"phases": []},
    }
    for name, plan in plans.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "part.yaml").write_text("id: PART\n", encoding="utf-8")
    (tmp_path / "users.py").write_text(USER, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "selftest.rehearsal", str(tmp_path), "--seconds=1", "--jobs=2"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    said = {line.split()[-1].rpartition("/")[2]: line for line in done.stdout.splitlines() if line.endswith(".yaml")}
    assert said["good.yaml"].startswith("judged ")
    assert {name for name, line in said.items() if line.startswith("not judged")} == {
        "silent.yaml",
        "broken.yaml",
        "wrong.yaml",
    }
    assert "there was not one good answer" in done.stdout
    assert "phases must have at least one entry" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 of 4 plans were judged")
