"""The catalogue of Level 3: 18 cases without 18 copies of a text, and a new one with one command."""

import json
from pathlib import Path

import pytest
import yaml

from plans.__main__ import FOLDER, main
from plans.loading import load
from plans.metrics import METRICS
from plans.schema import Plan
from reports.snapshots import _PLAIN

COMPONENTS = ("mixtral", "hermes-2", "openchat-3.5", "phi-3-mini", "api-gateway", "database")
TYPES = {"load": "LOAD", "stress": "STRESS", "bench": "BENCH"}
CASES = [(component, kind) for component in COMPONENTS for kind in TYPES]


def case(component: str, kind: str) -> Plan:
    return load(FOLDER / "hxp" / f"{component}-{kind}.yaml", {})


def test_there_are_eighteen_cases_and_no_two_have_the_same_id_or_title() -> None:
    plans = [case(*one) for one in CASES]
    assert len(list((FOLDER / "hxp").glob("*.yaml"))) == len(plans) == 18
    assert len({plan.id for plan in plans}) == len({plan.title for plan in plans}) == 18


@pytest.mark.parametrize(("component", "kind"), CASES)
def test_a_case_is_what_its_name_says(component: str, kind: str) -> None:
    plan = case(component, kind)
    number = COMPONENTS.index(component) + 1
    assert plan.id == f"TC-L3-PERF-{TYPES[kind]}-{number:03d}"
    assert plan.level == 3
    assert plan.component is not None
    assert plan.component.startswith(component)
    assert plan.traceability.requirement
    assert plan.success_criteria
    assert {"HXP-10"} <= set(plan.covers)
    assert plan.criteria


@pytest.mark.parametrize(("component", "kind"), [one for one in CASES if one != ("mixtral", "load")])
def test_a_case_writes_down_its_identity_and_leaves_the_rest_to_its_base(component: str, kind: str) -> None:
    own = yaml.safe_load((FOLDER / "hxp" / f"{component}-{kind}.yaml").read_text(encoding="utf-8"))
    identity = {"extends", "id", "title", "component", "traceability", "tags", "target", "description"}
    assert set(own) <= identity


@pytest.mark.parametrize("kind", TYPES)
def test_the_database_is_queried_itself_beside_the_api_in_front_of_it(kind: str) -> None:
    plan = case("database", kind)
    shares = {name: user.share for name, user in plan.mix.arriving().items()}
    assert shares == {"DatabaseUser": 0.5, "HighVolumeUser": 0.2, "ReadOnlyUser": 0.3}
    sql = {c.metric for c in plan.criteria if c.scenario == "DatabaseUser" or c.name is not None}
    assert {"latency_p95_ms", "success_rate", "index_used"} <= sql


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_stress_case_has_a_baseline_900_seconds_of_stress_and_a_recovery(component: str) -> None:
    plan = case(component, "stress")
    assert [phase.name for phase in plan.phases] == ["baseline", "stress", "recovery"]
    assert plan.phases[1].duration == 900
    assert {"graceful_degradation", "recovery_s"} <= {criterion.metric for criterion in plan.criteria}


@pytest.mark.parametrize("component", COMPONENTS[:4])
def test_a_benchmark_has_the_limits_of_the_performance_baseline(component: str) -> None:
    plan = case(component, "bench")
    assert plan.baseline is not None
    baseline = json.loads((FOLDER.parent / plan.baseline).read_text(encoding="utf-8"))
    limits = {c.metric: (c.operator, c.limit) for c in plan.criteria if c.id == "HXP-7"}
    signs = {metric: "<=" if METRICS[metric].better.value == "lower" else ">=" for metric in METRICS}
    assert limits == {metric: (signs[metric], baseline[key] * unit) for key, (metric, unit) in _PLAIN.items()}


@pytest.mark.parametrize(
    ("id_", "service", "kind", "phases"),
    [
        ("TC-L3-PERF-LOAD-042", "summariser", "llm", 4),
        ("TC-L3-PERF-STRESS-042", "2nd.search", "api", 3),
        ("TC-L3-PERF-BENCH-042", "summariser", "llm", 2),
    ],
)
def test_a_new_case_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, id_: str, service: str, kind: str, phases: int
) -> None:
    (tmp_path / "hxp").mkdir()
    (tmp_path / "base").symlink_to(FOLDER / "base")

    assert main(["new", id_, service, "--kind", kind, "--folder", str(tmp_path / "hxp")]) == 0
    (written,) = (tmp_path / "hxp").iterdir()
    plan = load(written, {})
    assert (plan.id, plan.component, len(plan.phases)) == (id_, service, phases)
    variable = "SUMMARISER_HOST" if service == "summariser" else "S2ND_SEARCH_HOST"
    assert load(written, {variable: "http://127.0.0.1:9"}).target.host == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("id_", "service", "said"),
    [
        ("TC-L3-PERF-SOAK-042", "a", "must be of the form TC-L3-PERF-LOAD-042"),
        ("nonsense", "a", "got 'nonsense'"),
        ("TC-L3-PERF-LOAD-042", "../../a", "SERVICE must be 1 to 40 small letters"),
        ("TC-L3-PERF-LOAD-001", "a", "is the id of"),
        ("TC-L3-PERF-LOAD-042", "mixtral", "exists already"),
    ],
)
def test_a_new_case_with_a_mistake_is_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], id_: str, service: str, said: str
) -> None:
    before = sorted(FOLDER.rglob("*.yaml"))
    assert main(["new", id_, service]) == 2
    assert said in capsys.readouterr().err
    assert sorted(FOLDER.rglob("*.yaml")) == before
