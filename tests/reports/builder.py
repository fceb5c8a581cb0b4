"""Builds run folders for tests with the real writer and the real record, so that no test holds a format of its own."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from plans.run import Ending, PhaseRecord, ProcessRecord, RunRecord
from plans.schema import Plan
from reports.analysis import Analysis
from reports.analyzer import analyze
from samples.journal import Event, Journal
from samples.sample import Outcome, Protocol, Reading, Sample
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter

HOST = "http://127.0.0.1:11400"

PLAN: dict[str, Any] = {
    "id": "TC-1",
    "title": "A test",
    "target": {"host": HOST},
    "mix": {"ChatUser": {}},
    "phases": [{"name": "sustained", "rate": 10, "duration": "30s"}],
    "criteria": [{"metric": "success_rate", "phase": "sustained", "at_least": 0.99}],
}


def request(due_s: float, latency_s: float = 0.1, *, lag_s: float = 0.0, **fields: Any) -> Sample:
    """Return an answered request that accounts for an arrival; fields replace the defaults."""
    values: dict[str, Any] = {
        "due_s": due_s,
        "sent_s": due_s + lag_s,
        "done_s": due_s + latency_s,
        "outcome": Outcome.OK,
        "phase": "sustained",
        "scenario": "ChatUser",
        "name": "chat",
        "protocol": Protocol.HTTP,
        "iteration": True,
        "status": 200,
    }
    return Sample(**(values | fields))


def failed(due_s: float, outcome: Outcome, error: str = "it failed", **fields: Any) -> Sample:
    """Return a request that failed; one that was dropped was not sent."""
    sent = {"sent_s": None} if outcome is Outcome.DROPPED else {}
    return request(due_s, **({"outcome": outcome, "error": error, "status": None} | sent | fields))


def steady(rate: float, start_s: float, length_s: float, latency_s: float = 0.1, **fields: Any) -> list[Sample]:
    """Return requests that are due evenly; the first at the start."""
    return [request(start_s + index / rate, latency_s, **fields) for index in range(round(rate * length_s))]


def target(metric: str, values: Iterable[float], start_s: float = 0.0, step_s: float = 1.0) -> list[Reading]:
    """Return readings of the target, `step_s` apart."""
    return [Reading(start_s + index * step_s, "target", metric, value) for index, value in enumerate(values)]


class RunBuilder:
    """A run that went well unless told otherwise.

    Phases follow the plan from second 0, `scheduled` counts the iterations among the samples, processes report what
    they wrote, and the generator was idle.
    """

    def __init__(self, plan: dict[str, Any] | None = None, **changes: Any) -> None:
        self.plan = Plan.model_validate(PLAN | (plan or {}) | changes)
        self._samples: list[Sample] = []
        self._readings: list[Reading] = []
        self._events: list[Event] = []
        self._record: dict[str, Any] = {}
        self._phases: dict[str, dict[str, Any]] = {}
        self._generator = True
        self._reports: dict[str, dict[str, Any]] = {}

    def samples(self, samples: Iterable[Sample]) -> Self:
        """Add samples."""
        self._samples.extend(samples)
        return self

    def readings(self, readings: Iterable[Reading]) -> Self:
        """Add readings."""
        self._readings.extend(readings)
        return self

    def events(self, events: Iterable[Event]) -> Self:
        """Add lines to the journal."""
        self._events.extend(events)
        return self

    def record(self, **fields: Any) -> Self:
        """Replace fields of the run record."""
        self._record |= fields
        return self

    def phase(self, name: str, /, **fields: Any) -> Self:
        """Replace fields of a phase's record."""
        self._phases[name] = self._phases.get(name, {}) | fields
        return self

    def process(self, worker: str = "0", /, **fields: Any) -> Self:
        """Replace what a process reported."""
        self._reports[worker] = self._reports.get(worker, {}) | fields
        return self

    def without_generator_readings(self) -> Self:
        """Leave out the readings of the load generator's own health."""
        self._generator = False
        return self

    def write(self, folder: Path) -> Path:
        """Write the run folder and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for worker in sorted({sample.worker for sample in self._samples}):
            mine = [sample for sample in self._samples if sample.worker == worker]
            write_batches(folder / f"samples-{worker}.arrow", mine)
        readings = [*self._readings, *(self._healthy() if self._generator else [])]
        if readings:
            SegmentWriter(folder / "resources-0.arrow", READING_SCHEMA).append(readings)
        journal = Journal(folder)
        for event in self._events:
            journal.add(event)
        self._run_record().save(folder)
        return folder

    def analyze(self, folder: Path) -> Analysis:
        """Write the run and return its analysis."""
        return analyze(self.write(folder))

    def _healthy(self) -> list[Reading]:
        return [
            Reading(second + 0.5, "generator", metric, value, worker)
            for worker in sorted({sample.worker for sample in self._samples} or {"0"})
            for second in range(min(max(int(self.plan.duration), 1), 3600))
            for metric, value in (("cpu_cores", 0.2), ("loop_lag_p99_ms", 1.0), ("loop_ticks", 50.0))
        ]

    def _run_record(self) -> RunRecord:
        values: dict[str, Any] = {
            "id": "run-1",
            "plan": self.plan,
            "plan_file": "plans/test.yaml",
            "seed": 1,
            "host": HOST,
            "started_at": "2026-11-20T21:00:00+01:00",
            "clock_origin": 1000.0,
            "wall_origin": 1_795_000_000.0,
            "ended_s": max([self.plan.duration, *(sample.done_s for sample in self._samples)]),
            "ending": Ending.COMPLETED,
            "phases": self._phase_records(),
            "processes": self._process_records(),
        }
        return RunRecord(**(values | self._record))

    def _phase_records(self) -> list[PhaseRecord]:
        records, start = [], 0.0
        for phase in self.plan.phases:
            mine = [s.scenario for s in self._samples if s.iteration and s.phase == phase.name]
            values: dict[str, Any] = {
                "name": phase.name,
                "start_s": start,
                "end_s": start + phase.duration,
                "closed": phase.closed,
                "reached": True,
                "scheduled": dict(Counter(mine)),
            }
            records.append(PhaseRecord(**(values | self._phases.get(phase.name, {}))))
            start += phase.duration
        return records

    def _process_records(self) -> list[ProcessRecord]:
        counts = Counter(sample.worker for sample in self._samples) or Counter({"0": 0})
        return [
            ProcessRecord(
                **(
                    {"worker": worker, "pid": 4000, "begun": count, "recorded": count, "written": count}
                    | self._reports.get(worker, {})
                )
            )
            for worker, count in sorted(counts.items())
        ]


def write_batches(path: Path, samples: Sequence[Sample], size: int = 5000) -> None:
    """Write samples as a run does: batch after batch into one file."""
    writer = SegmentWriter(path, SAMPLE_SCHEMA)
    for first in range(0, len(samples), size):
        writer.append(samples[first : first + size])
