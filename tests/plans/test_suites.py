"""The suites ask for what is documented of them: users, lengths and limits of every scenario."""

import pytest

from plans.__main__ import FOLDER
from plans.choosing import Wanted, choose
from plans.loading import load
from plans.schema import Criterion, Plan

CATALYTIC = sorted((FOLDER / "catalytic").glob("*.yaml"))
VICTOR = sorted((FOLDER / "victor").glob("*.yaml"))
Limit = tuple[str, str, float]

SCENARIOS: dict[str, tuple[float, float, str, set[Limit]]] = {
    "baseline": (
        100,
        600,
        "CAT-1",
        {("latency_p95_ms", "<", 200), ("throughput_rps", ">", 500), ("error_rate", "<", 0.001)},
    ),
    "stress": (
        500,
        300,
        "CAT-2",
        {("latency_p95_ms", "<", 500), ("throughput_rps", ">", 1000), ("error_rate", "<", 0.01)},
    ),
    "spike": (
        1000,
        300,
        "CAT-3",
        {("latency_p95_ms", "<", 1000), ("recovery_s", "<", 60), ("error_rate", "<", 0.05)},
    ),
    "soak": (
        50,
        4 * 3600,
        "CAT-4",
        {
            ("memory_leak", "is", 0),
            ("connection_leak", "is", 0),
            ("pool_exhausted", "is", 0),
            ("latency_p95_ms", "<", 200),
        },
    ),
    "mixed": (
        200,
        900,
        "CAT-5",
        {
            ("latency_p95_ms", "<", 400),
            ("throughput_rps", ">", 600),
            ("error_rate", "<", 0.005),
            ("ws_connections_lost", "<=", 0),
        },
    ),
}


def plan(folder: str, name: str) -> Plan:
    return load(FOLDER / folder / f"{name}.yaml", {})


def limit(criterion: Criterion) -> Limit:
    return criterion.metric, criterion.operator, float(criterion.limit)


def test_the_folder_has_the_five_scenarios_and_runs_four_of_them_unless_it_is_told_to_soak() -> None:
    assert {path.stem for path in CATALYTIC} == set(SCENARIOS)
    assert [path.stem for path in choose(CATALYTIC, [], Wanted()).left_out] == ["soak"]
    assert len(choose(CATALYTIC, [], Wanted(soak=True)).plans) == 5


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("folder", ["catalytic", "catalytic-open"])
def test_a_scenario_has_its_users_its_length_and_its_limits(folder: str, name: str) -> None:
    users, seconds, requirement, limits = SCENARIOS[name]
    found = plan(folder, name)
    own = [one for one in found.criteria if one.id == requirement]
    assert {limit(one) for one in own} == limits
    judged = [phase for phase in found.phases if phase.name in {one.phase for one in own}]
    assert sum(phase.duration for phase in judged) == seconds
    assert all(phase.closed is (folder == "catalytic") for phase in found.phases)
    if folder == "catalytic":
        assert max(phase.load.highest() for phase in judged) == users
    if name == "soak":
        assert [one.phase for one in own if one.metric == "latency_p95_ms"] == [phase.name for phase in found.phases]


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "spike"])
def test_the_limits_of_the_platform_as_a_whole_hold_in_each_scenario(name: str) -> None:
    criteria = plan("catalytic", name).criteria
    assert ("availability", ">", 0.999) in {limit(one) for one in criteria}
    (warning,) = [one for one in criteria if one.metric == "latency_p99_ms"]
    assert (limit(warning), warning.severity.value) == (("latency_p99_ms", "<", 1000), "warn")
    assert all(limit(one)[2] <= 500 for one in criteria if one.metric == "latency_p95_ms")
    assert all(limit(one)[2] <= 0.01 for one in criteria if one.metric == "error_rate")
    assert all(one.severity.value == "fail" for one in criteria if one is not warning)


@pytest.mark.parametrize("name", ["baseline", "stress", "spike", "mixed"])
def test_users_who_think_that_long_can_make_the_requests_that_are_asked_for(name: str) -> None:
    found = plan("catalytic", name)
    wanted = max((float(one.limit) for one in found.criteria if one.metric == "throughput_rps"), default=0)
    phase = max(found.phases, key=lambda one: one.duration)
    assert phase.load.highest() / ((phase.think.min + phase.think.max) / 2) > 1.2 * wanted


def test_users_log_in_and_everything_can_be_changed_from_outside() -> None:
    given = {"CONCURRENT": "7", "DURATION": "9s", "ACCOUNTS": "3", "THINK_MIN": "1s", "THINK_MAX": "2s"}
    for path in CATALYTIC:
        found = load(path, given)
        assert found.target.accounts is not None
        assert found.target.accounts.count == 3
        judged = [phase for phase in found.phases if phase.duration == 9]
        assert judged
        assert all(
            (phase.load.highest(), phase.think.min, phase.think.max) in {(7, 1, 2), (100, 1, 2)} for phase in judged
        )


def test_every_plan_of_the_assistant_says_what_it_covers_and_together_they_cover_it() -> None:
    plans = [load(path, {}) for path in VICTOR]
    assert all(one.covers and one.criteria for one in plans)
    assert {id_ for one in plans for id_ in one.covers} == {f"VIC-{number}" for number in range(1, 9)}
    assert len({one.id for one in plans}) == len(plans)
    assert [path.stem for path in choose(VICTOR, [], Wanted()).left_out] == ["endurance"]


def test_the_assistants_limits_are_the_documented_ones() -> None:
    found = {(path.stem, one.id, *limit(one)) for path in VICTOR for one in load(path, {}).criteria}
    assert {
        ("concurrency", "VIC-2", "latency_p50_ms", "<", 100),
        ("concurrency", "VIC-2", "latency_p95_ms", "<", 300),
        ("concurrency", "VIC-2", "latency_p99_ms", "<", 500),
        ("concurrency", "VIC-2", "throughput_rps", ">", 100),
        ("scalability", "VIC-2", "throughput_degradation", "<=", 0.2),
        ("contexts", "VIC-3", "service_max_ms", "<", 100),
        ("contexts", "VIC-4", "memory_per_session_bytes", "<", 10e6),
        ("leak", "VIC-4", "scheduled", ">=", 1000),
        ("leak", "VIC-4", "memory_leak", "is", 0),
        ("clean-up", "VIC-4", "memory_over_rest_bytes", "<", 1e9),
        ("tools", "VIC-5", "latency_p50_ms", "<", 50),
        ("tools", "VIC-5", "latency_p99_ms", "<", 200),
        ("stress", "VIC-6", "recovery_s", "<", 60),
        ("endurance", "VIC-7", "memory_leak", "is", 0),
    } <= found
    assert max(phase.load.highest() for phase in plan("victor", "stress").phases) >= 1000
    assert plan("victor", "endurance").duration == 3600
