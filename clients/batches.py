"""Many streams that are read together: once a millisecond for all of them when much arrives, else at once.

To be woken costs a process more than to read: at 8,000 events/s, spread over 150 streams, nearly every event wakes it.
So the sockets of streams share an epoll of their own, which the event loop watches while little arrives, and asks once
a millisecond while much does. The stamps are the kernel's (`clients.arrival`), so that the waiting does not show in
them. What it delays, by up to two milliseconds, is what a user does next. Two events of the same stream that come
within that time are one read, with one stamp: where streams are so fast, they are read at once.
"""

from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any

import gevent
from gevent.monkey import get_original

from clients.arrival import KERNEL_STAMPS

_READABLE = 1
_TURN_S = 0.001
_WINDOW_S = 0.05
_MUCH, _LITTLE = 2000, 1000
"""Reads per second from which on they are made together, and below which they are made at once again."""
_FAST = 200
"""Reads of a single stream per second, on average, above which they are made at once."""
Callback = Callable[[], None]


class Member:
    """One socket among those that are read together; the same as an event loop's watcher to whoever has it."""

    __slots__ = ("_batch", "_fd", "_is_open", "callback")

    def __init__(self, batch: "Batch", fd: int) -> None:
        self._batch, self._fd, self._is_open = batch, fd, False
        self.callback: Callback | None = None

    def start(self, callback: Callback) -> None:
        """Call `callback` in the event loop while there is something to read."""
        self.callback = callback
        if not self._is_open:
            self._is_open = True
            self._batch.add(self._fd, self)

    def stop(self) -> None:
        """Call nobody until the next `start`."""
        if self._is_open:
            self._is_open = False
            self._batch.remove(self._fd)

    def close(self) -> None:
        """Forget the socket, which is still open."""
        self.stop()
        self.callback = None


class Batch:
    """The sockets of one event loop that are read together."""

    def __init__(self, loop: Any) -> None:
        self._members: dict[int, Member] = {}
        self._epoll = _epoll()
        self._watcher = loop.io(self._epoll.fileno(), _READABLE)
        self._timer = loop.timer(_TURN_S, _TURN_S)
        self._window_end, self._reads = 0.0, 0
        self.is_waiting = False
        """True while reads are made once a millisecond."""

    def member(self, fd: int) -> Member:
        """Return the place of a socket; nothing is read before it is started."""
        return Member(self, fd)

    def add(self, fd: int, member: Member) -> None:
        """Read from now on."""
        if not self._members:
            self._watcher.start(self._read)
        self._members[fd] = member
        self._epoll.register(fd, _READABLE)

    def remove(self, fd: int) -> None:
        """Read no more."""
        del self._members[fd]
        self._epoll.unregister(fd)
        if not self._members:  # nothing of this may keep the event loop from its end
            self.is_waiting = False
            self._timer.stop()
            self._watcher.stop()

    def _read(self) -> None:
        ready = self._epoll.poll(0)
        for fd, _ in ready:
            member = self._members.get(fd)  # one before it may have closed it
            if member is not None and member.callback is not None:
                try:
                    member.callback()
                except Exception as error:  # it must not keep the others from being read
                    gevent.get_hub().handle_error(member, type(error), error, error.__traceback__)
        self._reads += len(ready)
        now = monotonic()
        if now >= self._window_end:
            self._choose(self._reads / (now - self._window_end + _WINDOW_S))
            self._window_end, self._reads = now + _WINDOW_S, 0

    def _choose(self, rate: float) -> None:
        """Choose how to read for the next window, by the reads per second in the last one."""
        is_fast = rate > _FAST * len(self._members)
        if self.is_waiting and (rate < _LITTLE or is_fast):
            self.is_waiting = False
            self._timer.stop()
            self._watcher.start(self._read)
        elif not self.is_waiting and rate > _MUCH and not is_fast:
            self.is_waiting = True
            self._watcher.stop()
            self._timer.start(self._read)


def _epoll() -> Any:
    """Return a new epoll; gevent hides it, since to wait for one would stop its loop. Here nobody waits."""
    return get_original("select", "epoll")()


@cache
def batch_of(loop: Any) -> Batch:
    """Return the one batch of an event loop. Raises AttributeError on a system without epoll."""
    return Batch(loop)


def watcher(loop: Any, fd: int, *, together: bool) -> Any:
    """Return what tells that a socket can be read: by itself, or with others where the kernel stamps what arrives."""
    if together and KERNEL_STAMPS:
        return batch_of(loop).member(fd)
    return loop.io(fd, _READABLE)
