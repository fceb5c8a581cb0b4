"""Gets samples and readings to disk about once a second, without stopping the event loop for the disk."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import gevent
import gevent.event

from plans.run import ProcessRecord
from samples.recorder import Recorder
from samples.sample import Reading, Sample
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter, leave_pandas_out

_INTERVAL_S = 1.0
_LARGEST_BATCH = 20_000
"""Records that are encoded at once: what a thread does to them holds the event loop up too."""
_HELD_BACK = 1_000_000
"""Records that are kept in memory while the disk refuses them; beyond, the oldest are given up. The counts show it."""

_Record = TypeVar("_Record", Sample, Reading)
Digest = Callable[[list[Sample], float], None]


class Storage:
    """The writer of one process's segments."""

    def __init__(self, folder: Path, recorder: Recorder, process: ProcessRecord, digest: Digest) -> None:
        """`digest` is told of what was recorded, and up to when, in a thread."""
        self._recorder, self._process, self._digest = recorder, process, digest
        self.settled: Callable[[], float] = recorder.clock
        """Gives the seconds from the origin before which all that was due has been recorded."""
        self.settled_s = 0.0
        """Whatever was due before this moment is on disk, as far as the disk takes it."""
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
        settled = self.settled()  # first: what is recorded from here on may not be among what is taken
        taken, now = self._recorder.take(), self._recorder.clock()
        self._held += taken  # first: what is only to be shown must not cost a sample
        gevent.get_hub().threadpool.apply(self._digest, (taken, now))
        self._process.written += self._write(self._samples, self._held)
        self.settled_s = settled
        self._write(self._readings, self._held_readings)
        self._process.begun, self._process.recorded = self._recorder.begun, self._recorder.recorded

    def _write(self, writer: SegmentWriter, held: list[_Record]) -> int:
        """Move what is held to disk, as far as the disk takes it; return how many records it took."""
        written = 0
        while batch := held[:_LARGEST_BATCH]:
            # A thread of the operating system waits for the disk; the event loop goes on, and may add to `held`.
            error = gevent.get_hub().threadpool.apply(_append, (writer, batch))
            if error is not None:
                if error not in self._process.write_errors:
                    self._process.write_errors.append(error)
                break
            del held[: len(batch)]
            written += len(batch)
        del held[: max(len(held) - _HELD_BACK, 0)]
        return written


def _append(writer: SegmentWriter, batch: list[Sample] | list[Reading]) -> str | None:
    try:
        writer.append(batch)
    except OSError as error:
        return f"cannot write {writer.path.name}: {error.strerror or error}"
    return None
