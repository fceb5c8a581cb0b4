"""Figures over many runs: what is remembered, where a level changed, what the page shows, and what may go."""

import json
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plans.run import RunRecord
from reports.history import main
from reports.levels import turns
from reports.prune import main as prune
from tests.reports.builder import RunBuilder

START = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def verdict(folder: Path, day: int, p95: float, **changes: Any) -> Path:
    """Write what the history reads of a run: its verdict.json."""
    metrics = {
        "latency_p95_ms": {"value": p95, "samples": 1000, "why": None, "interval": [p95 * 0.98, p95 * 1.02]},
        "throughput_rps": {"value": 50.0, "samples": 1000, "why": None, "interval": None},
    }
    phase = {"shape": "ramp", "start_s": 0, "end_s": 10, "reached": True, "load": "1 → 50 RPS", "metrics": {}}
    sustained = phase | {"name": "sustained", "shape": "sustained", "end_s": 60, "load": "50 RPS", "metrics": metrics}
    document = {
        "verdict": "PASS",
        "run": {
            "id": folder.name, "plan": {"id": "A-1", "title": "a <b>"}, "host": "http://a",
            "started_at": (START + timedelta(days=day)).isoformat(), "rehearsal": False,
        },
        "phases": [phase | {"name": "ramp", "end_s": 900}, sustained],
        "total": phase | {"name": "whole run"},
    }  # fmt: skip
    document |= {key: value for key, value in changes.items() if key in document}
    document["run"] |= {key: value for key, value in changes.items() if key not in document}  # type: ignore[operator]
    (folder / "report").mkdir(parents=True, exist_ok=True)
    (folder / "report" / "verdict.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def kept(runs: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((runs / "history" / "history.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for day in range(12):
        verdict(tmp_path / f"run-{day:02d}", day, (100 if day < 7 else 130) * float(rng.normal(1, 0.01)))
    return tmp_path


def test_a_change_of_level_is_found_where_it_happened(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", str(runs)]) == 0
    (plan,) = kept(runs)["plans"]
    assert (plan["plan"], plan["phase"], plan["load"], len(plan["runs"])) == ("A-1", "sustained", "50 RPS", 12)
    (turn,) = plan["metrics"]["latency_p95_ms"]["turns"]
    assert (turn["run"], turn["worse"]) == ("run-07", True)
    assert turn["change"] == pytest.approx(0.3, abs=0.03)
    assert plan["metrics"]["throughput_rps"]["turns"] == []
    assert "! latency_p95_ms" in capsys.readouterr().out
    page = (runs / "history" / "history.html").read_text(encoding="utf-8")
    assert page.count("<circle") == 24
    assert "a &lt;b&gt;" in page
    assert "../run-07/report/report.html" in page


def test_a_newest_level_that_is_worse_is_an_alert_by_exit_code(runs: Path) -> None:
    assert main(["--runs", str(runs), "--alert"]) == 1
    for day in range(12, 16):
        verdict(runs / f"run-{day}", day, 99 + day % 3)
    assert main(["--runs", str(runs), "--alert"]) == 0


def test_only_what_is_new_is_read_and_what_was_removed_stays(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--runs", str(runs)]) == 0
    read: list[str] = []
    original = Path.read_text

    def reading(path: Path, **how: Any) -> str:
        read.append(str(path))
        return original(path, **how)

    monkeypatch.setattr(Path, "read_text", reading)
    verdict(runs / "run-03", 3, 77)
    os.utime(runs / "run-03" / "report" / "verdict.json", (1, 1))
    shutil.rmtree(runs / "run-05")
    assert main(["--runs", str(runs)]) == 0
    assert [Path(file).parent.parent.name for file in read if file.endswith("verdict.json")] == ["run-03"]
    values = {one["run"]: one["value"] for one in kept(runs)["plans"][0]["metrics"]["latency_p95_ms"]["values"]}
    assert values["run-03"] == 77
    assert "run-05" in values
    page = original(runs / "history" / "history.html", encoding="utf-8")
    assert "run-05: " in page
    assert "../run-05/" not in page


def test_runs_that_say_nothing_have_no_dot(runs: Path) -> None:
    verdict(runs / "bad", 20, 900, verdict="INVALID")
    verdict(runs / "short", 21, 900, rehearsal=True)
    (runs / "none" / "report").mkdir(parents=True)
    (runs / "none" / "report" / "verdict.json").write_text("[]", encoding="utf-8")
    assert main(["--runs", str(runs)]) == 0
    plan = kept(runs)["plans"][0]
    assert len(plan["runs"]) == 13
    assert len(plan["metrics"]["latency_p95_ms"]["values"]) == 12
    assert main(["--runs", str(runs), "--rehearsals"]) == 0
    assert len(kept(runs)["plans"][0]["runs"]) == 14


def test_another_load_is_another_history(runs: Path) -> None:
    folder = verdict(runs / "other", 20, 100)
    file = folder / "report" / "verdict.json"
    file.write_text(file.read_text(encoding="utf-8").replace("50 RPS", "60 RPS"), encoding="utf-8")
    assert main(["--runs", str(runs)]) == 0
    assert [len(plan["runs"]) for plan in kept(runs)["plans"]] == [12, 1]


@pytest.mark.parametrize("options", [["--runs", "no/such"], ["--plan", "B-2"]])
def test_nothing_to_tell_of_is_said_with_exit_code_2(
    runs: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--runs", str(runs), *options]) == 2
    assert "error: " in capsys.readouterr().err


def test_steady_series_are_hardly_ever_given_a_turn_and_steps_are_found() -> None:
    rng = np.random.default_rng(2)
    steady = [turns(list(rng.normal(100, 5, count)), True) for count in (6, 12, 30) for _ in range(100)]
    assert sum(map(bool, steady)) <= 24
    for _ in range(20):
        values = np.concatenate([rng.normal(100, 2, 10), rng.normal(120, 2, 10)])
        assert any(abs(place - 10) <= 1 for place in turns(list(values), True))
    assert turns([1.0] * 12, True) == []
    assert turns([1.0] * 6 + [2.0] * 6, True) == [6]
    assert turns([100.0] * 5, True) == []


# --- retention ---------------------------------------------------------------------------------------------------


def run(place: Path, name: str, days_old: float, plan: str = "A-1", **record: Any) -> Path:
    started = (datetime.now().astimezone() - timedelta(days=days_old)).isoformat(timespec="seconds")
    return RunBuilder(id=plan).record(**({"id": name, "started_at": started} | record)).write(place / name)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    place = tmp_path / "runs"
    for index in range(5):
        run(place, f"a-{index}", 100 + index)
    run(place, "b-0", 400, plan="B-1")
    run(place, "young", 1)
    run(place, "base", 500)
    run(place, "signed", 600)
    run(place, "unfinished", 300, ending="running", ended_s=None)
    (place / "notes").mkdir()
    (place / "notes" / "run.json").write_text("{}", encoding="utf-8")
    shutil.copytree(place / "a-0", place / "renamed")
    (place / "link").symlink_to(place / "a-1")
    (place / "certificate").mkdir()
    (place / "certificate" / "certificate.json").write_text('{"cases": [{"run": "signed"}]}', encoding="utf-8")
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "x.json").write_text('{"run": "base"}', encoding="utf-8")
    return place


def options(place: Path, *more: str) -> list[str]:
    return ["--runs", str(place), "--baselines", str(place.parent / "baselines"), "--keep", "2", *more]


def test_what_would_go_is_listed_and_nothing_is_removed(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in many.iterdir())
    assert prune(options(many)) == 0
    told = capsys.readouterr().out
    assert [line.split("/")[-1].split()[0] for line in told.splitlines() if line.startswith("would")] == [
        "a-1", "a-2", "a-3", "a-4",
    ]  # fmt: skip
    assert "4 of 10 runs" in told
    assert sorted(path.name for path in many.iterdir()) == before


def test_only_old_runs_go_and_nothing_that_something_rests_on(many: Path) -> None:
    before = {path.name for path in many.iterdir()}
    assert prune(options(many, "--delete")) == 0
    assert before - {path.name for path in many.iterdir()} == {"a-1", "a-2", "a-3", "a-4"}
    assert RunRecord.read(many / "base").id == "base"


def test_days_keep_what_is_younger(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(options(many, "--days", "103")) == 0
    assert "2 of 10 runs" in capsys.readouterr().out  # a-3 and a-4


def test_a_baseline_that_cannot_be_read_lets_nothing_go(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (many.parent / "baselines" / "y.json").write_text("{", encoding="utf-8")
    assert prune(options(many, "--delete")) == 2
    assert "y.json cannot be read" in capsys.readouterr().err
    assert (many / "a-4").exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(["--runs", str(tmp_path / "none")]) == 2
    assert "is no folder of runs" in capsys.readouterr().err
