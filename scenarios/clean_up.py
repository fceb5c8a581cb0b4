"""Removing from a server what a load has made there, in bounded time."""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic

import gevent
from gevent.pool import Pool

from clients.errors import ClientError
from clients.http import HttpClient

_REMOVERS = 8
_GONE = (200, 202, 204, 404)


def remove(connect: Callable[[], HttpClient], paths: Iterable[str], within: float) -> int:
    """Delete each path, for `within` seconds at most, over a few connections; return how many are left."""
    waiting = deque(paths)
    left, deadline = len(waiting), monotonic() + within

    def work() -> None:
        nonlocal left
        with suppress(ClientError), connect() as client:
            while waiting and (remaining := deadline - monotonic()) > 0:
                if client.request("DELETE", waiting.popleft(), timeout=remaining).status in _GONE:
                    left -= 1

    with gevent.Timeout(within + 1, False):
        removers = Pool(_REMOVERS)
        for _ in range(min(_REMOVERS, left)):
            removers.spawn(work)
        removers.join()
    return left
