"""Locust's own web UI: the start form, a run started there, and its report, in a real browser."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plans.run import RunRecord
from tests.execution.harness import ROOT, plan_file
from tests.execution.web_ui import page, post, reported, serving_web, status, wait_until
from tests.reports.browser import BINARY, MISSING, Browser

FIELDS = ("plan", "rate", "timeScale", "seed")  # as Locust's page names its inputs

# What a person does who types into a field of a React form.
_TYPE = """((name, text) => {
  const field = document.querySelector(`[name="${name}"]`);
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, text);
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return plan_file(tmp_path)


@pytest.fixture
def url(plan: Path, runs: Path) -> Iterator[str]:
    with serving_web(plan, runs) as found:
        yield found


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_a_run_is_started_in_the_form_and_ends_with_a_folder_and_a_report(url: str, plan: Path, runs: Path) -> None:
    with Browser() as browser:
        browser.screen(1200, 1400)
        browser.visit(url)
        browser.wait_for("document.querySelector('form button[type=submit]') !== null")
        values = browser.run(
            f"Object.fromEntries({json.dumps(FIELDS)}.map(name =>"
            ' [name, document.querySelector(`[name="${name}"]`)?.value]))'
        )
        assert values == {"plan": str(plan), "rate": "0", "timeScale": "1", "seed": "1"}
        assert "no host attribute" not in browser.run("document.body.innerText")
        assert browser.complaints == []
        if folder := os.environ.get("PROOFLOAD_SCREENSHOTS"):
            browser.picture(Path(folder) / "web-ui.png")
        browser.screen(360, 900, "dark")
        browser.visit(url)
        browser.wait_for("document.querySelector('form button[type=submit]') !== null")
        assert browser.complaints == []
        browser.run(f"{_TYPE}('timeScale', '0.5')")
        browser.run(f"{_TYPE}('seed', '42')")
        browser.run("document.querySelector('form button[type=submit]').click()")
        wait_until(lambda: reported(runs, 1) and status(url + "/report") == 200, 40)
        browser.visit(url + "/report")
        assert "PASS" in browser.run("document.querySelector('h1, header, main').innerText + document.title")
        assert browser.complaints == []
    record = RunRecord.read(reported(runs, 1)[0])
    assert (record.seed, record.time_scale) == (42, 0.5)


def test_two_runs_in_one_process_have_a_folder_each_and_the_form_decides(url: str, plan: Path, runs: Path) -> None:
    assert status(url + "/report") == 404
    for count, seed in ((1, "7"), (2, "8")):
        form = {"plan": str(plan), "rate": "30", "time_scale": "0.5", "seed": seed, "host": "as planned"}
        wait_until(lambda asked=form: post(url + "/swarm", **asked)["success"], 20)  # the last report may take a while
        again = post(url + "/swarm", **form)
        assert (again["success"], "under way" in again["message"]) == (False, True)
        wait_until(lambda wanted=count: reported(runs, wanted), 40)
        # The counters are those of the last run alone, and its verdict is there when it is over.
        assert "proofload_arrivals_answered_total 45.0" in page(url + "/metrics")
        wait_until(lambda: 'proofload_last_verdict{verdict="PASS"} 1.0' in page(url + "/metrics"), 20)
    records = [RunRecord.read(folder) for folder in reported(runs, 2)]

    assert [record.seed for record in records] == [7, 8]
    assert {record.time_scale for record in records} == {0.5}
    # 30 RPS for half of three seconds
    assert [sum(phase.scheduled.values()) for record in records for phase in record.phases] == [45, 45]


def test_the_stop_button_ends_a_run_that_says_so(url: str, tmp_path: Path, runs: Path) -> None:
    other = tmp_path / "long"
    other.mkdir()
    long = plan_file(other, phases=[{"name": "long", "rate": 20, "duration": "60s"}])
    post(url + "/swarm", plan=str(long), rate="0", time_scale="1", seed="1", host="")
    wait_until(lambda: any(file.stat().st_size for file in runs.glob("*/samples-0.arrow")), 20)
    post(url + "/stop")
    wait_until(lambda: reported(runs, 1), 30)
    (folder,) = reported(runs, 1)

    verdict = json.loads((folder / "report" / "verdict.json").read_text())
    assert verdict["verdict"] == "INVALID"
    assert verdict["phases"][0]["accounting"]["lost"] == 0
    assert any("stopped" in note or "interrupted" in note for note in verdict["notes"])


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"plan": "plans/no-such.yaml"}, "does not exist"),
        ({"rate": "many"}, "--rate must be a number, got 'many'"),
        ({"rate": "-1"}, "--rate must be 0 (as planned) or up to 1000000, got -1"),
        ({"time_scale": "0"}, "--time-scale must be > 0"),
        ({"seed": "-3"}, "--seed must be a whole number"),
        ({"host": "http://example.com"}, "is not allowed"),
    ],
)
def test_a_bad_form_is_refused_with_words_and_starts_nothing(
    url: str, plan: Path, runs: Path, form: dict[str, str], words: str
) -> None:
    good = {"plan": str(plan), "rate": "0", "time_scale": "1", "seed": "1", "host": ""}
    answer = post(url + "/swarm", **(good | form))

    assert answer["success"] is False
    assert words in answer["message"]
    assert list(runs.iterdir()) == []


def test_users_of_a_locustfile_are_brought_in_by_the_form_and_go_with_their_plan(
    url: str, plan: Path, tmp_path: Path, runs: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "users.py").write_text(
        "from locust import HttpUser\nclass Shopper(HttpUser): tasks = []\n", encoding="utf-8"
    )
    form = {"rate": "0", "time_scale": "1", "seed": "1", "host": ""}
    broken = plan_file(own, mix={"Shopper": {"file": "users.py"}})
    refused = post(url + "/swarm", plan=str(broken), **form)
    assert (refused["success"], "Shopper must have a task" in refused["message"]) == (False, True)

    mix = {"Plain": {"file": str(ROOT / "tests" / "execution" / "my_users.py")}}
    brought = plan_file(own, mix=mix, phases=[{"name": "only", "rate": 20, "duration": "1s"}])
    for count, chosen in enumerate((brought, plan, brought), 1):
        wait_until(lambda asked=chosen: post(url + "/swarm", plan=str(asked), **form)["success"], 20)
        wait_until(lambda wanted=count: reported(runs, wanted), 40)
    counts = [RunRecord.read(folder).phases[0].scheduled for folder in reported(runs, 3)]

    assert counts == [{"Plain": 20}, {"EvaluationRunUser": 60}, {"Plain": 20}]
    assert [RunRecord.read(folder).processes[0].written for folder in reported(runs, 3)] == [20, 60, 20]
