"""`python -m plans`: the list, the check, and the schema for editors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plans.__main__ import FOLDER, loads, main, plan_files
from plans.editor import editor_schema
from plans.loading import load
from plans.schema import Plan
from tests.plans.test_broken_plans import GOOD

ROOT = FOLDER.parent


def test_every_plan_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    for path in plan_files(FOLDER):
        assert load(path, {}).id in text
        assert path.name in text
    assert "PROFILE-SOAK" in text
    assert " 4h " in text
    assert "10, 10→50, 50 RPS" in text


def test_the_command_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plans"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "plans/quickstart.yaml" in done.stdout


def test_a_broken_plan_is_listed_with_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("rate: 10", "rate: -5"))
    assert main(["list", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert "P-1" in output.out
    assert "bad.yaml: phases[0].rate must be > 0, got -5" in output.err


def test_check_names_every_problem_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("rate: 10", "rate: -5").replace("A plan", "''"))
    assert main(["check", str(tmp_path / "good.yaml")]) == 0
    assert "P-1 holds: 1 phase, 0 criteria, 10s" in capsys.readouterr().out
    assert main(["check", *(str(tmp_path / name) for name in ("bad.yaml", "good.yaml", "gone.yaml"))]) == 2
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 3
    assert "P-1 holds" in output.out


@pytest.mark.parametrize("arguments", [["nonsense"], ["check"], ["list", "a", "b"], ["--bad"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(tmp_path / "gone")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_broken_characters_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD + '"\\ud800é": 5\n', encoding="utf-8")
    command = [sys.executable, "-m", "plans", "check", str(tmp_path / "x.yaml")]
    environ = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False, env=environ)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_the_schema_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    text = capsys.readouterr().out
    assert (FOLDER / "plan.schema.json").read_text(encoding="utf-8") == text, (
        "run: python -m plans schema > plans/plan.schema.json"
    )


def test_the_schema_knows_what_a_file_may_hold_beside_the_model() -> None:
    schema = json.loads(editor_schema())
    properties = schema["properties"]
    assert {"extends", "criteria+", "phases+", *Plan.model_fields} <= set(properties)
    phase = schema["$defs"]["Phase"]["properties"]
    kinds = {kind.get("type") for kind in phase["duration"]["anyOf"]}
    assert "string" in str(phase["duration"])
    assert kinds - {None} or phase["duration"]["anyOf"]
    assert "Levels" in str(phase["rate"])
    assert "number" in str(phase["rate"])
    assert {"required": ["extends"]} in schema["anyOf"]
    assert "from" in schema["$defs"]["Levels"]["properties"]
    assert "required" not in schema["$defs"]["WebSocketMix"]


def test_loads_are_shown_as_people_write_them() -> None:
    phases = [
        {"name": "a", "rate": 10, "duration": 5},
        {"name": "b", "shape": "spike", "rate": {"base": 5, "peak": 9}, "duration": 5},
        {"name": "c", "users": 100, "duration": 5},
        {"name": "d", "shape": "sine", "rate": {"mean": 5, "amplitude": 2}, "period": 2, "duration": 5},
    ]
    plan = Plan.model_validate({"id": "L", "title": "l", "mix": {"ChatUser": {}}, "phases": phases})
    assert loads(plan.phases) == "10, 5↑9 RPS, 100 users, 5±2 RPS"
