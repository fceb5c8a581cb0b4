"""Measured baselines of Catalytic's scenarios: a plan holds itself against each, and the docs say what is in it."""

import re

import pytest

from benchmarks.baselines import SCENARIOS, figures_of, kept, words_of
from plans.__main__ import FOLDER
from plans.loading import load
from plans.schema import Plan

ROOT = FOLDER.parent


def regression(name: str) -> Plan:
    return load(FOLDER / "regression" / f"catalytic-{name}.yaml", {})


def test_each_scenario_has_a_baseline() -> None:
    assert set(SCENARIOS) == {path.stem for path in (FOLDER / "catalytic").glob("*.yaml")}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_plan_holds_each_scenario_against_measured_figures(name: str) -> None:
    plan, scenario = regression(name), load(FOLDER / "catalytic" / f"{name}.yaml", {})
    assert (plan.mix, plan.phases, plan.target) == (scenario.mix, scenario.phases, scenario.target)
    assert plan.baseline == f"data/baselines/catalytic_{name}.json"
    baseline, scoped = kept(name), figures_of(name)
    assert baseline.unfit is None
    assert not baseline.rehearsal
    assert baseline.plan == scenario.id
    assert {"processor", "cpus", "system"} <= set(baseline.machine)
    (phase,) = [phase for phase in scenario.phases if phase.name == scoped.phase]
    assert scoped.load == phase.load_text
    for criterion in plan.criteria:
        assert criterion.worse_at_most is not None
        assert criterion.phase == scoped.phase
        assert criterion.metric in scoped.metrics


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_docs_show_the_figures_that_are_kept(name: str) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {name}: [^|]*\| ([^|;(]*)", page, re.MULTILINE)
    assert row == words_of(figures_of(name))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_docs_show_by_how_much_each_may_become_worse(name: str) -> None:
    page = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `catalytic-{name}` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", page, re.MULTILINE)
    worse = [criterion.worse_at_most for criterion in regression(name).criteria]
    assert [float(text.rstrip(" %")) / 100 for text in row] == pytest.approx(worse)
