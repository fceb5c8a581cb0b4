"""Parts of a schedule: together they are the schedule, however often they are divided."""

from random import Random

import pytest

from shapes.arrivals import Schedule, schedule
from shapes.stripes import Part, counted
from tests.shapes.plans import plan


@pytest.fixture(scope="module")
def whole() -> Schedule:
    phases = [
        {"name": "low", "rate": 20, "duration": "10s"},
        {"name": "held", "users": 5, "duration": "5s"},
        {"name": "ramp", "shape": "ramp", "rate": {"from": 10, "to": 100}, "duration": "20s"},
    ]
    mix = {"ChatUser": {"share": 0.3}, "EvaluationRunUser": {"share": 0.7}}
    return schedule(plan(phases=phases, mix=mix, arrivals="poisson"), seed=3)


def indices(parts: list[Part], of: Schedule) -> list[int]:
    return [int(index) for part in parts for index in part.of(of).indices]


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_the_stripes_of_all_phases_are_the_schedule_whoever_shares_it(whole: Schedule, workers: int) -> None:
    parts = [part for phase in range(3) for part in Part(phase).divided(0.0, workers)]
    assert sorted(indices(parts, whole)) == list(range(len(whole)))
    dues = {int(i): due for part in parts for i, due in zip(part.of(whole).indices, part.of(whole).times, strict=True)}
    assert [dues[index] for index in range(len(whole))] == whole.times.tolist()


def test_each_worker_has_the_same_share_of_each_scenario(whole: Schedule) -> None:
    for place, part in enumerate(Part(0).divided(0.0, 4)):
        ((phase, counts),) = counted([part], whole).items()
        assert phase == "low"
        for scenario, count in counted([Part(0)], whole)["low"].items():
            assert abs(counts[scenario] - count / 4) < 1, place


@pytest.mark.parametrize("seed", range(5))
def test_parts_that_are_passed_on_again_and_again_leave_no_arrival_out_and_double_none(
    whole: Schedule, seed: int
) -> None:
    random = Random(seed)
    parts = [part for phase in range(3) for part in Part(phase).divided(0.0, 4)]
    for _ in range(6):
        lost, at = parts.pop(random.randrange(len(parts))), random.uniform(0, 35)
        parts += [lost.ended(at), *lost.divided(at, random.randint(1, 3))]
    assert sorted(indices(parts, whole)) == list(range(len(whole)))


def test_counts_of_parts_are_by_phase_and_scenario(whole: Schedule) -> None:
    found = counted([Part(phase) for phase in range(3)], whole)
    assert found["low"].keys() == {"ChatUser", "EvaluationRunUser"}
    assert sum(sum(counts.values()) for counts in found.values()) == len(whole)
    assert found["held"] == {}
