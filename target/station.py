"""A place that each request must pass: a number of servers behind a queue, whose capacity is known.

With `c` servers of `s` seconds a request it serves at most c / s requests per second. What comes faster waits in the
order of arrival, or is refused when the queue is full. A `thrash` above 0 makes a request take s * (1 + thrash * w)
while w others wait: more waiting, less work done, as with contended locks or caches that no longer fit.

Service is paced on absolute times: a late wake-up of the event loop shortens the next sleep and does not add up.
"""

from __future__ import annotations

import asyncio
import mmap
import random
import time
from collections import deque
from dataclasses import dataclass


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
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._arrived = asyncio.Semaphore(0)
        self.busy = 0
        self._servers = [asyncio.create_task(self._serve(), name="station") for _ in range(work.servers)]

    @property
    def waiting(self) -> int:
        """Requests that wait for a server."""
        return len(self._queue)

    async def passed(self) -> bool:
        """Return once the request was served; false, at once, when the queue is full."""
        work = self._work
        # A free server takes its request at its next turn, so as many in the queue do not wait yet.
        if len(self._queue) - (work.servers - self.busy) >= work.queue_limit:
            return False
        held = mmap.mmap(-1, work.bytes_per_request) if work.bytes_per_request else None
        if held is not None:
            held.write(b"\xa5" * work.bytes_per_request)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, time.monotonic()))
        self._arrived.release()
        try:
            await turn
        finally:
            if held is not None:
                held.close()
        return True

    def close(self) -> None:
        """Serve no more, and let everybody through who waits."""
        for server in self._servers:
            server.cancel()
        while self._queue:
            _let_go(self._queue.popleft()[0])

    async def _serve(self) -> None:
        free_at = 0.0
        while True:
            await self._arrived.acquire()
            turn, arrived = self._queue.popleft()
            self.busy += 1
            try:
                # It began when the server was free and the request was there, however late this task woke.
                free_at = max(free_at, arrived) + self._service_s()
                await asyncio.sleep(max(free_at - time.monotonic(), 0.0))
            finally:
                self.busy -= 1
                _let_go(turn)

    def _service_s(self) -> float:
        work = self._work
        mean = work.service_s * (1 + work.thrash * len(self._queue))
        return self._random.expovariate(1 / mean) if work.exponential else mean


def _let_go(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
