"""Limits on getting worse than the baseline, in the verdict of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from plans.loading import load
from plans.problems import PlanError
from reports.analysis import Analysis, State, Verdict
from reports.analyzer import analyze
from reports.junit import junit_xml
from reports.markdown import summary_md
from reports.render import render
from reports.snapshots import snapshot, to_json
from tests.reports.simulated_runs import run_folder

LIMIT = {"metric": "latency_p95_ms", "phase": "sustained", "worse_at_most": 0.1}
CRITERIA = [{"metric": "success_rate", "phase": "sustained", "at_least": 0.99}, LIMIT]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    analysis = analyze(run_folder(tmp_path_factory.mktemp("runs") / "good", 1))
    document: dict[str, Any] = json.loads(to_json(snapshot(analysis, "kept")))
    return document


def judged(folder: Path, baseline: dict[str, Any] | None, slower: float = 1.0, **plan: Any) -> Analysis:
    values = {"criteria": CRITERIA, "baseline": "data/baselines/kept.json"} | plan
    return analyze(run_folder(folder, 2, slower, record={"baseline": baseline}, **values))


def test_a_run_as_good_as_its_baseline_passes(tmp_path: Path, kept: dict[str, Any]) -> None:
    analysis = judged(tmp_path / "run", kept)
    assert (analysis.verdict, analysis.verdict.exit_code) == (Verdict.PASS, 0)
    assert "of the baseline" in analysis.criteria[1].reason
    assert ": same; limit ≤ 10 % worse" in analysis.criteria[1].reason


def test_a_regression_fails_the_run_with_exit_code_1_in_every_form(tmp_path: Path, kept: dict[str, Any]) -> None:
    analysis = judged(tmp_path / "run", kept, slower=1.25)
    assert (analysis.verdict, analysis.verdict.exit_code) == (Verdict.FAIL, 1)
    result = analysis.criteria[1]
    assert result.state is State.FAIL
    assert result.margin == pytest.approx(-0.14, abs=0.06)
    assert "regressed; limit ≤ 10 % worse" in result.reason
    for form in (render(analysis), junit_xml(analysis).decode(), summary_md(analysis).decode()):
        assert "regressed" in form
        assert "10 % worse" in form


def test_a_regression_that_only_warns_does_not_fail_the_run(tmp_path: Path, kept: dict[str, Any]) -> None:
    analysis = judged(tmp_path / "run", kept, slower=1.25, criteria=[CRITERIA[0], LIMIT | {"severity": "warn"}])
    assert analysis.verdict is Verdict.PASS
    assert analysis.criteria[1].state is State.WARN


def test_a_tolerance_below_the_noise_has_no_data_and_is_no_pass(tmp_path: Path, kept: dict[str, Any]) -> None:
    analysis = judged(tmp_path / "run", kept, criteria=[CRITERIA[0], LIMIT | {"worse_at_most": 0}])
    assert analysis.verdict is Verdict.INVALID
    assert "cannot tell" in analysis.criteria[1].reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "there was no baseline data/baselines/kept.json"),
        ({"schema_version": 9}, "schema_version is 9"),
        ({"verdict": "INVALID"}, "kept is INVALID"),
        ({"scopes": [{"phase": "other", "metrics": {"latency_p95_ms": {"value": 1}}}]}, "has no figures in sustained"),
        (
            {"scopes": [{"phase": "sustained", "load": "9 RPS", "metrics": {"latency_p95_ms": {"value": 1}}}]},
            "was 9 RPS",
        ),
        ({"scopes": [{"phase": "sustained", "metrics": {"error_rate": {"value": 1}}}]}, "has no latency_p95_ms"),
    ],
)
def test_without_a_figure_to_hold_against_there_is_no_pass(
    tmp_path: Path, kept: dict[str, Any], change: dict[str, Any] | None, said: str
) -> None:
    analysis = judged(tmp_path / "run", None if change is None else kept | change)
    assert analysis.verdict is Verdict.INVALID
    assert said in analysis.criteria[1].reason


def test_another_host_or_machine_than_the_baselines_is_told(tmp_path: Path, kept: dict[str, Any]) -> None:
    analysis = judged(tmp_path / "run", kept | {"host": "http://10.0.0.9", "machine": {"processor": "Z80"}})
    assert any("under another host: http://10.0.0.9" in note for note in analysis.notes)
    assert any("under another machine: Z80" in note for note in analysis.notes)


PLAN = """
id: A-1
title: a
mix: {ReadOnlyUser: {}}
phases: [{name: p, rate: 5, duration: 10s}]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("criteria: [{metric: latency_p95_ms, worse_at_most: 5 %}]", "worse_at_most needs a baseline"),
        ("baseline: b.json\ncriteria: [{metric: offered_rps, worse_at_most: 5 %}]", "neither direction is better"),
        ("baseline: b.json\ncriteria: [{metric: latency_p95_ms, worse_at_most: 5 kg}]", "worse_at_most"),
        ("baseline: b.json\ncriteria: [{metric: latency_p95_ms, worse_at_most: -1}]", "worse_at_most"),
        ("baseline: b.json\ncriteria: [{metric: latency_p95_ms, worse_at_most: 5 %, below: 3}]", "exactly one of"),
        (
            "baseline: b.json\ncriteria: [{metric: latency_p95_ms, worse_at_most: 5 %, abort_on_fail: true}]",
            "judged at the end only",
        ),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN + text, encoding="utf-8")
    with pytest.raises(PlanError, match=said):
        load(tmp_path / "plan.yaml")


def test_a_limit_is_written_as_a_share_or_as_percent(tmp_path: Path) -> None:
    text = "baseline: b.json\ncriteria: [{metric: latency_p95_ms, worse_at_most: 5 %}, {metric: error_rate, "
    text += "worse_at_most: 0.01}]"
    (tmp_path / "plan.yaml").write_text(PLAN + text, encoding="utf-8")
    assert [c.worse_at_most for c in load(tmp_path / "plan.yaml").criteria] == [0.05, 0.01]
