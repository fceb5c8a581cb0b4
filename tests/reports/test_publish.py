"""`python -m reports`: what it writes, what it says, and what it exits with when something is in the way."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import __main__ as command
from reports import publish as publishing
from reports.analysis import Analysis, Verdict
from reports.publish import FORMS, publish
from samples.sample import Outcome
from tests.reports.analyses import analysis
from tests.reports.builder import RunBuilder, failed, steady

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return RunBuilder().samples(steady(10, 0, 30)).write(tmp_path / "run")


def reported(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "reports", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_run_folder_gets_every_form_and_the_exit_code_of_its_verdict(run: Path) -> None:
    done = reported(run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PASS" in done.stdout
    assert done.stdout.rstrip().endswith(f"report: {run}/report/report.html")
    assert {path.name for path in (run / "report").iterdir()} == set(FORMS)
    assert json.loads((run / "report" / "verdict.json").read_text())["verdict"] == "PASS"


def test_a_broken_limit_exits_with_1_and_quiet_says_it_in_two_lines(tmp_path: Path) -> None:
    samples = [*steady(9, 0, 30), *(failed(t, Outcome.HTTP_ERROR, "HTTP 503: busy") for t in range(30))]
    folder = RunBuilder().samples(samples).write(tmp_path / "run")
    done = reported(folder, "--quiet")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["FAIL TC-1", f"report: {folder}/report/report.html"]


def test_a_run_without_samples_exits_with_3(tmp_path: Path) -> None:
    assert reported(RunBuilder().write(tmp_path / "run")).returncode == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is not a folder"),
        (lambda path: path.mkdir(), "run.json is missing"),
        (lambda path: (path.mkdir(), (path / "run.json").write_text("{")), "Invalid JSON"),
        (lambda path: (path.mkdir(), (path / "run.json").write_text("{}")), "id Field required"),
        (lambda path: (path.mkdir(), (path / "run.json").write_bytes(b"\xff\xfe\x00")), "is not the record of a run"),
        (lambda path: (path.mkdir(), (path / "run.json").mkdir()), "cannot be read"),
    ],
    ids=["absent", "file", "empty", "cut", "another json", "binary", "folder"],
)  # fmt: skip
def test_what_is_no_run_folder_is_named_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], words: str
) -> None:
    folder = tmp_path / "some-run"
    make(folder)
    assert command.main([str(folder)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "some-run" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


def test_a_report_folder_that_cannot_be_made_still_gives_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report").write_text("in the way")
    assert command.report(analysis(), tmp_path) == 3
    said = capsys.readouterr()
    assert "PASS" in said.out
    assert "report.html" not in said.out
    assert "File exists" in said.err
    assert "the evidence could not be kept" in said.err


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.PASS, 3), (Verdict.FAIL, 1), (Verdict.INVALID, 3)])
def test_a_full_disk_never_ends_in_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: Verdict, code: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("reports.publish.os.fsync", full)
    assert command.report(analysis(verdict), tmp_path) == code
    said = capsys.readouterr()
    assert verdict.value in said.out
    assert said.err.count("No space left on device") == len(FORMS)
    assert list((tmp_path / "report").iterdir()) == []


def test_a_form_with_a_defect_does_not_cost_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(made: Analysis) -> bytes:
        raise KeyError("oh")

    assert publish(analysis(Verdict.FAIL), tmp_path) == []
    monkeypatch.setitem(publishing.FORMS, "junit.xml", broken)
    (unwritten,) = publish(analysis(), tmp_path)
    assert "a defect of Proofload: KeyError" in str(unwritten)
    found = {path.name for path in (tmp_path / "report").iterdir()}
    assert found == set(FORMS) - {"junit.xml"}, "an old form must not stay beside the new ones"


def test_an_analysis_with_a_defect_is_invalid_and_shows_no_traceback(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: Path) -> Analysis:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("reports.analyzer.analyze", broken)
    assert command.main([str(run)]) == 3
    said = capsys.readouterr().err
    assert "INVALID" in said
    assert "Traceback" not in said
    assert command.main([str(run), "--traceback"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_report_with_a_defect_is_invalid_too(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("reports.__main__.print_verdict", broken)
    assert command.main([str(run)]) == 3
    assert "could not be reported: ZeroDivisionError" in capsys.readouterr().err


def test_a_report_can_be_made_again(run: Path) -> None:
    assert command.main([str(run), "--quiet"]) == 0
    first = (run / "report" / "verdict.json").read_bytes()
    assert command.main([str(run), "--quiet"]) == 0
    assert (run / "report" / "verdict.json").read_bytes() == first


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_the_command_works_in_any_encoding(run: Path, encoding: str) -> None:
    line = [sys.executable, "-m", "reports", str(run)]
    env = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    assert subprocess.run(line, cwd=ROOT, env=env, capture_output=True, timeout=120, check=False).returncode == 0


def test_the_report_loads_neither_locust_nor_gevent() -> None:
    script = "import sys, reports.__main__, reports.analyzer; sys.exit(bool({'locust', 'gevent'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120, check=False).returncode == 0


def test_a_verdict_that_nobody_reads_is_still_the_exit_code(run: Path) -> None:
    for quiet in ([], ["--quiet"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "reports", str(run), *quiet],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (0, b"")
