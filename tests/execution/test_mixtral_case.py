"""The whole Mixtral case in rehearsal: every phase, every limit, on the embedded platform."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.execution.harness import ENVIRONMENT, ROOT, command, finished


@pytest.mark.clock
@pytest.mark.timeout(300)  # more than a minute of load, and perhaps more than once
def test_the_case_passes_in_rehearsal_and_its_report_shows_every_requirement(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        command(ROOT / "plans/hxp/mixtral-load.yaml", tmp_path / "runs", "--time-scale=0.02"),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=300,
        check=False,
    )
    run = finished(done.returncode, done.stdout, done.stderr, tmp_path / "runs")

    assert run.code == 0, run.out
    assert time.monotonic() - began < 150
    assert [phase["name"] for phase in run.verdict["phases"]] == ["baseline", "ramp", "sustained", "quality"]
    states: dict[str, set[str]] = {}
    for criterion in run.verdict["criteria"]:
        states.setdefault(criterion["id"], set()).add(criterion["state"])
    # What a rehearsal is too short to tell is a warning there, and says so.
    assert states == {
        "HXP-1": {"pass"},
        "HXP-2": {"pass"},
        "HXP-3": {"pass"},
        "HXP-4": {"pass", "no_data"},
        "HXP-5": {"pass", "no_data"},
        "HXP-6": {"pass"},
    }
    assert {part["name"]: part["value"] for part in run.verdict["score"]} == pytest.approx(
        {"latency": 1, "throughput": 1, "stability": 1, "resources": 1, "quality": 1}, abs=0.05
    )
    page = (run.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert [f"HXP-{n}" for n in range(1, 7) if not re.search(rf"\bHXP-{n}\b", page)] == []
    assert "mixtral_baseline" in page
    assert (run.folder / "report" / "baseline-mixtral_baseline.json").exists()
    assert {"baseline known", "canaries answered", "monitors collecting"} <= {
        found.name for found in run.record.preconditions if found.held
    }
