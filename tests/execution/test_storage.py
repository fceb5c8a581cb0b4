"""What a disk refuses comes later, and nothing comes twice."""

from __future__ import annotations

import time
from pathlib import Path

import gevent
import pyarrow as pa
import pytest

from execution import storage
from execution.storage import on_disk
from plans.run import ProcessRecord
from samples.recorder import SLICE, Recorder
from samples.sample import Reading
from samples.segments import (
    READING_SCHEMA,
    SAMPLE_SCHEMA,
    SegmentWriter,
    read_batches,
    read_table,
    reading_files,
    sample_files,
)
from tests.samples.records import bare


class Run:
    """A storage with its folder; `refusing` names the files that the disk does not take."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.recorder = folder, Recorder("0", lambda: 0.0)
        self.process = ProcessRecord(worker="0", pid=1)
        self.storage = on_disk(folder, self.recorder, self.process, lambda batch, now: None)
        self.refusing: set[str] = set()
        self.slow: set[str] = set()
        write = SegmentWriter.write

        def checked(writer: SegmentWriter, batch: pa.RecordBatch) -> None:
            if any(writer.path.name.startswith(name) for name in self.refusing):
                raise OSError(28, "No space left on device")
            write(writer, batch)
            if any(writer.path.name.startswith(name) for name in self.slow):
                time.sleep(0.1)  # in a thread of the pool: the event loop goes on meanwhile

        monkeypatch.setattr(SegmentWriter, "write", checked)

    def record(self, count: int) -> None:
        for _ in range(count):
            self.recorder.add(bare(done_s=1.0))

    def on_disk(self) -> tuple[int, int]:
        samples = read_table(sample_files(self.folder), SAMPLE_SCHEMA)
        return len(samples), len(read_table(reading_files(self.folder), READING_SCHEMA))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def reading() -> Reading:
    return Reading(1.0, "generator", "cpu_cores", 0.5)


@pytest.mark.parametrize("refused", ["samples", "resources"])
def test_what_one_file_refuses_is_written_later_and_the_other_file_once(run: Run, refused: str) -> None:
    run.refusing = {refused}
    run.record(3)
    run.storage.add_readings([reading()])
    run.storage.flush()
    run.refusing = set()
    run.storage.flush()

    assert run.on_disk() == (3, 1)
    assert run.process.written == run.process.recorded == run.process.begun == 3
    assert len(run.process.write_errors) == 1


def test_readings_that_come_in_while_the_disk_is_waited_for_are_kept(run: Run) -> None:
    run.slow = {"resources"}
    run.storage.add_readings([reading()])
    flushing = gevent.spawn(run.storage.flush)
    gevent.sleep(0.03)
    run.storage.add_readings([reading()])
    flushing.join()
    run.storage.close()

    assert run.on_disk() == (0, 2)


def test_a_flush_gathers_the_slices_of_a_second_into_batches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_LARGEST_BATCH", 3 * SLICE)
    count = 7 * SLICE + 35
    run.record(count)
    run.storage.flush()

    (file,) = sample_files(run.folder)
    assert [batch.num_rows for batch in read_batches(file)] == [3 * SLICE, 3 * SLICE, SLICE + 35]
    assert run.process.written == run.process.recorded == count


def test_samples_do_not_pile_up_between_flushes(run: Run) -> None:
    run.record(10 * SLICE + 1)
    assert len(run.recorder.take()) == 1  # the others are columns already


def test_what_is_held_while_the_disk_refuses_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_HELD_BACK", 20)
    run.refusing = {"samples", "resources"}
    for _ in range(5):
        run.record(10)
        run.storage.add_readings([reading()] * 10)
        run.storage.flush()
    run.refusing = set()
    run.storage.close()

    assert run.on_disk() == (20, 20)
    assert (run.process.recorded, run.process.written) == (50, 20)


def test_the_settled_moment_is_that_of_before_the_samples_were_taken(run: Run) -> None:
    moments = iter([3.0, 7.0])

    def settled() -> float:
        run.record(1)  # what comes after the moment was told may be in the file, what comes before must be
        return next(moments)

    run.storage.settled = settled
    assert run.storage.settled_s == 0.0
    run.storage.flush()
    assert (run.storage.settled_s, run.on_disk()[0]) == (3.0, 1)
    run.storage.flush()
    assert (run.storage.settled_s, run.on_disk()[0]) == (7.0, 2)
