"""What can be read of a run folder, whole or not."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reports.frames import load_frames
from reports.rows import numbers
from samples.sample import Outcome, Protocol, Reading, Sample
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter
from tests.reports.builder import request, write_batches


def llm(due_s: float, gaps: list[int] | None, worker: str) -> Sample:
    return request(due_s, protocol=Protocol.LLM, icl_us=gaps, worker=worker)


def test_an_empty_folder_gives_empty_frames(tmp_path: Path) -> None:
    frames = load_frames(tmp_path)

    assert len(frames.samples) == len(frames.readings) == 0
    assert frames.problems == []


def test_the_samples_of_all_workers_stand_in_the_order_of_their_due_times(tmp_path: Path) -> None:
    write_batches(tmp_path / "samples-0.arrow", [request(t, worker="0") for t in (0.0, 2.0, 4.0)])
    write_batches(tmp_path / "samples-1.arrow", [request(t, worker="1") for t in (3.0, 1.0)], size=1)

    frame = load_frames(tmp_path).samples

    assert numbers(frame, "due_s").tolist() == [0, 1, 2, 3, 4]
    assert frame["worker"].tolist() == ["0", "1", "0", "1", "0"]
    assert frame["outcome"].dtype == "category"


def test_gaps_follow_their_samples_through_the_sorting(tmp_path: Path) -> None:
    write_batches(
        tmp_path / "samples-0.arrow", [llm(3.0, [30, 31], "0"), llm(0.0, [1], "0"), llm(2.0, None, "0")], size=2
    )
    write_batches(tmp_path / "samples-1.arrow", [llm(1.0, [10, 12, 11], "1"), llm(4.0, [], "1")])

    frames = load_frames(tmp_path)

    assert frames.gaps.values.tolist() == [1, 10, 12, 11, 30, 31]
    assert np.array_equal(numbers(frames.samples, "icl_sum_us"), [1, 33, np.nan, 61, np.nan], equal_nan=True)
    assert np.array_equal(numbers(frames.samples, "icl_max_us"), [1, 12, np.nan, 31, np.nan], equal_nan=True)
    assert frames.gaps.of(frames.samples.between(1, 3)).values.tolist() == [10, 12, 11]
    scattered = frames.gaps.of(frames.samples.at(np.array([0, 3])))
    assert scattered.values.tolist() == [1, 30, 31]
    assert scattered.ends.tolist() == [0, 1, 3]


def test_gaps_of_more_rows_than_a_block_keep_their_places(tmp_path: Path) -> None:
    count = 70_000
    order = np.random.default_rng(2).permutation(count)
    columns = {name: pa.nulls(count, SAMPLE_SCHEMA.field(name).type) for name in SAMPLE_SCHEMA.names}
    columns |= {"due_s": pa.array(order / 10), "done_s": pa.array(order / 10 + 1)}
    columns["icl_us"] = pa.array([[int(n), 1] for n in order], pa.list_(pa.int32()))
    with pa.ipc.new_stream(str(tmp_path / "samples-0.arrow"), SAMPLE_SCHEMA) as stream:
        stream.write_batch(pa.record_batch([columns[name] for name in SAMPLE_SCHEMA.names], schema=SAMPLE_SCHEMA))

    frames = load_frames(tmp_path)

    assert np.array_equal(frames.gaps.values[::2], np.arange(count))
    assert np.array_equal(numbers(frames.samples, "icl_sum_us"), np.arange(count) + 1)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.97])
def test_a_file_that_a_crash_cut_gives_what_is_whole_in_it(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "samples-0.arrow"
    write_batches(path, [request(float(n)) for n in range(1000)], size=100)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    found = len(load_frames(tmp_path).samples)

    assert found % 100 == 0
    assert found == {0.0: 0, 0.01: 0}.get(kept, found)
    assert found > 300 or kept < 0.5


def test_a_file_that_is_no_arrow_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "samples-0.arrow").write_bytes(b"this is not a segment" * 10)
    write_batches(tmp_path / "samples-1.arrow", [request(0.0)])

    assert len(load_frames(tmp_path).samples) == 1


def test_a_file_with_other_columns_is_named_as_a_problem(tmp_path: Path) -> None:
    with pa.ipc.new_stream(str(tmp_path / "samples-0.arrow"), pa.schema([("due_s", pa.float64())])) as stream:
        stream.write_batch(pa.record_batch({"due_s": pa.array([1.0])}))

    frames = load_frames(tmp_path)

    assert len(frames.samples) == 0
    assert "samples-0.arrow" in frames.problems[0]


def test_missing_values_are_nan_and_never_0(tmp_path: Path) -> None:
    write_batches(tmp_path / "samples-0.arrow", [request(0.0, sent_s=None, status=None, outcome=Outcome.DROPPED)])

    frame = load_frames(tmp_path).samples

    assert np.isnan(numbers(frame, "sent_s")[0])
    assert np.isnan(numbers(frame, "status")[0])
    assert frame["error"].isna().all()


def test_readings_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "resources-0.arrow", READING_SCHEMA)
    writer.append([Reading(1.0, "host", "load_1m", float("nan")), Reading(0.5, "host", "load_1m", 2.0)])

    assert numbers(load_frames(tmp_path).readings, "value").tolist() == [2.0]
