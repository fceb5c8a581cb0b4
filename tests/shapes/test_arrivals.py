"""The schedule holds the plan's rate in every window, is the same everywhere, and can be shared out."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from plans.phases import Phase
from plans.run import scaled
from shapes import arrivals
from shapes.arrivals import Schedule, assign, schedule, spans_of
from tests.shapes.plans import phase, phases, plan

Floats = NDArray[np.float64]


def test_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(arrivals)
    assert results.failed == 0
    assert results.attempted > 0


# -- evenly spaced arrivals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "count"),
    [
        (phase(duration=60, rate=50), 3000),
        (phase(shape="ramp", duration=15, rate={"from": 10, "to": 50}), 450),
        (phase(shape="ramp", duration="10m", rate={"from": 10, "to": 50}), 18_000),
        (phase(shape="steps", duration=60, rate={"from": 50, "to": 300, "steps": 6}), 10_500),
        (phase(shape="spike", duration=60, rate={"base": 50, "peak": 150}), 6_000),
        (phase(shape="sine", duration=60, rate={"mean": 20, "amplitude": 20}), 1_200),
        (phase(duration="4h", rate=50), 720_000),
        (phase(duration=0.01, rate=50), 0),
        (phase(duration=1, rate=0.7), 1),
    ],
)
def test_a_phase_has_exactly_the_arrivals_of_its_rate(of: Phase, count: int) -> None:
    assert len(schedule(plan(of), seed=1)) == count


def test_a_flat_rate_is_evenly_spaced() -> None:
    times = schedule(plan(phase(duration=60, rate=50)), seed=1).times
    assert times == pytest.approx((np.arange(3000) + 0.5) / 50)


@settings(max_examples=150, deadline=None)
@given(st.lists(phases(), min_size=1, max_size=5), st.lists(st.floats(0, 1), min_size=4, max_size=12))
def test_every_window_holds_the_integral_of_the_rate_within_one(of: list[Phase], places: list[float]) -> None:
    spans = spans_of(plan(*of))
    times = schedule(plan(*of), seed=1).times
    end = spans[-1].end

    def due(t: float) -> float:
        return sum(span.pacer.expected(min(max(t - span.start, 0), span.end - span.start)) for span in spans)

    # Windows between any two places, and between the edges of phases.
    cuts = sorted({*(place * end for place in places), *(span.start for span in spans), end})
    for low, high in itertools.combinations(cuts, 2):
        counted = np.searchsorted(times, high) - np.searchsorted(times, low)
        assert abs(counted - (due(high) - due(low))) <= 1 + 1e-6


@settings(max_examples=100, deadline=None)
@given(st.lists(phases(), min_size=1, max_size=5))
def test_arrivals_are_in_order_and_each_lies_in_its_phase(of: list[Phase]) -> None:
    planned = schedule(plan(*of), seed=1)
    assert np.all(np.diff(planned.times) >= 0)
    assert planned.indices.tolist() == list(range(len(planned)))
    for number, span in enumerate(planned.spans):
        times = planned.times[planned.phases == number]
        assert np.all((times >= span.start - 1e-9) & (times <= span.end + 1e-9))
    assert [span.name for span in planned.spans] == [one.name for one in of]


def test_phases_follow_each_other_on_one_axis() -> None:
    spans = spans_of(
        plan(phase("a", duration=5, rate=1), phase("b", duration="1m", users=3), phase("c", duration=2, rate=9))
    )
    assert [(span.name, span.start, span.end, span.closed) for span in spans] == [
        ("a", 0, 5, False),
        ("b", 5, 65, True),
        ("c", 65, 67, False),
    ]


def test_a_closed_phase_has_no_arrivals_and_shifts_those_behind_it() -> None:
    of = [phase("a", duration=10, rate=5), phase("b", duration=10, users=50), phase("c", duration=10, rate=5)]
    planned = schedule(plan(*of), seed=1)
    assert len(planned) == 100
    assert not np.any((planned.times > 10) & (planned.times < 20))
    assert planned.phases.tolist() == [0] * 50 + [2] * 50
    assert len(schedule(plan(of[1]), seed=1)) == 0


def test_a_plan_without_arriving_users_has_no_arrivals() -> None:
    mix = {"WebSocketUser": {"connections": 5}}
    held = plan(phase(duration=10, rate=5)).model_validate(
        {"id": "t", "title": "t", "mix": mix, "phases": [{"name": "p", "duration": 10, "rate": 5}]}
    )
    assert len(schedule(held, seed=1)) == 0


def test_a_shorter_rehearsal_keeps_the_rate() -> None:
    full = plan(
        phase("a", duration="5m", rate=10), phase("b", shape="ramp", duration="10m", rate={"from": 10, "to": 50})
    )
    short = scaled(full, time_scale=0.02)
    planned = schedule(short, seed=1)
    assert len(planned) == (10 * 6) + (30 * 12)
    assert np.count_nonzero(planned.phases == 0) == 60
    assert planned.times[0] == pytest.approx(0.05)
    twice = schedule(scaled(short, rate_scale=2.0), seed=1)
    assert len(twice) == 2 * len(planned)


# -- sharing out ----------------------------------------------------------------------------------------------------

PROCESSES = ["uniform", "poisson", "gamma"]


def rows(planned: Schedule) -> list[tuple[float, int, int, int]]:
    columns = (planned.times, planned.phases, planned.scenarios, planned.indices)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("n", range(1, 9))
def test_the_stripes_make_up_the_schedule_and_do_not_overlap(process: str, n: int) -> None:
    of = plan(
        phase("a", duration=10, rate=7),
        phase("b", shape="sine", duration=10, rate={"mean": 20, "amplitude": 20}),
        shares={"ChatUser": 2, "ReadOnlyUser": 1},
        arrivals=process,
    )
    whole = schedule(of, seed=3)
    stripes = [schedule(of, seed=3).stripe(i, n) for i in range(n)]  # each process makes its own
    merged = sorted(row for stripe in stripes for row in rows(stripe))
    assert merged == sorted(rows(whole))
    assert len({row[3] for row in merged}) == len(whole)
    assert max(map(len, stripes)) - min(map(len, stripes)) <= 1


@pytest.mark.parametrize(("i", "n"), [(2, 2), (-1, 2), (0, 0)])
def test_a_stripe_that_does_not_exist_is_refused(i: int, n: int) -> None:
    with pytest.raises(ValueError, match="stripe must be in"):
        schedule(plan(phase(duration=1, rate=5)), seed=1).stripe(i, n)


@pytest.mark.parametrize("process", PROCESSES)
def test_one_seed_gives_one_schedule(process: str) -> None:
    of = plan(phase(duration=20, rate=50), shares={"ChatUser": 1, "HighVolumeUser": 3}, arrivals=process)
    assert rows(schedule(of, seed=11)) == rows(schedule(of, seed=11))


@pytest.mark.parametrize("process", ["poisson", "gamma"])
def test_another_seed_gives_other_arrivals(process: str) -> None:
    of = plan(phase(duration=20, rate=50), arrivals=process)
    assert schedule(of, seed=11).times[0] != schedule(of, seed=12).times[0]


@pytest.mark.parametrize("process", PROCESSES)
def test_a_longer_run_begins_like_the_shorter_one(process: str) -> None:
    short = schedule(plan(phase(duration=50, rate=50), arrivals=process), seed=5)
    long = schedule(plan(phase(duration=500, rate=50), arrivals=process), seed=5)
    assert len(long) > 5 * len(short)
    assert long.times[: len(short)].tolist() == pytest.approx(short.times.tolist(), abs=1e-9)


# -- chance ---------------------------------------------------------------------------------------------------------

LONG = 4000


def merged(process: str, seed: int, stripes: int, burstiness: float = 1.0) -> Floats:
    """The arrivals of a long flat phase, as `stripes` processes send them together."""
    of = plan(phase(duration=LONG, rate=20), arrivals=process, burstiness=burstiness)
    return np.sort(np.concatenate([schedule(of, seed).stripe(i, stripes).times for i in range(stripes)]))


def counts(times: Floats) -> NDArray[np.int64]:
    return np.histogram(times, bins=LONG, range=(0, LONG))[0]


@pytest.mark.parametrize("stripes", [1, 2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_poisson_arrivals_are_poisson_however_many_processes_send_them(stripes: int, seed: int) -> None:
    # Seeds are fixed: the figures are the same at every run. Bounds are about four standard errors wide.
    times = merged("poisson", seed, stripes)
    per_second = counts(times)
    dispersion = per_second.var(ddof=1) / per_second.mean()
    assert abs(dispersion - 1) < 4 * np.sqrt(2 / (LONG - 1))
    assert abs(len(times) - 20 * LONG) < 4 * np.sqrt(20 * LONG)
    assert stats.kstest(np.diff(times), "expon", args=(0, 1 / 20)).pvalue > 0.001
    lags = np.diff(times) - 1 / 20
    assert abs(np.corrcoef(lags[:-1], lags[1:])[0, 1]) < 4 / np.sqrt(len(lags))


@pytest.mark.parametrize("seed", [1, 2])
def test_poisson_arrivals_follow_a_rate_that_changes(seed: int) -> None:
    # In the time of the integral they are a Poisson process of rate 1 again.
    of = plan(phase(shape="ramp", duration=1000, rate={"from": 0, "to": 40}), arrivals="poisson")
    planned = schedule(of, seed)
    inner = np.array([planned.spans[0].pacer.expected(t) for t in planned.times])
    assert stats.kstest(np.diff(inner), "expon").pvalue > 0.001
    assert np.count_nonzero(planned.times < 500) / len(planned) == pytest.approx(0.25, abs=0.02)


def test_even_arrivals_are_not_poisson() -> None:
    # The same figures tell the processes apart: they would fail for the wrong one.
    per_second = counts(merged("uniform", 1, 1))
    assert per_second.var() / per_second.mean() < 0.01


@pytest.mark.parametrize("shape", [0.25, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("stripes", [1, 4])
def test_gamma_gaps_have_the_spread_of_their_burstiness(shape: float, stripes: int) -> None:
    gaps = np.diff(merged("gamma", 7, stripes, burstiness=shape))
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1 / np.sqrt(shape), rel=0.03)
    assert stats.kstest(gaps, "gamma", args=(shape, 0, 1 / (20 * shape))).pvalue > 0.001


def test_gamma_of_shape_1_is_poisson() -> None:
    gamma, poisson = (merged(process, 7, 1) for process in ("gamma", "poisson"))
    assert gamma.tolist() == pytest.approx(poisson.tolist())


# -- scenarios ------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=4), st.integers(1, 600))
def test_shares_are_exact_within_one_arrival_at_every_point(shares: list[float], count: int) -> None:
    owners = assign(shares, count)
    assert len(owners) == count
    for owner, share in enumerate(shares):
        had = np.cumsum(owners == owner)
        wanted = np.arange(1, count + 1) * share / sum(shares)
        assert np.abs(had - wanted).max() < 1 + 1e-6


def test_a_scenario_has_its_share_of_the_arrivals_by_its_name() -> None:
    of = plan(phase(duration=100, rate=10), shares={"ReadOnlyUser": 1, "ChatUser": 7, "HighVolumeUser": 2})
    planned = schedule(of, seed=1)
    had = {name: int(np.count_nonzero(planned.scenarios == i)) for i, name in enumerate(planned.names)}
    assert had == {"ChatUser": 700, "HighVolumeUser": 200, "ReadOnlyUser": 100}


def test_scenarios_are_interleaved_and_not_sent_in_blocks() -> None:
    owners = assign([0.5, 0.3, 0.2], 1000)
    longest = max(len(list(group)) for _, group in itertools.groupby(owners))
    assert longest <= 2
