"""Wakes a greenlet at a moment: the loop's own timers count in whole milliseconds, the kernel's in microseconds."""

import ctypes
import os
import sys
from contextlib import suppress
from typing import Protocol

import gevent

_LATE_S = 0.0015
"""So late is a timer of the loop at most, and hardly ever a process that has to be woken."""
_TURNS = 0.1
_CLOCK_MONOTONIC = 1
_READ = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    """What Linux calls `struct itimerspec`: rings once where the interval is zero."""

    _fields_ = (("interval", _Timespec), ("first", _Timespec))


class Alarm(Protocol):
    """What wakes one greenlet at a time."""

    def early_s(self, wait_s: float) -> float:
        """Return how long before the end of a wait to be woken, so as not to be late.

        What is left then is waited for by turns of the event loop, which take a core while they last.
        """

    def sleep(self, seconds: float) -> None:
        """Let others run for that long."""

    def close(self) -> None:
        """Give back what it holds."""


def new_alarm() -> Alarm:
    """Return the best that this system has."""
    if sys.platform == "linux":
        with suppress(OSError):
            return KernelAlarm()
    return LoopAlarm()


class LoopAlarm:
    """The timers of the event loop, for systems without better ones."""

    def early_s(self, wait_s: float) -> float:
        """Return the about one millisecond by which a timer may be late; short waits would be all turns."""
        return _LATE_S if wait_s > 2 * _LATE_S else 0.0

    def sleep(self, seconds: float) -> None:
        """Let others run for that long."""
        gevent.sleep(seconds)

    def close(self) -> None:
        """Give back what it holds: nothing."""


class KernelAlarm:
    """One timer of Linux (`timerfd_create`), on whose file the event loop waits as it does on sockets."""

    def __init__(self) -> None:
        """Raise OSError where there are no such timers."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, 0)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        os.set_inheritable(self._file, False)
        self._hub = gevent.get_hub()
        self._watcher = self._hub.loop.io(self._file, _READ)
        self._timer = _Timer()
        self._set = ctypes.byref(self._timer)

    def early_s(self, wait_s: float) -> float:
        """Return a tenth of the wait, up to what waking a core takes that has slept for long: so much is turns."""
        return min(wait_s * _TURNS, _LATE_S)

    def sleep(self, seconds: float) -> None:
        """Let others run for that long."""
        first = self._timer.first
        first.seconds, first.nanoseconds = divmod(max(int(seconds * 1e9), 1), 1_000_000_000)
        self._libc.timerfd_settime(self._file, 0, self._set, None)  # forgets that it has rung
        self._hub.wait(self._watcher)

    def close(self) -> None:
        """Give back what it holds."""
        self._watcher.close()
        os.close(self._file)
