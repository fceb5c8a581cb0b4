"""`python -m capacity` for real, with a queue of known capacity: a short search, and an interrupted one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.capacity import SETTINGS, plan_of
from plans.exits import Exit

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--rung=2s", "--probe=4s", "--settle=0.5s", "--start=15")
CALM = {"lag_p99_ms": 5000, "loop_lag_p99_ms": 5000, "cpu": 8, "sent": 0.5}
"""These tests are not about the generator's health."""


def command(tmp_path: Path, *options: str) -> list[str]:
    plan = plan_of(SETTINGS[1], 40.0) | {"id": "KNOWN", "generator": CALM}
    file = tmp_path / "known.yaml"
    file.write_text(json.dumps(plan), encoding="utf-8")
    return [sys.executable, "-m", "capacity", str(file), f"--runs={tmp_path}", *SHORT, *options]


def kept(tmp_path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tmp_path / "capacity" / "KNOWN.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.long
def test_a_short_search_finds_about_where_a_known_capacity_is(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "--time-limit=40s", "--for=500"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = kept(tmp_path)
    assert done.returncode == found["exit_code"], done.stderr
    assert done.returncode == (Exit.INVALID if found["drift"] else Exit.PASS), done.stdout
    assert 25 < found["capacity"] < 100, done.stdout  # 50 by formula
    assert found["low"] <= found["capacity"] <= found["high"]
    assert found["limiting"].startswith("success_rate")
    assert found["sizing"][0]["instances"] >= 500 / found["low"]
    broken = [p for p in found["probes"] if p["readings"][0]["bad"] > 0.05 * p["readings"][0]["trials"]]
    assert 0 < len(broken) < len(found["probes"])
    assert all((Path(found["folder"]) / probe["run"] / "report" / "report.html").exists() for probe in found["probes"])
    (page,) = tmp_path.glob("capacity/*-KNOWN/capacity.html")
    assert "Universal Scalability Law" in page.read_text(encoding="utf-8")


@pytest.mark.long
def test_an_interrupted_search_keeps_what_it_found_and_says_so(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as search:
        assert search.stdout is not None
        for line in search.stdout:
            if "rung" in line and "broken" in line:
                break
        search.send_signal(signal.SIGINT)
        rest = search.stdout.read()
    found = kept(tmp_path)
    assert search.returncode == found["exit_code"] == Exit.INVALID, rest
    assert found["ended"] == "interrupted"
    assert len(found["probes"]) >= 2
    assert "found so far" in rest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--phase=x"], "--phase must be a phase of"),
        (["--by=users"], "--start must be given"),
        (["--start=50", "--highest=20"], "--highest must be above"),
        (["--host=http://example.org"], "example.org"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_load(tmp_path: Path, words: list[str], said: str) -> None:
    wanted = [word for word in command(tmp_path) if word != "--start=15"]
    done = subprocess.run([*wanted, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.USAGE, done.stdout
    assert said in done.stderr
