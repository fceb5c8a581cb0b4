"""The station in front of the platform, on a clock of its own: what it serves is what its numbers say."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from benchmarks.capacity import SETTINGS
from benchmarks.queueing import Queue, Setting, State
from target.station import Station, Work

Result = TypeVar("Result")
SEED = 7


class Clock:
    """Time that passes only when an event loop has nothing to do but wait; its timers are `late_s` late."""

    def __init__(self) -> None:
        self.now = 100.0
        self.late_s = 0.0

    def monotonic(self) -> float:
        return self.now


class Waits(selectors.SelectSelector):
    """Waiting takes no time but that of the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing will come"
        self._clock.now += timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop on such a clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Waits(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.now

    def call_later(self, delay: float, *args: Any, **context: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        return super().call_later(delay + self._clock.late_s, *args, **context)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("target.station.time.monotonic", clock.monotonic)
    return clock


def run(clock: Clock, what: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    with asyncio.Runner(loop_factory=lambda: Loop(clock)) as runner:
        return runner.run(what())


async def run_for(clock: Clock, seconds: float, rate: float, station: Station) -> tuple[int, int]:
    """Let requests come evenly, and return (served, refused) at the end."""
    served = refused = 0

    async def ask() -> None:
        nonlocal served, refused
        if await station.passed():
            served += 1
        else:
            refused += 1

    begin, tasks = clock.now, []
    for number in range(round(seconds * rate)):
        await asyncio.sleep(begin + number / rate - clock.now)
        tasks.append(asyncio.create_task(ask()))
    await asyncio.sleep(begin + seconds - clock.now)
    result = served, refused
    station.close()
    await asyncio.gather(*tasks)
    return result


@pytest.mark.parametrize(("servers", "rps"), [(1, 20.0), (4, 50.0)])
def test_above_its_capacity_it_serves_its_capacity(clock: Clock, servers: int, rps: float) -> None:
    async def go() -> tuple[int, int]:
        return await run_for(clock, 60, 4 * rps, Station(Work(servers, servers / rps, 10), 1))

    served, refused = run(clock, go)
    assert served == pytest.approx(60 * rps, rel=0.02)
    assert served + refused == pytest.approx(60 * 4 * rps - 10 - servers, abs=2)


def test_below_its_capacity_it_serves_everything(clock: Clock) -> None:
    async def go() -> tuple[int, int]:
        return await run_for(clock, 60, 10, Station(Work(1, 1 / 20, 10), 1))

    served, refused = run(clock, go)
    assert served == pytest.approx(600, abs=2)
    assert refused == 0


def test_one_that_thrashes_serves_less_the_more_wait(clock: Clock) -> None:
    def served_at(rate: float) -> int:
        async def go() -> tuple[int, int]:
            return await run_for(clock, 30, rate, Station(Work(1, 1 / 20, 10**6, thrash=0.02), 1))

        return run(clock, go)[0]

    assert served_at(18) > 500
    assert served_at(60) < 300


def test_service_that_varies_has_the_same_mean(clock: Clock) -> None:
    async def go() -> tuple[int, int]:
        return await run_for(clock, 200, 80, Station(Work(1, 1 / 20, 10**6, exponential=True), 3))

    assert run(clock, go)[0] == pytest.approx(4000, rel=0.06)


async def inside(clock: Clock, queue: Queue, arrivals: list[float]) -> list[float | None]:
    """Return how long each of these arrivals was inside; None: it was refused."""
    loop, station = asyncio.get_running_loop(), Station(work_of(queue), SEED)
    times: list[float | None] = [None] * len(arrivals)

    async def ask(number: int) -> None:
        if await station.passed():
            times[number] = clock.now - arrivals[number]

    tasks = set[asyncio.Task[None]]()
    for number, at in enumerate(arrivals):
        come = loop.create_future()
        loop.call_at(at, come.set_result, None)
        await come
        task = asyncio.create_task(ask(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return times


def poisson(clock: Clock, rate: float, count: int) -> list[float]:
    draw, at = random.Random(7), clock.now
    return [at := at + draw.expovariate(rate) for _ in range(count)]


def work_of(queue: Queue) -> Work:
    return Work(queue.servers, queue.mean_s, queue.places - queue.servers, exponential=True)


@pytest.mark.parametrize("late_s", [0.0, 0.005])
def test_it_refuses_as_many_as_the_formula_says_however_late_it_wakes(clock: Clock, late_s: float) -> None:
    """M/M/12/18: one per cent of the capacity is 7 % of the refused, and 2.5 % is chance in so many requests."""
    setting = SETTINGS[3]
    clock.late_s = late_s
    arrivals = poisson(clock, setting.capacity, 100_000)
    times = run(clock, lambda: inside(clock, setting.queue, arrivals))
    assert times.count(None) / len(times) == pytest.approx(setting.budget, rel=0.06)


@pytest.mark.parametrize("late_s", [0.0, 0.005])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_request_fares_as_in_the_queue_itself(clock: Clock, setting: Setting, late_s: float) -> None:
    """The same arrivals and service times in a simulation that has no event loop; only the answers may be late."""
    clock.late_s = late_s
    arrivals = poisson(clock, setting.capacity * 1.02, 4000)
    draw, state = random.Random(f"{SEED}:station"), State(setting.queue)
    expected = list[float | None]()
    service_s = draw.expovariate(1 / setting.queue.mean_s)
    for at in arrivals:
        expected.append(state.arrive(at, service_s))
        if expected[-1] is not None:
            service_s = draw.expovariate(1 / setting.queue.mean_s)
    found = run(clock, lambda: inside(clock, setting.queue, arrivals))
    assert [one is None for one in found] == [one is None for one in expected]
    pairs = [(mine, its) for mine, its in zip(found, expected, strict=True) if mine is not None and its is not None]
    assert all(-1e-6 <= mine - its <= 0.002 + late_s for mine, its in pairs)
