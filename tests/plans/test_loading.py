"""Plans are found, extended, filled from the environment, and never end in anything but a Plan or a PlanError."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans.__main__ import FOLDER, plan_files
from plans.loading import load, merge
from plans.problems import PlanError
from plans.schema import Plan
from plans.target import Process
from tests.plans.test_broken_plans import GOOD

SHIPPED = plan_files(FOLDER)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_plans_are_shipped() -> None:
    names = {str(path.relative_to(FOLDER)) for path in SHIPPED}
    profiles = {f"profiles/{name}.yaml" for name in ("baseline", "ramp", "sustained", "spike", "soak", "stress")}
    assert {"quickstart.yaml", "base/llm-load.yaml", "hxp/mixtral-load.yaml"} | profiles <= names


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_every_shipped_plan_loads_and_says_what_it_is_for(path: Path) -> None:
    plan = load(path, {})
    assert plan.objective
    assert plan.traceability.requirement or "base" in plan.tags
    assert plan.covers or path.parent.name == "base"
    assert plan.criteria or path.parent.name == "base"
    assert plan.target.host == "embedded"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    reference = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / reference).resolve() == FOLDER / "plan.schema.json"


def test_ids_of_shipped_plans_are_unique() -> None:
    ids = [load(path, {}).id for path in SHIPPED]
    assert len(ids) == len(set(ids))


def test_profiles_run_at_50_rps_and_the_baseline_at_10() -> None:
    for name in ("baseline", "ramp", "sustained", "spike", "soak"):
        plan = load(FOLDER / "profiles" / f"{name}.yaml", {})
        (phase,) = plan.phases
        assert (10 if name == "baseline" else 50) in (phase.load.value, phase.load.to, phase.load.base)
    assert load(FOLDER / "profiles/soak.yaml", {}).duration == 4 * 3600


def test_the_mixtral_case_has_the_numbers_of_its_document() -> None:
    plan = load(FOLDER / "hxp/mixtral-load.yaml", {})
    assert plan.id == "TC-L3-PERF-LOAD-001"
    assert [(p.name, p.duration, p.load.highest()) for p in plan.phases] == [
        ("baseline", 300, 10),
        ("ramp", 600, 50),
        ("sustained", 1800, 50),
        ("quality", 900, 50),
    ]
    limits = {(c.id, c.phase, c.metric, c.operator, c.limit) for c in plan.criteria}
    assert limits == {
        ("HXP-1", "baseline", "latency_mean_ms", "<", 1000),
        ("HXP-1", "baseline", "success_rate", ">", 0.99),
        ("HXP-2", "ramp", "latency_mean_ms", "<", 2000),
        ("HXP-2", "ramp", "success_rate", ">", 0.98),
        ("HXP-2", "ramp", "stable_performance", "is", True),
        ("HXP-3", "sustained", "latency_mean_ms", "<", 2000),
        ("HXP-3", "sustained", "throughput_rps", ">=", 50),
        ("HXP-3", "sustained", "success_rate", ">", 0.98),
        ("HXP-3", "sustained", "stability_score", ">", 0.95),
        ("HXP-4", None, "memory_max_bytes", "<=", 90e9),
        ("HXP-4", None, "cpu_cores_max", "<=", 8),
        ("HXP-4", None, "memory_leak", "is", False),
        ("HXP-4", "sustained", "stable_utilisation", "is", True),
        ("HXP-5", "quality", "quality_mean", ">=", 0.8),
        ("HXP-5", "quality", "quality_stability", ">", 0.9),
        ("HXP-5", "quality", "consistency_score", ">", 0.85),
        ("HXP-6", None, "performance_score", ">=", 0.95),
    }
    assert plan.target.prometheus is None
    assert list(plan.dependencies.services()) == []


def test_the_mixtral_case_takes_its_host_from_the_environment() -> None:
    environ = {"MIXTRAL_HOST": "http://127.0.0.1:11400", "MIXTRAL_METRICS": "http://127.0.0.1:9090"}
    target = load(FOLDER / "hxp/mixtral-load.yaml", environ).target
    assert (target.host, target.prometheus) == ("http://127.0.0.1:11400", "http://127.0.0.1:9090")
    with pytest.raises(PlanError, match=r"target\.host is not allowed: add 'gpu\.example\.com'"):
        load(FOLDER / "hxp/mixtral-load.yaml", {"MIXTRAL_HOST": "http://gpu.example.com"})


def test_the_quickstart_covers_every_phase_and_every_kind_of_traffic() -> None:
    plan = load(FOLDER / "quickstart.yaml", {})
    assert 60 <= plan.duration <= 90
    assert {c.phase for c in plan.criteria} - {None} == {phase.name for phase in plan.phases}
    assert {c.scenario for c in plan.criteria} - {None} == set(plan.mix.names())


def test_a_child_merges_mappings_replaces_lists_and_removes_with_null(tmp_path: Path) -> None:
    write(tmp_path, "base/parent.yaml", GOOD + "objective: why\npool: {max_users: 7, drain: 3s}\ntags: [a, b]\n")
    child = write(
        tmp_path,
        "child.yaml",
        "extends: base/parent.yaml\nid: C-1\nobjective: null\npool: {drain: 9s}\ntags: [c]\n"
        "mix: {ChatUser: null, ReadOnlyUser: {share: 2}}\n",
    )
    plan = load(child, {})
    assert (plan.id, plan.title, plan.objective, plan.tags) == ("C-1", "A plan", None, ("c",))
    assert (plan.pool.max_users, plan.pool.drain) == (7, 9.0)
    assert plan.mix.names() == ["ReadOnlyUser"]


def test_a_plus_puts_entries_after_the_inherited_ones(tmp_path: Path) -> None:
    criteria = "criteria:\n  - {metric: success_rate, above: 0.9}\n"
    write(tmp_path, "parent.yaml", GOOD + criteria)
    more = "criteria+:\n  - {metric: error_rate, below: 0.1}\n"
    middle = write(tmp_path, "middle.yaml", "extends: parent.yaml\nid: M-1\n" + more)
    child = write(tmp_path, "child.yaml", "extends: middle.yaml\nid: C-1\n" + more.replace("error_rate", "dropped"))
    assert [c.metric for c in load(middle, {}).criteria] == ["success_rate", "error_rate"]
    assert [c.metric for c in load(child, {}).criteria] == ["success_rate", "error_rate", "dropped"]


def test_a_problem_names_the_file_in_which_its_value_stands(tmp_path: Path) -> None:
    write(
        tmp_path, "parent.yaml", GOOD.replace("rate: 10", "rate: -1") + "criteria: [{metric: success_rat, above: 1}]\n"
    )
    child = write(tmp_path, "child.yaml", "extends: parent.yaml\nid: '?'\ncriteria+: [{metric: x}]\n")
    with pytest.raises(PlanError) as caught:
        load(child, {})
    places = {(Path(p.file).name, p.field) for p in caught.value.problems}
    assert places == {
        ("child.yaml", "id"),
        ("parent.yaml", "phases[0].rate"),
        ("parent.yaml", "criteria[0].metric"),
        ("child.yaml", "criteria+[0].metric"),
    }


def test_a_circle_of_plans_is_refused(tmp_path: Path) -> None:
    for name, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        write(tmp_path, f"{name}.yaml", f"extends: {parent}.yaml\n")
    with pytest.raises(PlanError, match=r"c\.yaml: extends leads back to this plan through 'a\.yaml'"):
        load(tmp_path / "a.yaml", {})


def test_a_missing_parent_is_named_in_the_child_with_a_near_one(tmp_path: Path) -> None:
    write(tmp_path, "base/llm.yaml", GOOD)
    child = write(tmp_path, "child.yaml", "extends: base/lmm.yaml\n")
    with pytest.raises(
        PlanError, match=r"child\.yaml: extends .* got 'base/lmm\.yaml'; did you mean .*base/llm\.yaml\?"
    ):
        load(child, {})


def test_variables_are_taken_from_the_environment_or_their_default(tmp_path: Path) -> None:
    text = GOOD.replace("rate: 10", 'rate: "${RATE:-10}"').replace("A plan", "on ${SYSTEM:-nothing} and ${SYSTEM:-}")
    path = write(tmp_path, "x.yaml", text)
    assert load(path, {}).phases[0].load.value == 10
    assert load(path, {}).title == "on nothing and "
    plan = load(path, {"RATE": "25.5", "SYSTEM": "Mixtral"})
    assert (plan.phases[0].load.value, plan.title) == (25.5, "on Mixtral and Mixtral")
    # An empty variable is as good as none: `FOO= make load` should take the default.
    assert load(path, {"RATE": ""}).phases[0].load.value == 10


def test_a_variable_that_a_child_replaces_is_not_needed(tmp_path: Path) -> None:
    write(tmp_path, "parent.yaml", GOOD + "description: '${NOWHERE}'\n")
    assert load(write(tmp_path, "c.yaml", "extends: parent.yaml\ndescription: here\n"), {}).description == "here"


def test_the_environment_of_the_process_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAN_TITLE", "from outside")
    assert load(write(tmp_path, "x.yaml", GOOD.replace("A plan", "${PLAN_TITLE}"))).title == "from outside"


def test_an_empty_variable_leaves_an_optional_field_out(tmp_path: Path) -> None:
    text = GOOD + "target: {process: '${P:-}', prometheus: '${Q:-}', api_key_env: '${K:-}'}\n"
    target = load(write(tmp_path, "x.yaml", text), {}).target
    assert (target.process, target.prometheus, target.api_key_env) == (None, None, None)


def test_the_process_is_found_in_one_way(tmp_path: Path) -> None:
    path = write(tmp_path, "x.yaml", GOOD + "target: {process: {port: 11400}}\n")
    assert load(path, {}).target.process == Process(port=11400)


def test_a_plan_cannot_be_changed(tmp_path: Path) -> None:
    plan = load(write(tmp_path, "x.yaml", GOOD), {})
    with pytest.raises(ValueError, match="frozen"):
        plan.phases[0].rate = None  # type: ignore[misc]


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), children),
    max_leaves=12,
)
KEYS = st.sampled_from([*Plan.model_fields, "extends", "criteria+", "phases+", "name", "rate", "from", "metric"])
PLANS: st.SearchStrategy[object] = st.fixed_dictionaries(
    {
        "id": st.just("F-1") | TREES,
        "title": st.just("fuzz") | TREES,
        "mix": st.just({"ChatUser": {}})
        | st.dictionaries(st.sampled_from(["ChatUser", "WebSocketUser"]), TREES)
        | TREES,
        "phases": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["a", "b"]) | TREES, "duration": st.sampled_from(["5s", 3]) | TREES},
                optional={
                    "rate": TREES
                    | st.floats()
                    | st.dictionaries(st.sampled_from(["from", "to", "steps", "mean"]), TREES),
                    "users": TREES,
                    "shape": st.sampled_from(["ramp", "spike", "sine"]) | TREES,
                    "think": TREES,
                    "rise": TREES,
                },
            )
            | TREES,
            max_size=3,
        )
        | TREES,
    },
    optional={
        "criteria": st.lists(
            st.dictionaries(st.sampled_from(["metric", "phase", "below", "is", "scenario"]), TREES), max_size=2
        ),
        "target": st.dictionaries(st.sampled_from(["host", "allow", "process", "model"]), TREES) | TREES,
        "faults": TREES,
        "extends": TREES,
    },
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tree=PLANS | st.dictionaries(KEYS, TREES) | TREES)
def test_any_yaml_gives_a_plan_or_a_plan_error(tmp_path: Path, tree: object) -> None:
    assert_plan_or_problem(tmp_path, yaml.dump(tree, allow_unicode=True))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.text(alphabet="ab:{}[]-&*!?|>'\"#%@`0123456789.\n \t<$~_", max_size=60))
def test_any_text_gives_a_plan_or_a_plan_error(tmp_path: Path, text: str) -> None:
    assert_plan_or_problem(tmp_path, text)
    assert_plan_or_problem(tmp_path, GOOD + "description: " + text)


def assert_plan_or_problem(folder: Path, text: str) -> None:
    path = folder / "fuzz.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    result: Plan | PlanError
    try:
        result = load(path, {})
    except PlanError as error:
        result = error
    if isinstance(result, Plan):
        assert json.loads(result.model_dump_json())["phases"]
    else:
        assert result.problems
        assert "pydantic" not in str(result).lower() or "pydantic" in text.lower()


def test_merge_leaves_its_arguments_alone() -> None:
    parent, child = {"a": {"b": 1}}, {"a": {"c": {"d": None}}}
    assert merge(parent, child) == {"a": {"b": 1, "c": {}}}
    assert (parent, child) == ({"a": {"b": 1}}, {"a": {"c": {"d": None}}})
