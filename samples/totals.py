"""Running totals of the samples of a run, for whoever watches it from outside; cheap, and bounded in memory.

They are for the eye; every verdict comes from the raw samples on disk.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from samples.sample import RESPONSES, Sample

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets; one more takes what is above."""
OTHER = "(other)"
MOST_NAMES = 200
"""Names of requests that are told apart; a plan whose names never end must not fill the memory of the watcher."""
_EDGES = np.array(BUCKETS_S)
_RESPONSES = frozenset(outcome.value for outcome in RESPONSES)

Series = tuple[str, str]
"""Scenario and name."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, the last one for what is above all bounds, and the sum of the values."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BUCKETS_S) + 1, dtype=np.int64))
    sum_s: float = 0.0

    def plus(self, values: Sequence[float]) -> "Histogram":
        """Return the histogram with further values, in seconds."""
        places = np.searchsorted(_EDGES, values, side="left")
        return Histogram(self.counts + np.bincount(places, minlength=len(self.counts)), self.sum_s + float(sum(values)))


class Totals:
    """What became of the requests so far. It takes a second's samples at once, in whatever thread.

    Entries are replaced and never changed, so that another thread may copy them meanwhile.
    """

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str, str], int] = {}
        """By scenario, name and outcome; messages that the server pushed are nobody's request, and not in here."""
        self.latency: dict[Series, Histogram] = {}
        """From the due time to the end, of requests that got a response."""
        self.messages: dict[Series, Histogram] = {}
        """From the server's send stamp to the receipt of pushed messages."""
        self.lag = Histogram()
        """From the due time to the begin, of requests that found a free user."""
        self.answered = 0
        """Arrivals and iterations that got a response."""
        self._names: set[Series] = set()

    def take(self, batch: Sequence[Sample]) -> None:
        """Add samples."""
        groups: defaultdict[tuple[str, str, str, bool, bool], list[float]] = defaultdict(list)
        for s in batch:  # `_value_`: an enumeration's own hash would cost a call for each sample
            groups[s.scenario, s.name, s.outcome._value_, s.message_type is None, s.iteration].append(
                s.done_s - s.due_s
            )
        for (scenario, name, outcome, asked, iteration), times in groups.items():
            self._add((scenario, self._bounded(scenario, name)), outcome, times, asked=asked, iteration=iteration)
        if lags := [s.sent_s - s.due_s for s in batch if s.iteration and s.sent_s is not None and not s.waited]:
            self.lag = self.lag.plus(lags)

    def _add(self, series: Series, outcome: str, times: list[float], *, asked: bool, iteration: bool) -> None:
        if not asked:
            self.messages[series] = self.messages.get(series, Histogram()).plus(times)
            return
        key = (*series, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + len(times)
        if outcome in _RESPONSES:
            self.latency[series] = self.latency.get(series, Histogram()).plus(times)
            self.answered += len(times) if iteration else 0

    def _bounded(self, scenario: str, name: str) -> str:
        if (scenario, name) not in self._names:
            if len(self._names) >= MOST_NAMES:
                return OTHER
            self._names.add((scenario, name))
        return name
