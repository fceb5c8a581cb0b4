"""What is recorded is read back field by field, after a crash and after a full disk too."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.sample import Outcome, Reading, Sample
from samples.segments import (
    READING_SCHEMA,
    SAMPLE_SCHEMA,
    SegmentWriter,
    read_batches,
    read_table,
    reading_files,
    sample_files,
)
from tests.samples.records import bare, full

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples-0.arrow"


def rows(*paths: Path, schema: pa.Schema = SAMPLE_SCHEMA) -> list[dict[str, object]]:
    read: list[dict[str, object]] = read_table(paths, schema).to_pylist()
    return read


def plain(records: Sequence[Sample | Reading]) -> list[dict[str, object]]:
    return [asdict(record) for record in records]


def test_every_field_comes_back_as_it_was(path: Path) -> None:
    records = [full(), bare(), full()]
    assert all(value is not None for value in asdict(records[0]).values())
    assert sum(value is None for value in asdict(records[1]).values()) > 15
    SegmentWriter(path, SAMPLE_SCHEMA).append(records)
    assert rows(path) == plain(records)


def test_a_column_for_every_field_and_no_other() -> None:
    assert SAMPLE_SCHEMA.names == [field.name for field in fields(Sample)]
    assert READING_SCHEMA.names == [field.name for field in fields(Reading)]


def test_readings_come_back_too(path: Path) -> None:
    readings = [Reading(1.5, "host", "cpu_cores", 0.25), Reading(2.5, "target", "rss_bytes", 1e9, worker="3")]
    SegmentWriter(path, READING_SCHEMA).append(readings)
    assert rows(path, schema=READING_SCHEMA) == plain(readings)


TEXTS = st.one_of(st.none(), st.text(max_size=20))
COUNTS = st.one_of(st.none(), st.integers(0, 2**62))
TIMES = st.floats(-1e6, 1e6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            bare,
            TIMES,
            sent_s=st.one_of(st.none(), TIMES),
            outcome=st.sampled_from(Outcome),
            error=TEXTS,
            finish_reason=TEXTS,
            arrival=COUNTS,
            output_tokens=COUNTS,
            iteration=st.booleans(),
            icl_us=st.one_of(st.none(), st.lists(st.integers(0, 2**31 - 1), max_size=5)),
        ),
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_any_records_in_any_batches_come_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[Sample], size: int
) -> None:
    path = tmp_path_factory.mktemp("segments") / "samples-0.arrow"
    writer = SegmentWriter(path, SAMPLE_SCHEMA)
    for start in range(0, len(records), size):
        writer.append(records[start : start + size])
    assert rows(path) == plain(records)


def test_a_batch_is_readable_as_soon_as_it_is_written(path: Path) -> None:
    writer = SegmentWriter(path, SAMPLE_SCHEMA)
    for count in range(1, 4):
        writer.append([bare(float(count))])
        assert [row["due_s"] for row in rows(path)] == [float(n) for n in range(1, count + 1)]


def test_files_that_are_empty_missing_or_no_segments_hold_nothing(tmp_path: Path) -> None:
    SegmentWriter(tmp_path / "empty", SAMPLE_SCHEMA)
    (tmp_path / "junk").write_bytes(b"this is no Arrow stream" * 10)
    assert rows(tmp_path / "empty", tmp_path / "missing", tmp_path / "junk") == []
    assert rows() == []


def test_the_segments_of_all_processes_are_found(tmp_path: Path) -> None:
    for name in ("samples-1.arrow", "samples-0.arrow", "resources-host.arrow", "other.arrow", "samples-0.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in sample_files(tmp_path)] == ["samples-0.arrow", "samples-1.arrow"]
    assert [file.name for file in reading_files(tmp_path)] == ["resources-host.arrow"]


def test_a_file_cut_at_any_byte_is_readable_up_to_its_last_whole_batch(path: Path, tmp_path: Path) -> None:
    writer, sizes, due = SegmentWriter(path, SAMPLE_SCHEMA), [], [[1.0, 2.0], [3.0]]
    for batch in due:
        writer.append([bare(moment) if moment != 3.0 else full() for moment in batch])
        sizes.append(path.stat().st_size)
    whole, cut = path.read_bytes(), tmp_path / "cut.arrow"
    for length in range(len(whole) + 1):
        cut.write_bytes(whole[:length])
        batches = sum(size <= length for size in sizes)
        assert [batch.num_rows for batch in read_batches(cut)] == [len(batch) for batch in due[:batches]], length


# -- a disk that does not take it -----------------------------------------------------------------------------------


class Disk:
    """The file-size limit of this process, which the system enforces as it would a full disk."""

    def __init__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full_at(self, size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


def _fill_the_disk(path: Path, whole_batches: int, into: int, tries: int) -> None:
    """Append four batches; the one after `whole_batches` meets a full disk `tries` times, `into` bytes into it."""
    disk, writer = Disk(), SegmentWriter(path, SAMPLE_SCHEMA)
    for number in range(4):
        batch = [bare(float(number * 10 + n), error=os.urandom(40).hex()) for n in range(5)]
        if number == whole_batches:
            before = rows(path)
            disk.full_at(path.stat().st_size + into)
            for _ in range(tries):
                try:
                    writer.append(batch)
                except OSError:
                    pass
                else:
                    raise AssertionError("a full disk was not noticed")
                # What was written before stays readable all the while.
                assert rows(path) == before
            disk.free()
        writer.append(batch)
    assert [row["due_s"] for row in rows(path)] == [float(number * 10 + n) for number in range(4) for n in range(5)]


@pytest.mark.parametrize("whole_batches", [0, 1, 3])
def test_a_full_disk_loses_nothing_and_doubles_nothing(tmp_path: Path, whole_batches: int) -> None:
    # A process of its own, because the limit is one of the process.
    folder = f"Path({str(tmp_path)!r})"
    call = f"[_fill_the_disk({folder} / str(n), {whole_batches}, n, tries=3) for n in (0, 1, 100, 3000)]"
    code = f"from pathlib import Path; from tests.samples.test_segments import _fill_the_disk; {call}"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_folder_that_is_gone_is_an_error_and_not_a_silence(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "samples-0.arrow", SAMPLE_SCHEMA)
    (tmp_path / "samples-0.arrow").unlink()
    with pytest.raises(OSError, match="samples-0"):
        writer.append([bare()])


# -- values that a server made up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("error", "half a pair: \ud83d", "half a pair: ?"),
        ("finish_reason", 7, "7"),
        ("output_tokens", 2**70, None),
        ("output_tokens", "many", None),
        ("icl_us", [2**40], None),
        ("sequence", -(2**70), None),
    ],
)
def test_a_value_that_fits_no_column_costs_neither_the_sample_nor_the_batch(
    path: Path, field: str, value: object, kept: object
) -> None:
    records = [bare(1.0), bare(2.0, **{field: value}), full()]
    SegmentWriter(path, SAMPLE_SCHEMA).append(records)
    expected = plain(records)
    expected[1][field] = kept
    assert rows(path) == expected


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("status", 503, 503),
        ("status", "503 Busy", None),
        ("error", "half a pair: \ud83d", "half a pair: ?"),
        ("retried", True, True),
        ("quality", 0.5, 0.5),
        ("icl_us", [20_000, 7], [20_000, 7]),
        ("output_tokens", 2**70, None),
    ],
)
def test_a_value_that_all_have_in_common_comes_back_in_each(
    path: Path, field: str, value: object, kept: object
) -> None:
    records = [bare(float(number), **{field: value}) for number in range(3)]
    SegmentWriter(path, SAMPLE_SCHEMA).append(records)
    assert rows(path) == [row | {field: kept} for row in plain(records)]


def test_what_an_older_run_did_not_have_yet_is_null(path: Path) -> None:
    older = pa.schema([field for field in SAMPLE_SCHEMA if field.name not in {"dns_ms", "retried"}])
    SegmentWriter(path, older).append([full()])
    row = read_table([path], SAMPLE_SCHEMA).to_pylist()[0]
    assert (row["dns_ms"], row["retried"], row["status"]) == (None, None, 503)
