"""The workflows for users: of the published schemas, and their own commands do what the page says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.execution.harness import plan_file

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github" / "workflows" / "load-test.yml"
GITLAB = ROOT / "deploy" / "ci" / "gitlab.yml"


@pytest.mark.parametrize(
    ("path", "schema"),
    [(GITHUB, ["vendor.github-workflows"]), (GITLAB, ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"])],
)
def test_a_workflow_is_of_the_published_schema(path: Path, schema: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *schema]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yml"
    text = path.read_text(encoding="utf-8").replace("run: make setup", "runs: make setup")
    wrong.write_text(text.replace("resource_group:", "resource_grupp: [1]\n  timeout:"), encoding="utf-8")
    assert subprocess.run([*command, str(wrong)], capture_output=True, check=False, timeout=60).returncode == 1


def _job() -> dict[str, Any]:
    job: dict[str, Any] = yaml.safe_load(GITHUB.read_text(encoding="utf-8"))["jobs"]["certify"]
    return job


def _script(name: str) -> str:
    return next(str(step["run"]) for step in _job()["steps"] if step.get("name") == name)


@pytest.mark.parametrize(("below", "code"), [(10_000, 0), (0.001, 1)])
def test_its_commands_end_with_the_verdict_and_leave_summary_and_run_folder(
    tmp_path: Path, below: float, code: int
) -> None:
    criteria = [{"metric": "latency_p95_ms", "below": below}]
    plan = plan_file(tmp_path, criteria=criteria)
    summary = tmp_path / "summary"
    given = {"PLAN": str(plan), "PROOFLOAD_RUNS": str(tmp_path / "runs"), "GITHUB_STEP_SUMMARY": str(summary)}
    given |= {"LOCUST_HOST": "", "PROOFLOAD_ALLOW_HOST": "", "PROOFLOAD_TIME_SCALE": "1", "SERVICE_TOKEN": ""}
    assert set(_job()["env"]) <= set(given)

    def step(name: str) -> int:
        # As GitHub runs a step; the interpreter is the one that the tests run with.
        script = _script(name).replace(".venv/bin/python", sys.executable)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=ROOT, env=os.environ | given, check=False, timeout=90).returncode

    assert step("Certify") == code
    assert step("Summary") == 0
    assert ("PASS" if code == 0 else "FAIL") in summary.read_text(encoding="utf-8")
    assert len(list((tmp_path / "runs").glob("*/report/junit.xml"))) == 1


def test_what_a_visitor_types_is_never_part_of_a_script() -> None:
    assert all("${{" not in step.get("run", "") for step in _job()["steps"])


def test_both_keep_the_report_when_the_verdict_is_bad() -> None:
    upload = next(step for step in _job()["steps"] if "upload-artifact" in step.get("uses", ""))
    assert upload["if"] == "always()"
    job = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))["certify"]
    assert job["artifacts"]["when"] == "always"
    assert job["allow_failure"] == {"exit_codes": [3]}
