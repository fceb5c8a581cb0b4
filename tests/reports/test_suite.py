"""The summary of a suite: what passed, what warned, what was not run, and what has been measured before."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from certify import Certified, _pages
from plans.loading import load
from plans.schema import Plan
from reports.analyzer import analyze
from reports.certificate import write as write_certificate
from reports.publish import publish
from reports.snapshots import snapshot, to_json
from reports.suite import Suite, suite, to_html, to_markdown
from tests.reports.builder import PLAN, RunBuilder, steady


def plan(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / "plans" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(PLAN | {"id": name, "title": f"<b>{name}", "covers": ["CAT-7"]} | changes), "utf-8")
    return path


def ran(folder: Path, path: Path, latency_s: float = 0.1) -> Path:
    builder = RunBuilder(load(path, {}).model_dump(by_alias=True, exclude_none=True))
    name = f"run-{path.stem}"
    place = builder.samples(steady(10, 0, 30, latency_s)).record(id=name).write(folder / "runs" / name)
    publish(analyze(place), place)
    return place


CRITERIA = [
    {"metric": "latency_p95_ms", "phase": "sustained", "below": 500},
    {"metric": "latency_p99_ms", "phase": "sustained", "below": 150, "severity": "warn"},
]


@pytest.fixture
def results(tmp_path: Path) -> list[tuple[Plan, str, Path | None]]:
    good, warned, bad = (plan(tmp_path, name, criteria=CRITERIA) for name in ("GOOD", "WARNED", "BAD"))
    never = plan(tmp_path, "NEVER")
    return [
        (load(good), "PASS", ran(tmp_path, good)),
        (load(warned), "PASS", ran(tmp_path, warned, 0.2)),
        (load(bad), "FAIL", ran(tmp_path, bad, 0.9)),
        (load(never), "NOT RUN", None),
    ]


def made(results: list[tuple[Plan, str, Path | None]], folder: Path) -> Suite:
    return suite(results, folder / "runs", folder / "baselines")


def test_each_plan_has_its_verdict_its_figures_and_its_reason(
    tmp_path: Path, results: list[tuple[Plan, str, Path | None]]
) -> None:
    found = made(results, tmp_path)
    assert [(one.plan, one.verdict) for one in found.outcomes] == [
        ("GOOD", "PASS"), ("WARNED", "PASS"), ("BAD", "FAIL"), ("NEVER", "NOT RUN"),
    ]  # fmt: skip
    assert found.passed == 2
    assert found.outcomes[0].figures["latency_p95_ms"] == "100 ms"
    assert found.outcomes[0].load == "10 RPS"
    assert "latency_p95_ms" in found.outcomes[2].reasons[0]
    assert [(one, len(outcomes)) for one, outcomes in found.requirements] == [("CAT-7", 4)]


def test_a_limit_that_is_important_and_not_critical_warns_and_does_not_fail(
    tmp_path: Path, results: list[tuple[Plan, str, Path | None]]
) -> None:
    good, warned = made(results, tmp_path).outcomes[:2]
    assert good.warnings == []
    assert "latency_p99_ms" in warned.warnings[0]
    page = to_html(made(results, tmp_path))
    assert "2 of 4 plans passed" in page
    assert "latency_p99_ms in sustained was 200 ms" in page
    assert "<b>GOOD" not in page
    assert "| FAIL | BAD |" in to_markdown(made(results, tmp_path))


def test_baselines_and_capacities_stand_beside_the_plans_they_are_of(
    tmp_path: Path, results: list[tuple[Plan, str, Path | None]]
) -> None:
    folder = results[0][2]
    assert folder is not None
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "good.json").write_bytes(to_json(snapshot(analyze(folder), "good")))
    (tmp_path / "baselines" / "broken.json").write_text("{", encoding="utf-8")
    capacity = {
        "plan": "BAD", "unit": "RPS", "host": "http://a", "started_at": "2026-11-20T21:00:00+01:00", "capacity": 412.3,
        "low": 401.0, "high": 420.0, "limiting": "latency_p95_ms < 500 ms", "ended": "",
    }  # fmt: skip
    place = tmp_path / "runs" / "capacity"
    place.mkdir()
    (place / "BAD.json").write_text(json.dumps(capacity), encoding="utf-8")
    (place / "OTHER.json").write_text(json.dumps(capacity | {"plan": "OTHER"}), encoding="utf-8")
    (place / "NEVER.json").write_text(
        json.dumps(capacity | {"plan": "NEVER", "capacity": None, "ended": "budget"}), "utf-8"
    )

    known = {(one.plan, one.kind): one.figures for one in made(results, tmp_path).known}
    assert set(known) == {("GOOD", "baseline"), ("BAD", "capacity"), ("NEVER", "capacity")}
    assert "sustained, 10 RPS: throughput_rps 10.0 RPS" in known["GOOD", "baseline"]
    assert known["BAD", "capacity"] == "412 RPS (95 %: 401 to 420); the limit is latency_p95_ms < 500 ms"
    assert known["NEVER", "capacity"] == "not found: budget"
    write_certificate([one for one, _, _ in results], tmp_path / "runs", tmp_path / "out")
    for ending in ("html", "json", "md"):
        assert "412 RPS" in (tmp_path / "out" / f"certificate.{ending}").read_text(encoding="utf-8")


def test_a_certificate_is_written_for_cases_and_the_summary_for_every_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = plan(tmp_path, "A"), plan(tmp_path, "B")
    done = [Certified(path, 0, ran(tmp_path, path)) for path in (first, second)]
    _pages(done, [first, second], tmp_path / "runs")
    assert "2 of 2 plans passed" in capsys.readouterr().out
    assert json.loads((tmp_path / "runs" / "suite" / "suite.json").read_text(encoding="utf-8"))["passed"] == 2
    assert not (tmp_path / "runs" / "certificate").exists()

    case = plan(tmp_path, "C", level=3)
    _pages([*done, Certified(case, 0, ran(tmp_path, case))], [first, second, case], tmp_path / "runs")
    kept = json.loads((tmp_path / "runs" / "certificate" / "certificate.json").read_text(encoding="utf-8"))
    assert [one["id"] for one in kept["cases"] if one["level"] == 3] == ["C"]
