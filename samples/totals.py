"""Running totals of the samples of a run, for whoever watches it from outside; cheap, and bounded in memory.

They are for the eye; every verdict comes from the raw samples on disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from samples import columns
from samples.sample import RESPONSES, Outcome

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets; one more takes what is above."""
OTHER = "(other)"
MOST_NAMES = 200
"""Names of requests that are told apart; a plan whose names never end must not fill the memory of the watcher."""
_EDGES = np.array(BUCKETS_S)

Series = tuple[str, str]
"""Scenario and name."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, the last one for what is above all bounds, and the sum of the values."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BUCKETS_S) + 1, dtype=np.int64))
    sum_s: float = 0.0

    def plus(self, values: NDArray[np.float64]) -> "Histogram":
        """Return the histogram with further values, in seconds."""
        places = np.searchsorted(_EDGES, values, side="left")
        return Histogram(
            self.counts + np.bincount(places, minlength=len(self.counts)), self.sum_s + float(values.sum())
        )


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

    @property
    def dropped(self) -> int:
        """Arrivals for which no user was free."""
        return sum(count for (_, _, outcome), count in self.outcomes.copy().items() if outcome == Outcome.DROPPED)

    def take(self, batch: pa.RecordBatch) -> None:
        """Add samples."""
        due, sent = columns.floats(batch, "due_s"), columns.floats(batch, "sent_s")
        times, iteration = columns.floats(batch, "done_s") - due, columns.flags(batch, "iteration")
        asked = ~columns.present(batch, "message_type")
        self.answered += int((asked & iteration & columns.among(batch, "outcome", RESPONSES)).sum())
        for (series, outcome), rows in self._groups(batch, asked):
            self._count(series, outcome, times[rows])
        for (series, _), rows in self._groups(batch, ~asked):
            self.messages[series] = self.messages.get(series, Histogram()).plus(times[rows])
        on_time = iteration & ~np.isnan(sent) & ~columns.flags(batch, "waited")
        if on_time.any():
            self.lag = self.lag.plus((sent - due)[on_time])

    def _groups(
        self, batch: pa.RecordBatch, chosen: NDArray[np.bool_]
    ) -> Iterator[tuple[tuple[Series, str], NDArray[np.intp]]]:
        """Yield scenario, name and outcome with the rows that have them, of those that are chosen."""
        rows = np.flatnonzero(chosen)
        if len(rows) == 0:
            return
        (scenario, scenarios), (name, names), (outcome, outcomes) = (
            columns.texts(batch, column) for column in ("scenario", "name", "outcome")
        )
        codes = (scenario[rows].astype(np.int64) * len(names) + name[rows]) * len(outcomes) + outcome[rows]
        order = np.argsort(codes, kind="stable")
        different, starts = np.unique(codes[order], return_index=True)
        for code, members in zip(different.tolist(), np.split(rows[order], starts[1:]), strict=True):
            series, which = divmod(code, len(outcomes))
            of, asked_for = scenarios[series // len(names)], names[series % len(names)]
            yield ((of, self._bounded(of, asked_for)), outcomes[which]), members

    def _count(self, series: Series, outcome: str, times: NDArray[np.float64]) -> None:
        key = (*series, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + len(times)
        if outcome in RESPONSES:
            self.latency[series] = self.latency.get(series, Histogram()).plus(times)

    def _bounded(self, scenario: str, name: str) -> str:
        if (scenario, name) not in self._names:
            if len(self._names) >= MOST_NAMES:
                return OTHER
            self._names.add((scenario, name))
        return name
