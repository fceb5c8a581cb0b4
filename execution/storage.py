"""Gets samples and readings to disk about once a second, without stopping the event loop for the disk."""

from pathlib import Path

import gevent
import gevent.event

from plans.run import ProcessRecord
from samples.recorder import Recorder
from samples.sample import Reading, Sample
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter, leave_pandas_out

_INTERVAL_S = 1.0
_HELD_BACK = 1_000_000
"""Samples that are kept in memory while the disk refuses them; beyond, the oldest are given up and counted."""


class Storage:
    """The writer of one process's segments."""

    def __init__(self, folder: Path, recorder: Recorder, process: ProcessRecord) -> None:
        self._recorder, self._process = recorder, process
        leave_pandas_out()
        self._samples = SegmentWriter(folder / f"samples-{recorder.worker}.arrow", SAMPLE_SCHEMA)
        self._readings = SegmentWriter(folder / f"resources-generator-{recorder.worker}.arrow", READING_SCHEMA)
        self._held: list[Sample] = []
        self._held_readings: list[Reading] = []
        self._closing = gevent.event.Event()
        self._flusher: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to flush about once a second."""
        self._flusher = gevent.spawn(self._run)

    def _run(self) -> None:
        while not self._closing.wait(_INTERVAL_S):
            self.flush()

    def close(self) -> None:
        """Write what is left. A flush that is under way is waited for, never killed: it would be written twice."""
        self._closing.set()
        if self._flusher is not None:
            self._flusher.join()
        self.flush()

    def add_readings(self, readings: list[Reading]) -> None:
        """Take readings along with the next flush."""
        self._held_readings += readings

    def flush(self) -> None:
        """Write what has come in. A disk that refuses it is noted; the next flush offers it again."""
        self._held += self._recorder.take()
        batch, readings = self._held, self._held_readings
        if not batch and not readings:
            return
        # A thread of the operating system waits for the disk; the event loop goes on.
        error = gevent.get_hub().threadpool.apply(self._write, (batch, readings))
        if error is None:
            self._process.written += len(batch)
            self._held, self._held_readings = self._held[len(batch) :], self._held_readings[len(readings) :]
        else:
            self._note(error)
        self._process.begun, self._process.recorded = self._recorder.begun, self._recorder.recorded

    def _write(self, batch: list[Sample], readings: list[Reading]) -> str | None:
        try:
            if batch:
                self._samples.append(batch)
            if readings:
                self._readings.append(readings)
        except OSError as error:
            return f"cannot write samples: {error.strerror or error}"
        return None

    def _note(self, error: str) -> None:
        if error not in self._process.write_errors:
            self._process.write_errors.append(error)
        del self._held[: max(len(self._held) - _HELD_BACK, 0)]
