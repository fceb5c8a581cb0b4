"""Gets samples and readings to disk about once a second, without stopping the event loop for the disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import gevent
import gevent.event
import pyarrow as pa

from plans.run import ProcessRecord
from samples.recorder import Recorder
from samples.sample import Reading, Sample
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter, encode, keep_arrow_small, merge

_INTERVAL_S = 1.0
_LARGEST_BATCH = 20_000
"""Records that are looked at and written at once."""
_HELD_BACK = 1_000_000
"""Records that are kept in memory while the disk refuses them; beyond, the oldest are given up. The counts show it."""

_Result = TypeVar("_Result")
Digest = Callable[[pa.RecordBatch, float], None]


class Writer(Protocol):
    """Where batches are brought, in a thread."""

    @property
    def name(self) -> str:
        """What it is called in a message."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch. Raises OSError when it is to be offered again."""


class _Stream:
    """Records of one schema on their way to a writer: in slices as they come, in batches for the disk."""

    def __init__(self, writer: Writer, schema: pa.Schema, errors: list[str]) -> None:
        self._writer, self._schema, self._errors = writer, schema, errors
        self._slices: list[pa.RecordBatch] = []
        self._held: list[pa.RecordBatch] = []

    def add(self, records: Sequence[Sample] | Sequence[Reading]) -> None:
        """Turn a few records into columns, at once: a thread would hold the event loop up no less, and cost more."""
        if records:
            self._slices.append(encode(records, self._schema))

    def gather(self) -> list[pa.RecordBatch]:
        """Hold what was added for the disk, in batches, which are returned."""
        slices, self._slices = self._slices, []
        batches: list[list[pa.RecordBatch]] = []
        rows = _LARGEST_BATCH
        for one in slices:
            rows += one.num_rows
            if rows > _LARGEST_BATCH:
                batches.append([])
                rows = one.num_rows
            batches[-1].append(one)
        merged = [merge(parts) for parts in batches]
        self._held += merged
        return merged

    def write(self) -> int:
        """Move what is held to disk, as far as the disk takes it; return how many records it took."""
        written = 0
        while self._held:
            # A thread of the operating system waits for the disk; the event loop goes on.
            error = _aside(self._append, self._held[0])
            if error is not None:
                if error not in self._errors:
                    self._errors.append(error)
                break
            written += self._held.pop(0).num_rows
        while sum(batch.num_rows for batch in self._held) > _HELD_BACK:
            del self._held[0]
        return written

    def _append(self, batch: pa.RecordBatch) -> str | None:
        try:
            self._writer.write(batch)
        except OSError as error:
            return f"cannot write {self._writer.name}: {error.strerror or error}"
        return None


class Storage:
    """Moves the samples and readings of one process to where they are kept: files, or another process."""

    def __init__(
        self, recorder: Recorder, process: ProcessRecord, digest: Digest, samples: Writer, readings: Writer
    ) -> None:
        """`digest` is told of what was recorded, and up to when, in a thread."""
        self._recorder, self._process, self._digest = recorder, process, digest
        self.settled: Callable[[], float] = recorder.clock
        """Gives the seconds from the origin before which all that was due has been recorded."""
        self.settled_s = 0.0
        """Whatever was due before this moment is on disk, as far as the disk takes it."""
        keep_arrow_small()
        errors = process.write_errors
        self._samples = _Stream(samples, SAMPLE_SCHEMA, errors)
        self._readings = _Stream(readings, READING_SCHEMA, errors)
        recorder.pour = self._pour
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
        self._readings.add(readings)

    def _pour(self) -> None:
        self._samples.add(self._recorder.take())

    def flush(self) -> None:
        """Write what has come in. A disk that refuses it is noted; the next flush offers it again."""
        settled = self.settled()  # first: what is recorded from here on may not be among what is taken
        self._pour()
        now = self._recorder.clock()
        self._readings.gather()
        for batch in self._samples.gather():
            _aside(self._digest, batch, now)
        self._process.written += self._samples.write()
        self.settled_s = settled
        self._readings.write()
        self._process.begun, self._process.recorded = self._recorder.begun, self._recorder.recorded


def on_disk(folder: Path, recorder: Recorder, process: ProcessRecord, digest: Digest) -> Storage:
    """Return the storage of a process that keeps its segments in the run folder."""
    samples = SegmentWriter(folder / f"samples-{recorder.worker}.arrow", SAMPLE_SCHEMA)
    readings = SegmentWriter(folder / f"resources-generator-{recorder.worker}.arrow", READING_SCHEMA)
    return Storage(recorder, process, digest, samples, readings)


def _aside(work: Callable[..., _Result], *arguments: object) -> _Result:
    result: _Result = gevent.get_hub().threadpool.apply(work, arguments)
    return result
