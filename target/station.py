"""A place that each request must pass: a number of servers behind a queue, whose capacity is known.

With `c` servers of `s` seconds a request it serves at most c / s requests per second. What comes faster waits in the
order of arrival, or is refused when the queue is full. A `thrash` above 0 makes a request take s * (1 + thrash * w)
while w others wait: more waiting, less work done, as with contended locks or caches that no longer fit.

Who is served when is reckoned, not slept: an arrival first lets go everything that was done by then, each at its own
moment, and what waited began at that moment. So a request is refused when the queue was full as it came, and not
because the event loop, which wakes some milliseconds late and on a busy machine many, had not yet seen somebody leave.
Only the answer is as late as the loop is.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import mmap
import random
import time
from collections import deque
from dataclasses import dataclass

_SHORTEST_S = 0.001
"""The timers of uvloop count milliseconds and may come early: what is left then is waited for once more."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a station is: servers, mean seconds of one request, places to wait, and how waiting slows the work."""

    servers: int
    service_s: float
    queue_limit: int
    thrash: float = 0.0
    exponential: bool = False
    bytes_per_request: int = 0
    """Memory that a request holds from its arrival to its end, touched and so resident."""


class Station:
    """Serves requests one after the other on each server; see the module's text."""

    def __init__(self, work: Work, seed: int) -> None:
        self._work = work
        self._random = random.Random(f"{seed}:station")
        self._served: list[tuple[float, int, asyncio.Future[None]]] = []
        """Who is being served, by the time at which it will be done."""
        self._queue: deque[asyncio.Future[None]] = deque()
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> int:
        """Servers that work on a request."""
        return len(self._served)

    @property
    def waiting(self) -> int:
        """Requests that wait for a server."""
        return len(self._queue)

    async def passed(self) -> bool:
        """Return once the request was served; false, at once, when the queue is full."""
        work, now = self._work, time.monotonic()
        self._advance(now)
        free = len(self._served) < work.servers
        if not free and len(self._queue) >= work.queue_limit:
            return False
        held = mmap.mmap(-1, work.bytes_per_request) if work.bytes_per_request else None
        if held is not None:
            held.write(b"\xa5" * work.bytes_per_request)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if free:
            self._begin(turn, now)
            if self._served[0][2] is turn:
                self._wake_for_the_first(now)
        else:
            self._queue.append(turn)
        try:
            await turn
        finally:
            if held is not None:
                held.close()
        return True

    def close(self) -> None:
        """Serve no more, and let everybody through who is there."""
        if self._timer is not None:
            self._timer.cancel()
        for turn in [*(turn for *_, turn in self._served), *self._queue]:
            _let_go(turn)
        self._served.clear()
        self._queue.clear()

    def _advance(self, now: float) -> None:
        """Let go who was done by now; whoever waited began when a server became free."""
        while self._served and self._served[0][0] <= now:
            done_at, _, turn = heapq.heappop(self._served)
            _let_go(turn)
            if self._queue:
                self._begin(self._queue.popleft(), done_at)

    def _begin(self, turn: asyncio.Future[None], at: float) -> None:
        heapq.heappush(self._served, (at + self._service_s(), next(self._order), turn))

    def _wake_for_the_first(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._served:
            left = max(self._served[0][0] - now, _SHORTEST_S)
            self._timer = asyncio.get_running_loop().call_later(left, self._on_time)

    def _on_time(self) -> None:
        now = time.monotonic()
        self._advance(now)
        self._wake_for_the_first(now)

    def _service_s(self) -> float:
        work = self._work
        mean = work.service_s * (1 + work.thrash * len(self._queue))
        return self._random.expovariate(1 / mean) if work.exponential else mean


def _let_go(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
