"""The scalability law and the knee, on curves that are known."""

import math

import numpy as np
import pytest

from capacity.law import fit_usl, knee, usl

N = np.array([1.0, 2, 4, 8, 16, 24, 32, 48])


def test_the_parameters_of_a_known_law_are_found_again() -> None:
    random = np.random.default_rng(1)
    noisy = usl(N, 100.0, 0.05, 0.002) * random.normal(1, 0.01, len(N))
    law = fit_usl(N.tolist(), noisy.tolist())
    assert law is not None
    assert law.gamma == pytest.approx(100, rel=0.05)
    assert law.alpha == pytest.approx(0.05, abs=0.015)
    assert law.beta == pytest.approx(0.002, rel=0.2)
    assert law.r_squared > 0.99
    assert law.peak_concurrency == pytest.approx(math.sqrt(0.95 / 0.002), rel=0.1)
    highest = law.throughput(np.array([law.peak_concurrency]))[0]
    assert highest >= law.throughput(np.linspace(1, 100, 500)).max() - 1e-6


def test_a_server_that_scales_evenly_has_neither_contention_nor_a_peak() -> None:
    law = fit_usl(N.tolist(), (20 * N).tolist())
    assert law is not None
    assert law.alpha == pytest.approx(0, abs=1e-3)
    assert law.peak_concurrency is None or law.peak_concurrency > 1e3


def test_too_few_or_equal_points_fit_nothing() -> None:
    assert fit_usl([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert fit_usl([2] * 6, [1, 2, 3, 4, 5, 6]) is None


def test_the_knee_is_where_throughput_over_latency_is_highest() -> None:
    loads = [10.0, 20, 40, 60, 80, 95]
    latency = [10 / (1 - load / 100) for load in loads]  # M/M/1: the power is highest at half of the capacity
    found = knee(loads, loads, latency)
    assert found is not None
    assert found.load == 40
    assert knee(loads, loads, [10.0] * 6) is None
    assert knee(loads[:4], loads[:4], latency[:4]) is None
