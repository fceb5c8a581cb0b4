"""The Verdict tab of Locust's web UI, in a real browser, while a run goes on and after it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.execution.harness import plan_file
from tests.execution.web_ui import page, post, reported, serving_web, status, wait_until
from tests.reports.browser import BINARY, MISSING, Browser

HOSTILE = "<img src=x onerror='window.hacked = 1'>"
FORM = {"rate": "0", "time_scale": "1", "seed": "1", "host": ""}
TAB = "document.querySelector('#root proofload-verdict')"
SHADOW = f"{TAB}.shadowRoot"
BROKEN = f"{SHADOW}.querySelectorAll('tr[data-state=fail]')"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return plan_file(
        tmp_path,
        title=HOSTILE,
        phases=[{"name": "first", "rate": 20, "duration": "4s"}, {"name": "long", "rate": 20, "duration": "120s"}],
        criteria=[
            {"metric": "success_rate", "at_least": 0.99},
            {"metric": "latency_p50_ms", "phase": "first", "below": 0.1},
            {"metric": "latency_p50_ms", "phase": "long", "below": 0.2},
            {"metric": "recovery_s", "phase": "long", "below": 5, "severity": "warn"},
        ],
    )


@pytest.fixture
def url(plan: Path, runs: Path) -> Iterator[str]:
    with serving_web(plan, runs) as found:
        yield found


def text(browser: Browser, selector: str) -> str:
    """Return the text of an element of the tab."""
    return str(browser.run(f"{SHADOW}.querySelector({json.dumps(selector)})?.textContent ?? ''"))


def open_tab(browser: Browser, url: str) -> None:
    browser.visit(url)
    browser.wait_for("document.querySelector('#root [role=tab]') !== null")
    browser.run("[...document.querySelectorAll('[role=tab]')].find(tab => tab.textContent === 'Verdict').click()")
    browser.wait_for(f"{TAB} !== null && {TAB}.hasAttribute('stage')")


def keep_picture(browser: Browser, name: str) -> None:
    if folder := os.environ.get("PROOFLOAD_SCREENSHOTS"):
        browser.picture(Path(folder) / f"{name}.png", whole=True)


def red_over_green(color: str) -> float:
    red, green, *_ = (float(part) for part in color[color.index("(") + 1 : -1].split(","))
    return red / max(green, 1)


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_the_tab_follows_a_run_to_its_verdict_and_its_report(url: str, plan: Path, runs: Path) -> None:
    with Browser() as browser:
        browser.screen(1200, 1000)
        assert post(url + "/swarm", plan=str(plan), **FORM)["success"]
        wait_until(lambda: any(file.stat().st_size for file in runs.glob("*/samples-0.arrow")), 30)
        open_tab(browser, url)

        # Values move.
        ended = f"Number({SHADOW}.querySelector('[data-tile=ended]').textContent.replaceAll(',', ''))"
        browser.wait_for(f"{SHADOW}.querySelector('[data-tile=ended]') !== null")
        first = browser.run(ended)
        browser.wait_for(f"{ended} > {first}")
        browser.wait_for(f"{SHADOW}.querySelectorAll('.criteria tbody tr').length === 4")

        # A limit that breaks turns red, and those who listen are told.
        browser.wait_for(f"{BROKEN}.length === 2")
        assert "latency_p50_ms in long: broken" in text(browser, "[role=status]")
        rows = f"[...{BROKEN}].map(row => [...row.querySelectorAll('.badge, th')].map(one => one.textContent))"
        assert browser.run(rows) == [["fail", "latency_p50_ms in first"], ["broken", "latency_p50_ms in long"]]
        color = f"getComputedStyle({BROKEN}[1].querySelector('td.measured')).color"
        assert red_over_green(browser.run(color)) > 2
        assert "long: " in text(browser, ".place")
        assert "known at the end" in text(browser, ".criteria")
        assert text(browser, ".windows").count("phase ") == 2
        keep_picture(browser, "verdict-tab")

        # Nothing of a plan acts.
        assert text(browser, "h2").startswith(HOSTILE)
        assert browser.run(f"{SHADOW}.querySelector('img') === null && window.hacked === undefined")

        # It goes with its tab, and comes back; dark as Locust's page is, and within a narrow one.
        browser.run("document.querySelector('[role=tab]').click()")
        browser.wait_for(f"{TAB} === null")
        browser.run("localStorage.theme = 'dark'")
        browser.screen(360, 900)
        browser.visit(url + "/?tab=verdict")
        browser.wait_for(f"{TAB}?.getAttribute('theme') === 'dark' && {BROKEN}.length === 2")
        assert red_over_green(browser.run(color)) > 1.3
        assert browser.run("document.documentElement.scrollWidth") <= 360
        keep_picture(browser, "verdict-tab-narrow")

        # The end: the report's own verdict, and a link to it that the keyboard reaches.
        post(url + "/stop")
        browser.wait_for(f"{TAB}.getAttribute('stage') === 'ended'")
        browser.wait_for(f"{SHADOW}.querySelector('.runs a') !== null")
        assert text(browser, "h2 .badge") == "FAIL"
        assert "latency_p50_ms in first was" in text(browser, "#reasons")
        browser.run(f"{SHADOW}.querySelector('.runs a').focus()")
        assert browser.run(f"{SHADOW}.activeElement.textContent") == reported(runs, 1)[0].name
        keep_picture(browser, "verdict-tab-ended")
        assert browser.complaints == []
        browser.visit(browser.run(f"{SHADOW}.activeElement.href"))
        assert "FAIL" in browser.run("document.querySelector('h1, header, main').innerText + document.title")


def test_the_page_stands_by_itself_and_only_reports_of_runs_are_served(url: str, plan: Path, runs: Path) -> None:
    assert "proofload-verdict" in page(url + "/verdict/")
    assert [status(f"{url}/verdict/{name}") for name in ("verdict.js", "verdict.css", "page.css")] == [200, 200, 200]
    assert json.loads(page(url + "/verdict/state"))["stage"] == "idle"
    assert json.loads(page(url + "/verdict/runs")) == []
    assert (status(url + "/report"), status(url + "/verdict/runs/none")) == (404, 404)

    runs.mkdir(exist_ok=True)
    for name in ("20260101-000000-A", "20260102-000000-B", "no-run"):
        (runs / name / "report").mkdir(parents=True)
        (runs / name / "report" / "report.html").write_text(f"report of {name}", encoding="utf-8")
        (runs / name / "report" / "verdict.json").write_text('{\n "schema_version": 1,\n "verdict": "PASS"}')
        if name != "no-run":
            (runs / name / "run.json").write_text("{}", encoding="utf-8")
    (plan.parent / "report").mkdir()
    (plan.parent / "report" / "report.html").write_text("not a run of this folder", encoding="utf-8")
    (plan.parent / "run.json").write_text("{}", encoding="utf-8")
    listed: list[dict[str, Any]] = json.loads(page(url + "/verdict/runs"))
    assert listed == [{"id": f"2026010{day}-000000-{of}", "verdict": "PASS"} for day, of in ((2, "B"), (1, "A"))]
    assert page(url + "/verdict/runs/20260101-000000-A") == "report of 20260101-000000-A"
    for wrong in ("no-run", "..", "%2e%2e", "..%2f", "%2e%2e%2f", "20260101-000000-A%2freport", "%2fetc%2fpasswd"):
        assert status(f"{url}/verdict/runs/{wrong}") == 404, wrong
    for name in ("20260101-000000-A", "20260102-000000-B"):
        (runs / name / "report" / "verdict.json").unlink()  # no verdicts that the end could be held against


def test_everything_moves_under_the_base_path(plan: Path, runs: Path) -> None:
    with serving_web(plan, runs, "--web-base-path=/load") as url:
        assert status(url + "/load/verdict/state") == 200
        assert './verdict/verdict.js"></script></body>' in page(url + "/load/").replace("\n", "")
        assert status(url + "/verdict/state") == 404
