"""The simulated inference engine: continuous batching over a fixed number of slots, fed by a bounded FIFO
queue.

One task runs the engine in steps. At the start of a step free slots are filled from the queue; at its end
every sequence in the batch gets one token. With `b` = decode_base_ms, `s` = decode_per_seq_ms, `p` =
prefill_us_per_token, `k` sequences in the batch and `A` prompt tokens newly admitted, a step takes

    step = b + s*k + p*A

Prefill therefore delays the whole batch, as it does in a real engine without chunked prefill. For requests of
`P` prompt tokens and `N` output tokens on `S` slots the engine saturates at

    capacity [requests/s] = 1 / (N * (b + s*S) / S + p*P)          output tokens/s = N * capacity

because each slot is refilled every N steps, so S/N prompts are prefilled per step. With the defaults (64
slots, 8 ms, 0.1 ms, 20 us), P = 40 and N = 20 that is 189 requests/s or 3800 tokens/s. Below saturation, at
`x` requests/s, the batch settles at k = x*N*step and A = x*P*step, hence

    step = b / (1 - x*(s*N + p*P))          about 10 ms, with 15 sequences, at 75 requests/s

A request that finds a free slot has its first token after one to two steps and its last N - 1 steps later.

Steps are paced on absolute times: a late wake-up shortens the next sleep and does not add up. Only when the
process was kept from running for longer than `LATE_LIMIT_S` is the clock set anew, since a real engine cannot
catch up either.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

from .faults import Faults
from .options import EngineOptions

LATE_LIMIT_S = 0.1


class RefusedError(Exception):
    """The engine takes no further request: `status` 429 (queue full) or 503 (stopping)."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class Generation:
    """One sequence in the engine, from submission to its last token or its cancellation."""

    __slots__ = ("_target", "_waiter", "cancelled", "first_token_at", "produced", "prompt_tokens", "speaks", "wanted")

    def __init__(self, prompt_tokens: int, wanted: int, speaks: bool = True) -> None:
        self.prompt_tokens = prompt_tokens
        self.wanted = wanted
        # An embedding goes through the batch like a first token, and is none.
        self.speaks = speaks
        self.produced = 0
        self.cancelled = False
        # Monotonic seconds before which no token comes out (fault `slow_first_token`).
        self.first_token_at = 0.0
        self._target = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def finished(self) -> bool:
        """Whether no token will come any more."""
        return self.cancelled or self.produced >= self.wanted

    async def reach(self, count: int) -> int:
        """Wait until `count` tokens exist (or all of them, or the cancellation) and return how many exist."""
        self._target = count
        while self.produced < count and not self.finished:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self.produced

    def cancel(self) -> None:
        """Give the slot or the place in the queue back at the next step; wakes whoever waits."""
        self.cancelled = True
        self._wake()

    def advance(self) -> None:
        """One token more; called by the engine at the end of a step."""
        self.produced += 1
        # Whoever waits for a later token sleeps on: one wake-up per event, not per token.
        if self.produced >= self._target or self.produced >= self.wanted:
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Engine:
    """Continuous batching in simulated time; see the module's text for the model and its capacity."""

    def __init__(self, options: EngineOptions, faults: Faults) -> None:
        self.options = options
        self.prompt_tokens_total = 0
        self.output_tokens_total = 0
        self.rejected_total = 0
        self.steps_total = 0
        self._faults = faults
        self._base_s = options.decode_base_ms / 1e3
        self._per_seq_s = options.decode_per_seq_ms / 1e3
        self._prefill_s = options.prefill_us_per_token / 1e6
        self._running: list[Generation] = []
        self._waiting: deque[Generation] = deque()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests in the queue, not counting clients that left."""
        return sum(1 for generation in self._waiting if not generation.cancelled)

    def start(self) -> None:
        """Begin stepping, on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="engine")

    def drain(self) -> None:
        """Refuse new requests; those inside go on."""
        self._stopping = True

    async def stop(self) -> None:
        """End the engine; whoever still waits for tokens is told that there are none."""
        self.drain()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for generation in [*self._running, *self._waiting]:
            generation.cancel()

    def submit(self, prompt_tokens: int, wanted: int, speaks: bool = True) -> Generation:
        """Queue one request of `prompt_tokens` that wants `wanted` tokens; raises `RefusedError`.

        One that does not speak (an embedding) is done after its prefill, in the step of what would be a first token.
        """
        if self._stopping:
            raise RefusedError(503, "server_stopping", "The server is shutting down.", 1)
        # Free slots are filled at the next step, so as many waiters are not a queue yet.
        free = self.options.slots - len(self._running)
        if len(self._waiting) - free >= self.options.queue_limit:
            # Places of clients that left are cleared only now: it is O(queue) and seldom needed.
            self._waiting = deque(waiter for waiter in self._waiting if not waiter.cancelled)
            if len(self._waiting) - free >= self.options.queue_limit:
                self.rejected_total += 1
                message = f"The queue is full: {len(self._waiting)} requests are waiting. Retry later."
                raise RefusedError(429, "queue_full", message, self._retry_after_s(wanted))
        generation = Generation(prompt_tokens, wanted, speaks)
        slow = self._faults.get("slow_first_token")
        if slow is not None:
            generation.first_token_at = time.monotonic() + slow.number("ms") / 1e3
        self._waiting.append(generation)
        self._work.set()
        return generation

    def _retry_after_s(self, wanted: int) -> int:
        full_step_s = self._base_s + self._per_seq_s * self.options.slots
        rounds = math.ceil(len(self._waiting) / self.options.slots)
        return max(1, math.ceil(rounds * wanted * full_step_s))

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            if not self._running and not self._waiting:
                self._work.clear()
                await self._work.wait()
                due = time.monotonic()
            admitted = self._admit()
            due += self._step_s(admitted)
            delay = due - time.monotonic()
            # Also with no time left the loop must turn, or nobody could send what the last step produced.
            await asyncio.sleep(max(delay, 0.0))
            if self._faults.stalled:
                await self._faults.wait_while_stalled()
            now = time.monotonic()
            if now - due > LATE_LIMIT_S:
                due = now
            self._emit(now)

    def _admit(self) -> int:
        """Fill the free slots from the queue and return the prompt tokens to prefill."""
        admitted = 0
        self._running = [generation for generation in self._running if not generation.cancelled]
        while self._waiting and len(self._running) < self.options.slots:
            generation = self._waiting.popleft()
            if generation.cancelled:
                continue
            self._running.append(generation)
            admitted += generation.prompt_tokens
        self.prompt_tokens_total += admitted
        return admitted

    def _step_s(self, admitted: int) -> float:
        duration = self._base_s + self._per_seq_s * len(self._running) + self._prefill_s * admitted
        slow = self._faults.get("slow_decode")
        return duration if slow is None else duration * slow.number("factor")

    def _emit(self, now: float) -> None:
        self.steps_total += 1
        still: list[Generation] = []
        for generation in self._running:
            if generation.cancelled:
                continue
            if generation.first_token_at > now:
                still.append(generation)
                continue
            if generation.produced < generation.wanted:
                generation.advance()
                self.output_tokens_total += generation.speaks
            if generation.produced < generation.wanted:
                still.append(generation)
        self._running = still
