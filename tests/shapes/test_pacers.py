"""Rates, their integrals and the inverse of these agree, for every form that a plan can ask for."""

from __future__ import annotations

import doctest
import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from plans.phases import Phase
from shapes import pacers
from shapes.pacers import Floats, Pacer, PiecewiseLinear, Segment, pacer_of
from tests.shapes.plans import LEVELS, phase, phases


def test_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(pacers)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.parametrize(
    ("of", "at"),
    [
        (phase(duration=10, rate=50), {0: 50, 5: 50, 10: 50}),
        (phase(shape="ramp", duration=10, rate={"from": 10, "to": 50}), {0: 10, 2.5: 20, 5: 30, 10: 50}),
        (phase(shape="ramp", duration=10, rate={"from": 50, "to": 0}), {0: 50, 5: 25, 10: 0}),
        (
            phase(shape="steps", duration=60, rate={"from": 50, "to": 300, "steps": 6}),
            {0: 50, 9.99: 50, 10: 100, 25: 150, 35: 200, 45: 250, 55: 300, 60: 300},
        ),
        (phase(shape="steps", duration=60, rate={"from": 70, "to": 300, "steps": 1}), {0: 70, 59: 70}),
        (
            # by default: 20 % before, 10 % up, 40 % at the peak, 10 % down, 20 % after
            phase(shape="spike", duration=100, rate={"base": 50, "peak": 150}),
            {0: 50, 19: 50, 25: 100, 31: 150, 69: 150, 75: 100, 81: 50, 100: 50},
        ),
        (
            phase(shape="spike", duration=100, rate={"base": 50, "peak": 150}, rise=0, hold="20s", fall=0),
            {39.9: 50, 40: 150, 59.9: 150, 60: 50},
        ),
        (
            phase(shape="sine", duration=60, rate={"mean": 20, "amplitude": 20}),
            {0: 20, 15: 40, 30: 20, 45: 0, 60: 20},
        ),
        (
            phase(shape="sine", duration=60, rate={"mean": 20, "amplitude": 10}, period="20s"),
            {5: 30, 15: 10, 25: 30},
        ),
        (phase(shape="ramp", duration=10, users={"from": 0, "to": 100}), {5: 50}),
    ],
)
def test_a_phase_has_the_rate_that_its_form_means(of: Phase, at: dict[float, float]) -> None:
    pacer = pacer_of(of)
    assert {t: pacer.rate(t) for t in at} == pytest.approx(at, abs=1e-9)


@pytest.mark.parametrize("shape", ["constant", "baseline", "sustained", "soak"])
def test_the_names_of_flat_load_mean_the_same(shape: str) -> None:
    assert pacer_of(phase(shape=shape, duration=60, rate=50)).expected(60) == pytest.approx(3000)


def breaks(pacer: Pacer) -> list[float]:
    """Where the rate has a jump or a bend: an integrator has to be told."""
    return [float(t) for t in pacer._starts[1:-1]] if isinstance(pacer, PiecewiseLinear) else []


