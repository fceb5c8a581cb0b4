"""The certificate: what is certified, what is open and why; rehearsals never count."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from plans.loading import load
from reports.analyzer import analyze
from reports.certificate import main, to_html, to_markdown, write
from reports.gates import Certificate, State, certificate
from reports.publish import publish
from samples.sample import Outcome
from tests.reports.builder import PLAN, RunBuilder, failed, steady


def case(folder: Path, id_: str, **changes: Any) -> Path:
    path = folder / "plans" / f"{id_}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"id": id_, "title": f"Case {id_}", "level": 3, "covers": ["HXP-1"], "component": "llm"}
    path.write_text(yaml.safe_dump(PLAN | values | changes), encoding="utf-8")
    return path


def ran(folder: Path, plan: Path, run: str, fails: bool = False, hour: int = 12, **record: Any) -> Path:
    builder = RunBuilder(load(plan, {}).model_dump(by_alias=True, exclude_none=True))
    builder.samples(steady(10, 0, 30))
    if fails:
        builder.samples([failed(index, Outcome.TIMEOUT) for index in range(30)])
    values = {"id": run, "started_at": f"2026-11-20T{hour:02d}:00:00+01:00"}
    place = builder.record(**(values | record)).write(folder / "runs" / run)
    publish(analyze(place), place)
    return place


def made(folder: Path) -> Certificate:
    return certificate([load(path, {}) for path in sorted((folder / "plans").glob("*.yaml"))], folder / "runs")


def states(folder: Path) -> dict[str, str]:
    return {one.id: one.state.value for one in made(folder).cases if one.level != 4}


def test_every_state_of_a_case(tmp_path: Path) -> None:
    plans = {name: case(tmp_path, name) for name in ("GOOD", "BAD", "SICK", "TRIED", "OLD", "NEW")}
    ran(tmp_path, plans["GOOD"], "r1")
    ran(tmp_path, plans["BAD"], "r2", fails=True)
    ran(tmp_path, plans["SICK"], "r3", ending="interrupted")
    ran(tmp_path, plans["TRIED"], "r4", time_scale=0.02)
    ran(tmp_path, plans["OLD"], "r5")
    case(tmp_path, "OLD", criteria=[{"metric": "success_rate", "at_least": 0.999}])

    assert states(tmp_path) == {
        "GOOD": "certified", "BAD": "failed", "SICK": "invalid", "TRIED": "rehearsal only",
        "OLD": "plan changed since", "NEW": "not run",
    }  # fmt: skip


def test_the_newest_full_run_counts_and_a_rehearsal_after_it_does_not(tmp_path: Path) -> None:
    plan = case(tmp_path, "A")
    ran(tmp_path, plan, "b-first", fails=True, hour=10)
    ran(tmp_path, plan, "a-second", hour=11)
    assert states(tmp_path) == {"A": "certified"}
    ran(tmp_path, plan, "c-third", fails=True, hour=12, rate_scale=0.5)
    assert states(tmp_path) == {"A": "certified"}
    ran(tmp_path, plan, "d-fourth", fails=True, hour=13)
    assert states(tmp_path) == {"A": "failed"}


@pytest.mark.parametrize(
    ("component", "state"), [("mixtral-8x7b", "embedded platform only"), ("embedded-platform", "certified")]
)
def test_the_embedded_platform_stands_in_for_no_other_component(tmp_path: Path, component: str, state: str) -> None:
    ran(tmp_path, case(tmp_path, "A", component=component, target={"host": "embedded"}), "r1")
    assert states(tmp_path) == {"A": state}


def test_what_cannot_be_read_certifies_nothing(tmp_path: Path) -> None:
    plan = case(tmp_path, "A")
    place = ran(tmp_path, plan, "r1")
    verdict = place / "report" / "verdict.json"
    text = verdict.read_text(encoding="utf-8")
    for broken in ("{", text.replace('"PASS"', '"FINE"'), json.dumps({"verdict": "PASS"})):
        verdict.write_text(broken, encoding="utf-8")
        assert states(tmp_path) == {"A": "not run"}
    # The verdict of another run that was copied in.
    verdict.write_text(text.replace('"id": "r1"', '"id": "r2"'), encoding="utf-8")
    assert states(tmp_path) == {"A": "not run"}


def test_gates_by_level(tmp_path: Path) -> None:
    one, three = case(tmp_path, "ONE", level=1), case(tmp_path, "THREE", level=3)
    case(tmp_path, "THREE-B", level=3)
    ran(tmp_path, one, "r1")
    ran(tmp_path, three, "r2")
    found = made(tmp_path)
    assert [(gate.level, gate.word) for gate in found.gates] == [
        (1, "passed"), (2, "no cases"), (3, "open"), (4, "open"),
    ]  # fmt: skip
    assert found.reached == 1
    assert not found.complete
    ran(tmp_path, tmp_path / "plans" / "THREE-B.yaml", "r3")
    assert made(tmp_path).reached == 3


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.CERTIFIED),
        ({"passed": False}, State.FAILED),
        ({"complete": False}, State.REHEARSED),
    ],
)
def test_the_self_test_is_the_case_of_the_fourth_level(tmp_path: Path, changes: dict[str, bool], state: State) -> None:
    ran(tmp_path, case(tmp_path, "A"), "r1")
    result = {"passed": True, "complete": True, "made_at": "2026-11-20T12:00:00+01:00", "reasons": ["all found"]}
    place = tmp_path / "runs" / "selftest"
    place.mkdir()
    (place / "selftest.json").write_text(json.dumps(result | changes), encoding="utf-8")
    found = made(tmp_path)
    assert next(one.state for one in found.cases if one.level == 4) is state
    assert found.reached == (4 if state is State.CERTIFIED else 3)


def test_the_forms_are_escaped_offline_and_alike(tmp_path: Path) -> None:
    plan = case(tmp_path, "A", title="<script>alert(1)</script> | x", covers=["HXP-1", "HXP-2"])
    ran(tmp_path, plan, "r1", time_scale=0.5)
    found = write([load(plan, {})], tmp_path / "runs", tmp_path / "out")

    page = (tmp_path / "out" / "certificate.html").read_text(encoding="utf-8")
    assert page == to_html(found)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | x" in page
    assert "http://" not in page.replace(load(plan, {}).target.host, "")
    assert "https://" not in page
    assert "rehearsal only" in page
    text = to_markdown(found)
    assert "&lt;script&gt;" in text
    assert "| HXP-2 | A | r1 | rehearsal only |" in text
    document = json.loads((tmp_path / "out" / "certificate.json").read_text(encoding="utf-8"))
    assert document["reached"] is None
    assert [one["state"] for one in document["cases"] if one["level"] == 3] == ["rehearsal only"]


def test_the_command_says_what_is_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(tmp_path, case(tmp_path, "A"), "r1")
    case(tmp_path, "B")
    assert main([str(tmp_path / "plans"), "--runs", str(tmp_path / "runs")]) == 1
    out = capsys.readouterr().out
    assert "gate 3 (service): open, 1 of 2 cases certified" in out
    assert "open: B: not run" in out
    assert (tmp_path / "runs" / "certificate" / "certificate.md").exists()
    assert main([str(tmp_path / "nowhere.yaml")]) == 2
