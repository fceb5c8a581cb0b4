"""However a run ends, it ends in order, and what it leaves behind can be read."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from plans.run import Ending
from tests.execution.harness import (
    ENVIRONMENT,
    ROOT,
    command,
    finished,
    locust_of,
    plan_file,
    report_by_hand,
    wait_for_load,
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_readable_and_says_so(tmp_path: Path, number: signal.Signals) -> None:
    # SIGTERM cuts what is in flight, and a busy machine has something in flight.
    criteria = [{"metric": "success_rate", "at_least": 0.8, "id": "ok"}]
    plan = plan_file(tmp_path, phases=[{"name": "long", "rate": 20, "duration": "60s"}], criteria=criteria)
    with subprocess.Popen(
        command(plan, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        folder = wait_for_load(tmp_path / "runs")
        time.sleep(1.5)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    run = finished(process.returncode, out, "", tmp_path / "runs")

    assert run.code == 3, out
    assert run.folder == folder
    assert "interrupted" in " ".join(run.verdict["reasons"] + run.verdict["notes"]).lower()
    (criterion,) = run.verdict["criteria"]
    assert criterion["state"] == "pass"
    assert criterion["reason"].endswith("of 1m 0s")
    accounting = run.verdict["phases"][0]["accounting"]
    assert accounting["lost"] == 0
    assert accounting["scheduled"] == len(run.iterations) > 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_run_is_prepared_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    plan = plan_file(tmp_path, phases=[{"name": "long", "rate": 20, "duration": "60s"}])
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the question about its health, and says nothing
        host = f"--host=http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            command(plan, tmp_path / "runs", host), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT
        ) as process:
            locust = locust_of(process.pid)
            silent.settimeout(30)
            asked, _ = silent.accept()
            with asked:
                locust.send_signal(number)
                out, _ = process.communicate(timeout=4)  # the question alone has 5 s

    assert process.returncode == 3, out
    assert not locust.is_running()
    report = report_by_hand(tmp_path / "runs")
    assert report.code == 3, report.err
    assert "interrupted before the load began" in report.out
    assert report.record.ending is Ending.FAILED_TO_START


def test_a_run_that_is_killed_while_it_is_prepared_leaves_a_readable_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"--host=http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            command(plan_file(tmp_path), tmp_path / "runs", host), stdout=subprocess.PIPE, env=ENVIRONMENT
        ) as process:
            locust = locust_of(process.pid)
            silent.settimeout(30)
            asked, _ = silent.accept()
            with asked:
                locust.kill()
                process.communicate(timeout=30)

    assert process.returncode == 3
    report = report_by_hand(tmp_path / "runs")
    assert report.code == 3, report.err
    assert "the run crashed before the first sample" in report.out


def test_a_signal_that_comes_while_locust_is_being_started_is_passed_on(tmp_path: Path) -> None:
    """The program signals itself at the moment between its decision to run the plan and Locust's existence."""
    code = """
import os, signal, subprocess, sys
import certify
start = subprocess.Popen
def signalled(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    return start(*arguments, **options)
subprocess.Popen = signalled
sys.exit(certify.main(sys.argv[1:]))
"""
    plan = plan_file(tmp_path, phases=[{"name": "long", "rate": 20, "duration": "60s"}])
    arguments = [str(plan), f"--runs={tmp_path / 'runs'}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 3, done.stderr


def test_a_killed_run_leaves_a_readable_folder_and_an_honest_report(tmp_path: Path) -> None:
    plan = plan_file(tmp_path, phases=[{"name": "long", "rate": 20, "duration": "60s"}])
    with subprocess.Popen(
        command(plan, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        locust = locust_of(process.pid)
        wait_for_load(tmp_path / "runs")
        time.sleep(2.5)
        helpers = locust.children(recursive=True)
        locust.kill()
        out, _ = process.communicate(timeout=60)
    gone, alive = psutil.wait_procs(helpers, timeout=10)
    assert not alive, f"outlived the run: {alive}"
    assert len(gone) >= 2
    assert process.returncode == 3, out

    report = report_by_hand(tmp_path / "runs")
    assert report.code == 3
    assert len(report.iterations) > 20
    assert "INVALID" in report.out
    (criterion,) = report.verdict["criteria"]
    assert criterion["state"] == "pass"
    assert "; judged on " in criterion["reason"]


def test_the_run_ends_in_order_when_the_program_that_started_it_is_killed(tmp_path: Path) -> None:
    plan = plan_file(tmp_path, phases=[{"name": "long", "rate": 20, "duration": "60s"}])
    with subprocess.Popen(
        command(plan, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        family = [locust_of(process.pid)]
        folder = wait_for_load(tmp_path / "runs")
        family += family[0].children(recursive=True)
        process.kill()
        process.communicate(timeout=30)  # to the end of their output: the report's, too
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, f"outlived the program: {alive}"

    run = finished(3, "", "", tmp_path / "runs")
    assert run.folder == folder
    assert run.verdict["verdict"] == "INVALID"
    assert any("the process that started the run has ended" in note for note in run.verdict["notes"])
    accounting = run.verdict["phases"][0]["accounting"]
    assert accounting["lost"] == 0
    assert accounting["scheduled"] == len(run.iterations) > 0


def test_a_report_that_python_cannot_begin_is_no_fail(tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise ImportError('not for this Python')")
    # In a process of its own, because Locust patches the one that imports it.
    code = "import os, sys; from pathlib import Path; from execution import children; "
    code += "os.environ['PYTHONPATH'] = sys.argv[1]; sys.exit(children.report(Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "INVALID: the report ended with code 1 and no verdict" in done.stdout
