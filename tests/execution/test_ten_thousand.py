"""Ten thousand users in four workers on this machine, by the plan that is there for it."""

import subprocess
from pathlib import Path

import pytest

from samples.segments import READING_SCHEMA, read_table
from tests.execution.crews import assert_exact
from tests.execution.harness import ENVIRONMENT, ROOT, command, finished


@pytest.mark.long
@pytest.mark.timeout(500)
def test_four_workers_carry_ten_thousand_users_and_none_of_them_is_missed(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    plan = ROOT / "plans" / "scale" / "ten-thousand.yaml"
    done = subprocess.run(
        command(plan, runs, "--workers=4"), capture_output=True, text=True, env=ENVIRONMENT, timeout=450, check=False
    )
    run = finished(done.returncode, done.stdout, done.stderr, runs)
    assert run.code == 0, run.out + run.err
    assert_exact(run.folder)
    assert [process.away for process in run.record.processes] == [[]] * 4, "each was heard of all the time"
    assert all(check["passed"] for check in run.verdict["health"])
    readings = read_table(run.folder.glob("resources-generator-*.arrow"), READING_SCHEMA).to_pylist()
    most = {row["worker"]: 0.0 for row in readings}
    for row in readings:
        if row["metric"] == "users":
            most[row["worker"]] = max(most[row["worker"]], row["value"])
    assert sum(most.values()) >= 10_000
    assert len(run.iterations) >= 10_000
