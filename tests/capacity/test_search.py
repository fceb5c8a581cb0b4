"""The search stops for the right reasons, and says so."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from capacity.fit import crossing
from capacity.probes import Batch, Level, Probe, Reading, Role, Share, Stopped
from capacity.search import Found, Search, Settings

FloatArray = NDArray[np.float64]


@dataclass
class Server:
    """A prober whose limits are functions of the load; `sick` says why the generator is not well there."""

    limits: Sequence[Callable[[float], Reading | None]]
    sick: Callable[[float], str | None] = lambda load: None
    stops_at: int = 99
    batches: list[Batch] = field(default_factory=list)
    now: float = 0.0

    def elapsed(self) -> float:
        return self.now

    def run(self, batch: Batch) -> Sequence[Probe]:
        self.batches.append(batch)
        if len(self.batches) > self.stops_at:
            raise Stopped("interrupted")
        probes = []
        for step in batch.steps:
            readings = tuple(limit(step.load) for limit in self.limits)
            trouble = self.sick(step.load)
            probes.append(
                Probe(step.role, step.load, step.load, step.seconds, self.now, readings, {}, trouble, run="run")
            )
            self.now += step.settle_s + step.seconds
            if batch.stop_when_broken and probes[-1].clearly_broken:
                break
        self.now += 7
        return probes


def share(capacity: float, slope: float = 8.0, budget: float = 0.05) -> Callable[[float], Share]:
    """Return a limit that is crossed at a capacity, without noise."""

    def at(load: float) -> Share:
        odds = math.log(budget / (1 - budget)) + slope * math.log(load / capacity)
        return Share(round(2000 / (1 + math.exp(-odds))), 2000, budget)

    return at


def searched(server: Server, **settings: float) -> Found:
    return Search(Settings(**({"start": 10.0, "highest": 1e5} | settings)), server).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("capacity", [2.0, 33.0, 150.0, 2500.0])
@pytest.mark.parametrize("start", [10.0, 60.0])
def test_a_crossing_is_found_wherever_it_is_beside_the_start(capacity: float, start: float) -> None:
    found = searched(Server([share(capacity)]), start=start, limit_s=900)
    assert found.capacity is not None
    assert found.capacity.load == pytest.approx(capacity, rel=0.02)
    assert found.ended == ""
    assert not found.stopped


def test_the_limit_that_is_crossed_first_is_the_limiting_one() -> None:
    found = searched(Server([share(90), share(40), lambda load: Level(load / 70)]), limit_s=900)
    assert found.limiting == 1
    assert found.capacity is not None
    assert found.capacity.load == pytest.approx(40, rel=0.02)


def test_a_limit_that_only_holds_or_does_not_is_searched_by_too() -> None:
    found = searched(Server([lambda load: Share(float(load > 47), 1, 0.5)]), limit_s=900)
    assert found.capacity is not None
    assert found.capacity.load == pytest.approx(47, rel=0.06)


def test_users_are_whole_and_at_least_one() -> None:
    server = Server([share(5.4)])
    searched(server, start=1, whole=True)
    loads = [step.load for batch in server.batches for step in batch.steps]
    assert all(load == round(load) >= 1 for load in loads)


def test_no_batch_begins_that_would_end_after_the_limit() -> None:
    server = Server([share(50)])
    found = searched(server, limit_s=200, precision=0.001)
    assert server.elapsed() <= 200
    assert "time" in found.ended
    assert found.interval is not None


def test_a_search_ends_as_soon_as_the_interval_is_narrow_enough() -> None:
    server = Server([share(50, slope=20)])
    found = searched(server, precision=0.05, limit_s=3600)
    assert found.precision <= 0.05
    assert server.elapsed() < 600


def test_a_rung_that_clearly_breaks_is_the_last_of_its_batch() -> None:
    server = Server([share(25)])
    found = searched(server)
    assert len(server.batches[0].steps) > 3
    assert [probe.asked for probe in found.probes[:3]] == [10, 20, 40]
    assert found.probes[3].asked < 40


def test_an_anchor_that_is_known_to_be_good_begins_every_batch_of_probes() -> None:
    server = Server([share(50)])
    found = searched(server, precision=0.001)
    with_probes = [batch for batch in server.batches if any(step.role is Role.PROBE for step in batch.steps)]
    assert len(with_probes) >= 2
    assert {batch.steps[0].role for batch in with_probes} == {Role.ANCHOR}
    assert len({probe.asked for probe in found.probes if probe.role is Role.ANCHOR}) == 1


def test_probes_stand_on_both_sides_of_the_capacity() -> None:
    found = searched(Server([share(50)]))
    last = [probe.asked for probe in found.probes if probe.role is Role.PROBE][-4:]
    assert min(last) < 50 < max(last)


def test_a_batch_goes_up_and_down_again_in_small_steps() -> None:
    """A queue needs time to become what it is at another load: less of it for a small step, and as much up as down."""
    server = Server([share(50)])
    searched(server, precision=0.001)
    loads = [[step.load for step in batch.steps[1:]] for batch in server.batches if batch.steps[0].role is Role.ANCHOR]
    assert loads[0] == sorted(loads[0])
    assert loads[1] == loads[1][::-1]
    for one in loads:
        assert all(abs(after / before - 1) < 0.11 for before, after in itertools.pairwise(one))


def test_time_that_no_further_batch_fits_into_goes_into_the_probes() -> None:
    server = Server([share(50)])
    searched(server, precision=0.001, limit_s=300)
    longest = [max(step.seconds for step in batch.steps) for batch in server.batches]
    assert longest[-1] > 15
    assert set(longest[:-1]) == {6.0, 15.0}
    assert 295 < server.elapsed() <= 300


def test_a_sick_generator_is_no_failure_of_the_server() -> None:
    found = searched(Server([share(1000)], sick=lambda load: "late" if load > 70 else None))
    assert found.stopped
    assert "load generator" in found.ended
    assert "80" in found.ended
    assert found.capacity is None
    assert max(probe.load for probe in found.valid) == 40


def test_one_hiccup_of_the_generator_near_the_capacity_is_left_out_and_not_the_end() -> None:
    hiccups = iter(["a hiccup"])
    server = Server([share(50)], sick=lambda load: next(hiccups, None) if 48 < load < 54 else None)
    found = searched(server)
    assert not found.stopped
    assert len(found.valid) == len(found.probes) - 1
    assert found.capacity is not None
    assert found.capacity.load == pytest.approx(50, rel=0.03)


def test_what_was_found_before_an_interruption_stands() -> None:
    found = searched(Server([share(50)], stops_at=2))
    assert found.stopped
    assert found.ended == "interrupted"
    assert found.interval is not None
    assert found.interval[0] <= 50 <= found.interval[1]


def test_a_server_that_breaks_at_any_load_has_no_capacity() -> None:
    found = searched(Server([lambda load: Share(100, 100, 0.05)]))
    assert found.capacity is None
    assert "already at the lowest load" in found.ended
    assert not found.stopped


def test_a_limit_that_never_breaks_has_no_capacity_either() -> None:
    found = searched(Server([lambda load: Share(0, 100, 0.05)]), highest=100)
    assert found.capacity is None
    assert "up to the highest load that was tried, 100" in found.ended


def test_a_limit_without_data_is_no_reading() -> None:
    found = searched(Server([share(50), lambda load: None]))
    assert found.crossings[1] is None
    assert found.limiting == 0


def overdispersed(seed: int, capacity: float) -> tuple[list[float], list[Reading]]:
    """Return 12 probes whose counts vary five times as much as independent ones would."""
    random = np.random.default_rng(seed)
    loads = capacity * (1 + np.array([-0.1, 0.1, -0.045, 0.045] * 3))
    share = 1 / (1 + np.exp(-(math.log(0.05 / 0.95) + 6 * np.log(loads / capacity))))
    likeness = 4 / 749
    means = random.beta(share * (1 - likeness) / likeness, (1 - share) * (1 - likeness) / likeness)
    return list(loads), [Share(int(bad), 750, 0.05) for bad in random.binomial(750, means)]


def test_the_interval_covers_the_truth_as_often_as_it_says_when_requests_share_their_fate() -> None:
    """95 % of 60 are 57; fewer than 52 would happen once in 200 times, and the seeds are fixed."""
    found = [crossing(*overdispersed(seed, 50.0)) for seed in range(60)]
    assert sum(one.low <= 50 <= one.high for one in found) >= 52
    assert np.mean([one.load for one in found]) == pytest.approx(50, rel=0.01)
    assert np.median([one.precision for one in found]) < 0.1


def test_random_arrivals_are_held_to_the_limit_on_average() -> None:
    """What comes by chance beyond what was asked for costs more than as much less of it saves."""
    random, budget, slope = np.random.default_rng(3), 0.1, 6.0
    deviations = np.exp(random.normal(0, 0.06, 4000))

    def outside(load: FloatArray) -> FloatArray:
        return 1 / (1 + np.exp(-(math.log(budget / (1 - budget)) + slope * np.log(load / 50))))

    def on_average(asked: float) -> float:
        return float((deviations * outside(asked * deviations)).sum() / deviations.sum())

    truth = next(asked for asked in np.linspace(50, 48, 401) if on_average(asked) <= budget)
    assert truth < 49.6
    asked = np.repeat(truth * np.array([0.9, 0.95, 1.05, 1.1]), 30)
    loads = asked * deviations[:120]
    readings = [Share(float(share) * 3000, 3000, budget) for share in outside(loads)]
    assert crossing(list(loads), readings, list(asked)).load == pytest.approx(truth, rel=0.003)
    assert crossing(list(loads), readings).load == pytest.approx(50, rel=0.003)


def test_what_a_low_load_shows_is_the_most_that_is_outside_at_any_load() -> None:
    """Nothing outside at two thirds of the load: so what is outside at the crossing comes from the load."""
    loads, readings = overdispersed(3, 50.0)
    without = crossing(loads, readings)
    known = crossing([30.0, *loads], [Share(0, 2000, 0.05), *readings])
    guessed = crossing([30.0, *loads], [Share(50, 2000, 0.05), *readings])
    assert known.precision < without.precision
    assert known.precision < guessed.precision


def test_more_probes_make_the_interval_narrower() -> None:
    loads, readings = overdispersed(1, 50.0)
    assert crossing(loads * 4, readings * 4).precision < crossing(loads, readings).precision
