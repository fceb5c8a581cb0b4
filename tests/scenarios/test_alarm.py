"""What wakes the dispatcher: never before its time, hardly after it, and with everybody else running meanwhile."""

import ctypes
import os
import sys
from collections.abc import Iterator
from statistics import median
from time import monotonic

import gevent
import pytest

from scenarios.alarm import Alarm, KernelAlarm, LoopAlarm, new_alarm

linux = pytest.mark.skipif(sys.platform != "linux", reason="timers of Linux")


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    alarm = new_alarm()
    yield alarm
    alarm.close()


def slept(alarm: Alarm, seconds: float) -> float:
    """Return how long a sleep took."""
    began = monotonic()
    alarm.sleep(seconds)
    return monotonic() - began


@linux
def test_on_linux_the_kernel_wakes(alarm: Alarm) -> None:
    assert isinstance(alarm, KernelAlarm)


@linux
@pytest.mark.clock
def test_it_is_more_exact_than_whole_milliseconds(alarm: Alarm) -> None:
    late = [slept(alarm, seconds) - seconds for seconds in (0.0003, 0.0007, 0.0013, 0.0024) * 25]

    assert min(late) >= 0
    assert median(late) < 0.0004  # timers of the loop: 0.5 ms off at the median


def test_a_second_is_a_second(alarm: Alarm) -> None:
    assert slept(alarm, 1.05) >= 1.05


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-12])
def test_what_is_over_is_woken_at_once(alarm: Alarm, seconds: float) -> None:
    with gevent.Timeout(5):
        alarm.sleep(max(seconds, 0))


def test_others_run_meanwhile(alarm: Alarm) -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    other = gevent.spawn(turn)
    alarm.sleep(0.2)
    other.kill()

    assert turns > 100
    assert gevent.spawn(slept, alarm, 0.01).get(timeout=5) >= 0.01


def test_one_that_was_killed_in_its_sleep_spoils_no_later_one(alarm: Alarm) -> None:
    sleeper = gevent.spawn(alarm.sleep, 0.02)
    gevent.sleep(0.001)
    sleeper.kill()
    gevent.sleep(0.05)  # it has rung, and nobody has heard it

    assert slept(alarm, 0.1) >= 0.1


@linux
def test_its_file_is_given_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(20):
        alarm = KernelAlarm()
        alarm.sleep(0.0001)
        alarm.close()

    assert set(os.listdir("/proc/self/fd")) == before


class NoTimers:
    """A libc whose kernel refuses, as in a strict sandbox."""

    def timerfd_create(self, *_: int) -> int:
        ctypes.set_errno(1)
        return -1


@linux
def test_without_such_timers_the_loop_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoTimers())

    assert isinstance(new_alarm(), LoopAlarm)
    assert slept(new_alarm(), 0.005) >= 0.004


@pytest.mark.parametrize(("alarm", "share"), [(LoopAlarm(), 0.5), (new_alarm(), 0.1)])
def test_turns_never_take_more_than_their_share(alarm: Alarm, share: float) -> None:
    for wait in (0.0001, 0.001, 0.002, 0.0031, 0.02, 1.0):
        assert 0 <= alarm.early_s(wait) <= min(share * wait, 0.0015)
