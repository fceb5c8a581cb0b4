"""Sources that may be slow are read in threads of their own, so that no other reading waits for them."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from monitoring.pages import Unreadable
from samples.sample import Reading

_JITTER = 0.25
"""How far the time between two reads may be off the interval, as a share of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One value as its source told it; `age_s` is how old it was when it came."""

    source: str
    metric: str
    value: float
    worker: str = "0"
    age_s: float = 0.0


class Watch(Protocol):
    """Something that may take its time to be read. `str` names it in messages."""

    def __str__(self) -> str: ...

    def read(self) -> list[Seen]:
        """Return what the source tells now. Raises Unreadable; what was not read is a hole, never 0."""


class Aside:
    """Reads one watch about every `interval` seconds in a thread, and hands its readings on when asked.

    A reading's time is that at which it came, less its age. A read that takes longer than the interval leaves out
    the times that it missed. `note` is told once when a source cannot be read, and once when it can be again.
    """

    def __init__(self, watch: Watch, interval: float, clock: Callable[[], float], note: Callable[[str], None]) -> None:
        self._watch, self._interval, self._clock, self._note = watch, interval, clock, note
        self._held: list[Reading] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._failing_since: float | None = None

    def start(self) -> None:
        """Begin to read, at once and from then on; the thread never keeps the process alive."""
        threading.Thread(target=self._run, daemon=True, name=f"reads {self._watch}").start()

    def stop(self) -> None:
        """Read no more; a read that is under way is not waited for."""
        self._stopped.set()

    def take(self) -> list[Reading]:
        """Return the readings that have come since the last call. Never waits for the source."""
        with self._lock:
            taken, self._held = self._held, []
        return taken

    def read_once(self) -> None:
        """Read the source, and keep what it told or note that it did not."""
        try:
            seen = self._watch.read()
        except Unreadable as problem:
            if self._failing_since is None:
                self._failing_since = self._clock()
                self._note(f"{self._watch} cannot be read: {problem}; its readings have a hole from here on")
            return
        now = self._clock()
        if self._failing_since is not None:
            self._note(f"{self._watch} can be read again, after {now - self._failing_since:.1f} s")
            self._failing_since = None
        with self._lock:
            self._held += [Reading(now - one.age_s, one.source, one.metric, one.value, one.worker) for one in seen]

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            self.read_once()
            # Not in step with a load that repeats every second: the same moment of it would be seen each time.
            due = max(due + self._interval * random.uniform(1 - _JITTER, 1 + _JITTER), time.monotonic())
            self._stopped.wait(due - time.monotonic())