@settings(max_examples=60, deadline=None)
@given(phases(), st.floats(0, 1), st.floats(0, 1))
def test_expected_is_the_integral_of_the_rate(of: Phase, a: float, b: float) -> None:
    pacer = pacer_of(of)
    start, end = sorted((a * pacer.duration, b * pacer.duration))
    edges = [start, *(t for t in breaks(pacer) if start < t < end), end]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", integrate.IntegrationWarning)  # of pieces shorter than rounding
        area = sum(
            integrate.quad(pacer.rate, low, np.nextafter(high, low), limit=500)[0]
            for low, high in itertools.pairwise(edges)
        )
    assert pacer.expected(end) - pacer.expected(start) == pytest.approx(area, rel=1e-6, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(phases())
def test_a_pacer_ends_with_its_phase_and_never_falls_below_0(of: Phase) -> None:
    pacer = pacer_of(of)
    assert pacer.duration == pytest.approx(of.duration)
    assert pacer.expected(0) == 0
    times = np.linspace(0, pacer.duration, 50)
    assert min(pacer.rate(t) for t in times) >= 0
    assert max(pacer.rate(t) for t in times) <= of.load.highest() * (1 + 1e-9)
    assert np.all(np.diff([pacer.expected(t) for t in times]) >= -1e-9)
    assert pacer.expected(-5) == 0
    assert pacer.expected(of.duration + 5) == pytest.approx(pacer.expected(of.duration))


@settings(max_examples=200, deadline=None)
@given(phases(), st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_times_of_inverts_expected(of: Phase, places: list[float]) -> None:
    pacer = pacer_of(of)
    total = pacer.expected(pacer.duration)
    counts = np.sort(np.array(places)) * total
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        times = pacer.times_of(counts)
    assert np.all((times >= 0) & (times <= pacer.duration * (1 + 1e-12)))
    assert np.all(np.diff(times) >= 0)
    reached = [pacer.expected(t) for t in times]
    assert reached == pytest.approx(counts, rel=1e-9, abs=1e-9 * max(total, 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), LEVELS, LEVELS), min_size=1, max_size=8), st.data())
def test_pieces_with_jumps_and_silences_are_inverted_exactly(
    pieces: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    segments = [Segment(0.0 if length < 1e-3 else length, start, end) for length, start, end in pieces]
    segments.append(Segment(1.0, 5.0, 5.0))
    pacer = PiecewiseLinear(segments)
    total = pacer.expected(pacer.duration)
    assert total == pytest.approx(sum(segment.area for segment in segments))
    counts = np.sort(np.array(data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=20)))) * total
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        times = pacer.times_of(counts)
    assert np.all(np.diff(times) >= 0)
    assert [pacer.expected(t) for t in times] == pytest.approx(counts, rel=1e-9, abs=1e-9 * max(total, 1))


def midpoints(count: int) -> Floats:
    return np.arange(count, dtype=np.float64) + 0.5


def test_nothing_arrives_in_a_silence() -> None:
    pacer = PiecewiseLinear([Segment(2, 10, 10), Segment(5, 0, 0), Segment(2, 10, 10), Segment(3, 0, 0)])
    times = pacer.times_of(midpoints(40))
    assert pacer.expected(12) == 40
    assert not np.any((times > 2) & (times < 7))
    assert times.max() < 9
    assert np.count_nonzero(times < 2) == 20


def test_a_ramp_from_0_has_its_arrivals_where_the_square_root_puts_them() -> None:
    # n = 5 t^2 on a ramp from 0 to 100 in 10 s
    times = pacer_of(phase(shape="ramp", duration=10, rate={"from": 0, "to": 100})).times_of(midpoints(500))
    assert times == pytest.approx(np.sqrt(midpoints(500) / 5), rel=1e-12)


def test_the_inverse_keeps_its_digits_over_a_long_run() -> None:
    # Four hours on a slope that is nearly none: the textbook root would lose half of its digits in a difference.
    pacer = pacer_of(phase(shape="ramp", duration="4h", rate={"from": 50, "to": 50.0000001}))
    times = pacer.times_of(np.array([1.0, 2.0, 719_999.0]))
    assert times == pytest.approx([0.02, 0.04, 14_399.98], rel=1e-9)


def test_a_sine_is_inverted_where_its_rate_is_0() -> None:
    pacer = pacer_of(phase(shape="sine", duration=60, rate={"mean": 20, "amplitude": 20}))
    total = pacer.expected(60)
    assert total == pytest.approx(1200)
    counts = midpoints(1200)
    assert [pacer.expected(t) for t in pacer.times_of(counts)] == pytest.approx(counts, abs=1e-6)
    assert pacer.times_of(np.array([0.0, total])) == pytest.approx([0, 60], abs=1e-6)
    assert math.isclose(pacer.rate(45), 0, abs_tol=1e-9)
