"""Locust's web UI as a master: runs are started and stopped there, one after the other, with the same workers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plans.run import Ending, RunRecord
from tests.execution.crews import assert_exact, until, worker
from tests.execution.harness import plan_file, serving
from tests.execution.web_ui import page, post, reported, serving_web, wait_until
from tests.reports.browser import BINARY, MISSING, Browser
from tests.services import free_port

LONG = [{"name": "long", "rate": 30, "duration": "60s"}]
TWO = [
    {"name": "open", "rate": 30, "duration": "3s"},
    {"name": "closed", "users": 4, "think": "100ms", "duration": "2s"},
]
NOTHING_SAID = {"rate": "0", "time_scale": "1", "seed": "1", "host": ""}

# A person's click on the button of this name.
_PRESS = """(name => {
  const button = [...document.querySelectorAll('button')].find(one => one.innerText.trim().toUpperCase() === name);
  if (!button) return false;
  button.click();
  return true;
})"""


@contextmanager
def web_with_workers(plan: Path, runs: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield the URL of a master's web UI, and the process ids of its two workers."""
    port = free_port()
    options = ["--master", "--master-bind-host=127.0.0.1", f"--master-bind-port={port}", "--expect-workers=2"]
    with serving_web(plan, runs, *options) as url:
        answer = post(url + "/swarm", plan=str(plan), **NOTHING_SAID)
        assert (answer["success"], "no worker is there" in answer["message"]) == (False, True)
        with worker(port) as one, worker(port) as other:
            until(lambda: len(json.loads(page(url + "/stats/requests"))["workers"]) == 2, "the workers do not come")
            yield url, [one.pid, other.pid]


def begun(runs: Path, count: int) -> bool:
    """Return whether every worker of the newest of so many runs has written samples."""
    folders = sorted(runs.iterdir())
    files = list(folders[-1].glob("samples-*.arrow")) if len(folders) == count else []
    return len(files) == 2 and all(file.stat().st_size for file in files)


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_the_form_starts_a_run_the_button_stops_it_and_the_same_workers_make_the_next(tmp_path: Path) -> None:
    plan, runs = plan_file(tmp_path, phases=LONG), tmp_path / "runs"
    with web_with_workers(plan, runs) as (url, pids), Browser() as browser:
        browser.screen(1200, 1400)
        browser.visit(url)
        browser.wait_for("document.querySelector('form button[type=submit]') !== null")
        browser.run("document.querySelector('form button[type=submit]').click()")
        wait_until(lambda: begun(runs, 1), 40)
        browser.wait_for(f"{_PRESS}('STOP')")
        wait_until(lambda: reported(runs, 1), 40)
        assert browser.complaints == []

        other = tmp_path / "other"
        other.mkdir()
        form = NOTHING_SAID | {"seed": "7"}
        second = plan_file(other, phases=TWO)
        wait_until(lambda: post(url + "/swarm", plan=str(second), **form)["success"], 20)
        wait_until(lambda: reported(runs, 2), 60)
        folders = reported(runs, 2)
    stopped, whole = (RunRecord.read(folder) for folder in folders)
    for record, folder in zip((stopped, whole), folders, strict=True):
        assert {process.pid for process in record.processes} == set(pids)
        assert_exact(folder)
    assert stopped.ending is Ending.INTERRUPTED
    assert "stopped before its end" in stopped.notes
    assert whole.ending is Ending.COMPLETED
    assert sum(whole.phases[0].scheduled.values()) == 90
    assert sum(whole.phases[1].scheduled.values()) > 20
    assert whole.seed == 7


def test_a_host_of_the_form_is_loaded_by_all_workers_when_it_is_allowed_and_by_none_otherwise(tmp_path: Path) -> None:
    plan, runs, log = plan_file(tmp_path), tmp_path / "runs", tmp_path / "requests"
    with web_with_workers(plan, runs) as (url, _), serving("--log", str(log)) as allowed:
        refused = post(url + "/swarm", plan=str(plan), **NOTHING_SAID | {"host": "http://example.com"})
        assert refused["success"] is False
        assert "--host is not allowed: add 'example.com'" in refused["message"]
        assert list(runs.iterdir()) == []
        assert post(url + "/swarm", plan=str(plan), **NOTHING_SAID | {"host": allowed})["success"]
        wait_until(lambda: reported(runs, 1), 60)
        (folder,) = reported(runs, 1)
    record = RunRecord.read(folder)
    assert record.host == allowed
    assert_exact(folder)
    assert [process.written for process in record.processes] == [30, 30]
    assert len(json.loads(log.read_text())["load"]) == 60
