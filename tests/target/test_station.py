"""The station in front of the platform, on a clock of its own: what it serves is what its numbers say."""

from __future__ import annotations

import asyncio

import pytest

from target.station import Station, Work


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


async def run_for(clock: Clock, seconds: float, rate: float, station: Station) -> tuple[int, int]:
    """Let requests come evenly, and return (served, refused) at the end."""
    served = refused = 0

    async def ask() -> None:
        nonlocal served, refused
        if await station.passed():
            served += 1
        else:
            refused += 1

    end, step = clock.now + seconds, 1 / rate
    tasks = []
    while clock.now < end:
        tasks.append(asyncio.create_task(ask()))
        for _ in range(10):
            await REAL_SLEEP(0)
        clock.now += step
    for _ in range(10):
        await REAL_SLEEP(0)
    result = served, refused
    station.close()
    await asyncio.gather(*tasks)
    return result


REAL_SLEEP = asyncio.sleep


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        end = clock.now + seconds
        while clock.now < end - 1e-9:
            await REAL_SLEEP(0)

    monkeypatch.setattr("target.station.time.monotonic", clock.monotonic)
    monkeypatch.setattr("target.station.asyncio.sleep", sleep)
    return clock


@pytest.mark.parametrize(("servers", "rps"), [(1, 20.0), (4, 50.0)])
def test_above_its_capacity_it_serves_its_capacity(clock: Clock, servers: int, rps: float) -> None:
    async def go() -> tuple[int, int]:
        return await run_for(clock, 60, 4 * rps, Station(Work(servers, servers / rps, 10), 1))

    served, refused = asyncio.run(go())
    assert served == pytest.approx(60 * rps, rel=0.02)
    assert served + refused == pytest.approx(60 * 4 * rps - 10 - servers, abs=2)


def test_below_its_capacity_it_serves_everything(clock: Clock) -> None:
    async def go() -> tuple[int, int]:
        return await run_for(clock, 60, 10, Station(Work(1, 1 / 20, 10), 1))

    served, refused = asyncio.run(go())
    assert served == pytest.approx(600, abs=2)
    assert refused == 0


def test_one_that_thrashes_serves_less_the_more_wait(clock: Clock) -> None:
    def served_at(rate: float) -> int:
        async def go() -> tuple[int, int]:
            return await run_for(clock, 30, rate, Station(Work(1, 1 / 20, 10**6, thrash=0.02), 1))

        return asyncio.run(go())[0]

    assert served_at(18) > 500
    assert served_at(60) < 300


def test_service_that_varies_has_the_same_mean(clock: Clock) -> None:
    async def go() -> tuple[int, int]:
        return await run_for(clock, 200, 80, Station(Work(1, 1 / 20, 10**6, exponential=True), 3))

    assert asyncio.run(go())[0] == pytest.approx(4000, rel=0.06)
