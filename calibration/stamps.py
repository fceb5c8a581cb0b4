"""Compares what a run recorded with what the server knows: the error of each stamp that a client took."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.process import Floats, Log
from plans.run import RunRecord
from samples.sample import Outcome
from samples.segments import SAMPLE_SCHEMA, read_table, sample_files


@dataclass(frozen=True, slots=True)
class Errors:
    """Measured minus true, milliseconds, of the complete streams of one phase, each sorted."""

    streams: int
    ttft: Floats
    """Against the time from the server's reading of the request to its sending of the first event."""
    latency: Floats
    """The same to the last event."""
    gaps: Floats
    """Against the time between the sendings of two events."""
    stamps: Floats
    """Of each event's stamp against the moment of its sending."""
    lag: Floats
    """From the intended start of every arrival to its first byte; no error of a stamp, but of the schedule."""
    missing: int
    """Arrivals of the phase that no answer came to."""


def percentile(ordered: Floats, share: float) -> float:
    """Return a percentile of sorted values by nearest rank; not a number when there are none."""
    if not len(ordered):
        return float("nan")
    return float(ordered[max(int(np.ceil(share * len(ordered))) - 1, 0)])


def by_phase(folder: Path, log: Log) -> dict[str, Errors]:
    """Return the errors of each phase of a run against the known server; only streams can be compared by stamps."""
    origin = RunRecord.read(folder).clock_origin
    sends = log.streams()
    columns = ["phase", "sent_s", "due_s", "done_s", "ttft_s", "icl_us", "prompt_tokens", "outcome"]
    phases: dict[str, _Collected] = {}
    for row in read_table(sample_files(folder), SAMPLE_SCHEMA).select(columns).to_pylist():
        found = phases.setdefault(row["phase"], _Collected())
        if row["sent_s"] is not None:
            found.lag.append((row["sent_s"] - row["due_s"]) * 1000)
        if row["outcome"] != Outcome.OK:
            found.missing += 1
        if row["outcome"] != Outcome.OK or row["ttft_s"] is None:
            continue
        number = row["prompt_tokens"]
        begun = origin + row["sent_s"]
        gaps = np.array(row["icl_us"], dtype=np.float64) / 1e6
        stamps = begun + row["ttft_s"] + np.concatenate([[0.0], np.cumsum(gaps)])
        true = sends[number]
        found.add(begun, stamps, origin + row["done_s"], float(log.begun[number - 1]), true)
    return {name: found.sorted() for name, found in phases.items()}


class _Collected:
    def __init__(self) -> None:
        self.missing = 0
        self.lag: list[float] = []
        self._ttft: list[float] = []
        self._latency: list[float] = []
        self._gaps: list[NDArray[np.float64]] = []
        self._stamps: list[NDArray[np.float64]] = []

    def add(self, begun: float, stamps: Floats, done: float, arrived: float, true: Floats) -> None:
        self._ttft.append((stamps[0] - begun) - (true[0] - arrived))
        self._latency.append((done - begun) - (true[-1] - arrived))
        self._gaps.append(np.diff(stamps) - np.diff(true))
        self._stamps.append(stamps - true)

    def sorted(self) -> Errors:
        def ordered(values: list[float]) -> Floats:
            result: Floats = np.sort(np.array(values, dtype=np.float64)) * 1000
            return result

        def joined(parts: list[NDArray[np.float64]]) -> Floats:
            result: Floats = np.sort(np.concatenate([*parts, np.zeros(0)])) * 1000
            return result

        return Errors(
            streams=len(self._ttft),
            ttft=ordered(self._ttft),
            latency=ordered(self._latency),
            gaps=joined(self._gaps),
            stamps=joined(self._stamps),
            lag=np.sort(np.array(self.lag)),
            missing=self.missing,
        )
