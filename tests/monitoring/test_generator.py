"""The generator's own health, to the exact value, with an injected clock."""

import time

import pytest

from monitoring.generator import GeneratorHealth, own_rss
from samples.sample import Reading

TICK = 0.125
"""A power of two, so that sums are exact."""


class Loop:
    """An event loop that wakes its sleeper late by what is planned for each sleep."""

    def __init__(self, late: dict[int, float]) -> None:
        self.now, self.late, self.sleeps = 100.0, late, 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds + self.late.get(self.sleeps, 0.0)
        self.sleeps += 1


def watch(loop: Loop, seconds: int, **options: object) -> list[dict[str, float]]:
    spent = iter(range(100))
    health = GeneratorHealth(
        loop.clock,
        loop.sleep,
        worker="3",
        tick=TICK,
        cpu_time=lambda: next(spent) / 4,
        **({"rss": lambda: 1000} | options),  # type: ignore[arg-type]
    )
    found = []
    for _, readings in zip(range(seconds), health.watch(), strict=False):
        assert all(reading.worker == "3" and reading.source == "generator" for reading in readings)
        assert all(reading.t_s == loop.now for reading in readings)
        found.append({reading.metric: reading.value for reading in readings})
    return found


def test_a_loop_that_is_on_time_has_no_lag() -> None:
    first, second = watch(Loop({}), 2)
    assert first == second
    assert first == {
        "cpu_cores": 0.25,
        "rss_bytes": 1000,
        "loop_ticks": 8,
        "loop_lag_p99_ms": 0,
        "loop_lag_max_ms": 0,
    }


def test_each_late_tick_is_kept_by_itself() -> None:
    loop = Loop({2: 0.0625, 4: 0.004})
    readings = next(GeneratorHealth(loop.clock, loop.sleep, tick=TICK).watch())
    assert [reading.value for reading in readings if reading.metric == "loop_late_ms"] == [62.5]


def test_lag_is_the_time_from_the_intended_to_the_real_wake_up() -> None:
    first, second = watch(Loop({2: 0.0625}), 2)
    assert (first["loop_lag_max_ms"], first["loop_lag_p99_ms"]) == (62.5, 62.5)
    assert second["loop_lag_max_ms"] == 0


def test_a_loop_that_stood_still_was_late_for_every_tick_of_that_time() -> None:
    loop = Loop({0: 2.0})
    (only,) = watch(loop, 1)
    # Ticks were due every 125 ms for 2 s: late by 2000, 1875, ... 0 ms, so the second one in 17 is the 99th percentile.
    assert only["loop_lag_max_ms"] == 2000
    assert only["loop_lag_p99_ms"] == 2000
    assert loop.sleeps == 1


def test_p99_is_nearest_rank_over_the_ticks_of_the_second() -> None:
    loop = Loop({0: 30.0})
    (only,) = watch(loop, 1)
    # 241 ticks were due, late by 30000, 29875 ... 0 ms; rank ceil(0.99 * 241) = 239 of 241.
    assert only["loop_lag_p99_ms"] == 30000 - 2 * 125
    assert only["loop_lag_max_ms"] == 30000


def test_the_schedule_does_not_drift() -> None:
    loop = Loop(dict.fromkeys(range(100), 0.0625))
    found = watch(loop, 3)
    assert [one["loop_lag_max_ms"] for one in found] == [62.5, 62.5, 62.5]


def test_gauges_are_passed_on() -> None:
    (only,) = watch(Loop({}), 1, gauges=lambda: {"users": 12, "in_flight": 3.0})
    assert (only["users"], only["in_flight"]) == (12, 3)


def test_memory_that_cannot_be_read_is_absent() -> None:
    (only,) = watch(Loop({}), 1, rss=lambda: None)
    assert "rss_bytes" not in only


def test_it_stops_with_the_second_that_was_begun() -> None:
    loop = Loop({})
    health = GeneratorHealth(loop.clock, loop.sleep, tick=TICK)
    batches: list[list[Reading]] = []
    for readings in health.watch():
        batches.append(readings)
        if len(batches) == 2:
            health.stop()
    assert len(batches) == 2

    def stop_soon(seconds: float) -> None:
        loop.sleep(seconds)
        if loop.sleeps == 20:
            late.stop()

    late = GeneratorHealth(loop.clock, stop_soon, tick=TICK)
    assert len(list(late.watch())) == 1


def test_it_measures_this_process() -> None:
    rss = own_rss()
    assert rss is not None
    assert 5e6 < rss < 5e9
    began = time.monotonic()
    health = GeneratorHealth(lambda: time.monotonic() - began, time.sleep)
    readings = {reading.metric: reading.value for reading in next(health.watch())}
    assert 0 <= readings["cpu_cores"] < 1
    assert readings["loop_lag_p99_ms"] >= 0
    assert readings["rss_bytes"] == pytest.approx(rss, rel=0.5)
