"""A run says before its load that it asks for more than the machine was calibrated for, and its report says so too."""

from pathlib import Path

from execution.folder import machine, versions
from plans.capacity import Calibration
from tests.execution.harness import certify, plan_file, serving


def _calibrated(runs: Path, requests_per_s: float) -> None:
    Calibration(
        taken_at="2026-01-02T03:04:05+00:00",
        requests_per_s=requests_per_s,
        events_per_s=10_000,
        streams=200,
        requests_limited_by="client",
        events_limited_by="client",
        machine=machine(),
        versions=versions(),
    ).save(runs)


def test_a_plan_beyond_the_calibration_is_warned_of_and_reported(tmp_path: Path) -> None:
    _calibrated(tmp_path / "runs", 10)
    with serving() as url:
        run = certify(plan_file(tmp_path), f"--host={url}")

    share = "up to 200%"
    assert run.code == 0, run.err  # a warning: whether the generator kept up is for the checks to say
    assert share in run.out + run.err
    assert share in str(run.verdict["events"])
    assert share in str(run.verdict["notes"])
    capacity = run.verdict["run"]["capacity"]
    assert (capacity["requests_per_s"], capacity["calibration"]["requests_per_s"]) == (20, 10)
    page = (run.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert share in page
    assert "2026-01-02" in page
    (found,) = (p for p in run.record.preconditions if p.name == "within the calibrated capacity")
    assert not found.held


def test_a_plan_within_the_calibration_cites_it_without_a_warning(tmp_path: Path) -> None:
    _calibrated(tmp_path / "runs", 4000)
    with serving() as url:
        run = certify(plan_file(tmp_path, phases=[{"name": "only", "rate": 20, "duration": "1s"}]), f"--host={url}")

    assert [e for e in run.verdict["events"] if e["kind"] == "warning"] == []
    assert "calibrat" not in str(run.verdict["notes"])
    # A share is a figure of the plan; 20 of 4000 are half a percent.
    assert "4,000 simple requests/s" in (run.folder / "report" / "report.html").read_text(encoding="utf-8")


def test_without_a_calibration_the_report_says_that_nothing_is_known(tmp_path: Path) -> None:
    with serving() as url:
        run = certify(plan_file(tmp_path, phases=[{"name": "only", "rate": 20, "duration": "1s"}]), f"--host={url}")

    assert "not calibrated" in run.verdict["run"]["capacity"]["unknown"]
    assert "not calibrated" in (run.folder / "report" / "report.html").read_text(encoding="utf-8")
