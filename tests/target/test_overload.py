"""What the platform does with more than it can serve, and what it can be made to use up; nothing here is timed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.target.process import RUNS, Target, eventually

NEVER = 0.01
"""Requests per second of a server that will not be done before the test is."""


@contextmanager
def asking(target: Target, count: int) -> Iterator[list[int]]:
    """Send so many requests at once, and yield the list that their statuses come to."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(target.ask("GET", RUNS, timeout_s=60).status)
        except OSError:
            statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        if target.process.poll() is None:
            target.ask("DELETE", "/faults")
        for thread in threads:
            thread.join(30)


def gauge(target: Target, name: str) -> Callable[[], float]:
    return lambda: target.metric(name)


def test_what_does_not_fit_into_the_queue_is_refused_and_the_rest_is_served(target: Target) -> None:
    target.fault("capacity", rps=NEVER, servers=2, queue_limit=3)
    with asking(target, 9) as statuses:
        assert eventually(lambda: len(statuses) == 4, timeout_s=20)
        assert statuses == [503] * 4
        assert target.metric("station_requests_running") == 2
        assert target.metric("station_requests_waiting") == 3
    assert sorted(statuses) == [200] * 5 + [503] * 4


def test_a_queue_without_a_limit_takes_everybody(target: Target) -> None:
    target.fault("capacity", rps=NEVER, kb_per_request=1024)
    before = target.tree().memory_info().rss
    with asking(target, 20) as statuses:
        assert eventually(lambda: target.metric("station_requests_waiting") == 19, timeout_s=20)
        assert target.tree().memory_info().rss - before > 15 * 2**20
        assert statuses == []
    assert statuses == [200] * 20


def test_a_lock_lets_one_request_in_at_a_time(target: Target) -> None:
    target.fault("lock", ms=1e5, scope="crud")
    with asking(target, 6) as statuses:
        assert eventually(lambda: target.metric("lock_requests_waiting") == 5, timeout_s=20)
        assert target.ask("GET", "/v1/models").status == 200
    assert statuses == [200] * 6


def test_a_crash_ends_the_process_and_every_connection() -> None:
    target = Target()
    target.fault("capacity", rps=NEVER)
    target.fault("crash", in_flight=4)
    with asking(target, 5) as statuses:
        target.process.wait(20)
    assert target.stop() == 70
    assert statuses == [0] * 5


def test_memory_in_sawtooth_comes_back_by_itself(target: Target) -> None:
    process = target.tree()
    before = process.memory_info().rss
    target.fault("memory_sawtooth", mb=64, seconds=1.5)
    for _ in range(2):
        assert eventually(lambda: process.memory_info().rss > before + 32 * 2**20, timeout_s=20)
        assert eventually(lambda: process.memory_info().rss < before + 16 * 2**20, timeout_s=20)


@pytest.mark.parametrize(
    ("of", "count"),
    [
        ("files", lambda process: process.num_fds()),
        ("connections", lambda process: process.num_fds()),
        ("threads", lambda process: process.num_threads()),
    ],
)
def test_handles_leak_until_the_fault_is_cleared(
    target: Target, of: str, count: Callable[[psutil.Process], int]
) -> None:
    process = target.tree()
    target.ask("GET", RUNS)
    before = count(process)
    target.fault("handle_leak", per_s=100, of=of)
    assert eventually(lambda: count(process) >= before + 50, timeout_s=20)
    target.ask("DELETE", "/faults/handle_leak")
    assert eventually(lambda: count(process) < before + 20, timeout_s=20)


def test_the_disk_is_written_to_by_a_child_that_ends_with_the_fault(target: Target) -> None:
    target.fault("disk", mb=0.25)
    (child,) = target.tree().children()
    assert eventually(lambda: child.io_counters().write_bytes > 2**20, timeout_s=20)
    target.ask("DELETE", "/faults/disk")
    assert eventually(lambda: not psutil.pid_exists(child.pid))
