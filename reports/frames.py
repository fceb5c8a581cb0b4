"""From a run folder to typed frames: what was recorded, without a second copy and without a failure.

Texts are categoricals, numbers float64 (a null is NaN), and the gaps between the events of streams stay in one Arrow
array beside the frame. A file that a crash cut short gives what is whole in it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from reports.statistics import Floats
from samples.sample import Outcome
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, read_batches, reading_files, sample_files

Mask = NDArray[np.bool_]

_NUMBERS = (
    "due_s", "sent_s", "done_s", "status", "connect_ms", "ttft_s", "ttfo_s", "prompt_tokens", "output_tokens",
    "events", "quality", "sequence", "connection",
)  # fmt: skip
_FLAGS = ("iteration", "waited")
_TEXTS = (
    "outcome", "phase", "scenario", "name", "protocol", "worker", "error", "token_source", "message_type",
    "latency_source",
)  # fmt: skip
_GAPS = "icl_us"
_GAPS_TYPE = pa.large_list(pa.int32())
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Frames:
    """The records of a run.

    `samples` has one row per sample in the order of `due_s`, an index that counts from 0, and beside the sample's own
    fields `icl_sum_us` and `icl_max_us` (NaN without gaps). `readings` is in the order of `t_s`.
    """

    samples: pd.DataFrame
    readings: pd.DataFrame
    gaps: pa.LargeListArray
    """Row by row as `samples`: microseconds between content events."""
    problems: list[str]
    """What could not be read, in words."""

    def gaps_of(self, rows: pd.DataFrame) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the pooled gaps of rows of `samples` in microseconds, and where each row's begin (rows + 1 ends)."""
        index = rows.index.to_numpy()
        if len(index) == 0:
            return np.zeros(0, np.int32), np.zeros(1, np.int64)
        if int(index[-1]) - int(index[0]) + 1 == len(index):
            part = self.gaps.slice(int(index[0]), len(index))
        else:
            part = self.gaps.take(pa.array(index))
        return _flat(part)


def load_frames(folder: Path) -> Frames:
    """Return everything that can be read of the run in `folder`; an empty or broken folder gives empty frames."""
    problems: list[str] = []
    columns = [*_NUMBERS, *_FLAGS, *_TEXTS, _GAPS]
    table = _table(sample_files(folder), columns, SAMPLE_SCHEMA, problems)
    readings = _table(reading_files(folder), READING_SCHEMA.names, READING_SCHEMA, problems)
    samples, gaps = _samples(_timed(table, problems))
    return Frames(samples, _readings(readings), gaps, problems)


def numbers(frame: pd.DataFrame, column: str) -> Floats:
    """Return a numeric column; NaN where it is null."""
    return frame[column].to_numpy(dtype=np.float64)


def equals(frame: pd.DataFrame, column: str, value: StrEnum | str) -> Mask:
    """Return where a text column has this value."""
    return np.asarray(frame[column] == str(value), dtype=np.bool_)


def flags(frame: pd.DataFrame, column: str) -> Mask:
    """Return a column of yes and no."""
    return frame[column].to_numpy(dtype=np.bool_)


def among(frame: pd.DataFrame, outcomes: Iterable[Outcome]) -> Mask:
    """Return where the outcome is one of these."""
    return np.asarray(frame["outcome"].isin([outcome.value for outcome in outcomes]), dtype=np.bool_)


def only(frame: pd.DataFrame, mask: Mask) -> pd.DataFrame:
    """Return the rows of the mask, without copying when these are all of them or stand together."""
    places = np.flatnonzero(mask)
    if len(places) == len(frame):
        return frame
    if len(places) and int(places[-1]) - int(places[0]) + 1 == len(places):
        return frame.iloc[int(places[0]) : int(places[-1]) + 1]
    return frame.iloc[places]


def _flat(gaps: pa.LargeListArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    lengths = np.nan_to_num(gaps.value_lengths().to_numpy(zero_copy_only=False)).astype(np.int64)
    values = np.asarray(gaps.flatten().to_numpy(zero_copy_only=False), dtype=np.int32)
    return values, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _table(paths: list[Path], columns: list[str], schema: pa.Schema, problems: list[str]) -> pa.Table:
    wanted = pa.schema([_lean_field(schema.field(name)) for name in columns])
    parts = [
        pa.table([_lean(chunk.column(name)) for name in columns], schema=wanted)
        for path in paths
        for chunk in _chunks(path, columns, schema, problems)
    ]
    return pa.concat_tables(parts).unify_dictionaries() if parts else wanted.empty_table()


def _lean_field(field: pa.Field) -> pa.Field:
    if field.type == pa.string():
        return pa.field(field.name, pa.dictionary(pa.int32(), pa.string()))
    return pa.field(field.name, _GAPS_TYPE) if field.name == _GAPS else field


def _lean(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type == pa.string():
        return column.dictionary_encode()
    return column.cast(_GAPS_TYPE) if pa.types.is_list(column.type) else column


def _chunks(path: Path, columns: list[str], schema: pa.Schema, problems: list[str]) -> Iterator[pa.Table]:
    """Yield the batches of a file in tables of some ten thousand rows: batches alone are too small to be fast."""
    wanted = pa.schema([schema.field(name) for name in columns])
    held: list[pa.RecordBatch] = []
    count = 0
    try:
        for batch in read_batches(path):
            held.append(batch.select(columns))
            count += batch.num_rows
            if count >= _CHUNK_ROWS:
                yield pa.Table.from_batches(held).cast(wanted).combine_chunks()
                held, count = [], 0
        if held:
            yield pa.Table.from_batches(held).cast(wanted).combine_chunks()
    except (pa.ArrowException, KeyError, OSError) as error:
        problems.append(f"{path.name} cannot be read to its end: {error}")


def _timed(table: pa.Table, problems: list[str]) -> pa.Table:
    """Leave out rows without a due or done time: no window could hold them, and the accounting will miss them."""
    times = [np.asarray(table[name].to_numpy(), dtype=np.float64) for name in ("due_s", "done_s")]
    good = np.isfinite(times[0]) & np.isfinite(times[1])
    if good.all():
        return table
    problems.append(f"{int((~good).sum())} samples have no time and were left out")
    return table.filter(pa.array(good))


def _samples(table: pa.Table) -> tuple[pd.DataFrame, pa.LargeListArray]:
    due = np.asarray(table["due_s"].to_numpy(), dtype=np.float64)
    order = np.argsort(due, kind="stable")
    columns: dict[str, object] = {
        name: np.asarray(table[name].to_numpy(), dtype=np.float64)[order] for name in _NUMBERS
    }
    columns |= {name: _flag(table[name])[order] for name in _FLAGS}
    columns |= {name: _categorical(table[name], order) for name in _TEXTS}
    gaps = table[_GAPS].combine_chunks()
    if isinstance(gaps, pa.ChunkedArray):  # what combine_chunks gives for no chunks at all
        gaps = pa.array([], type=_GAPS_TYPE)
    if not np.array_equal(order, np.arange(len(order))):
        gaps = gaps.take(pa.array(order))
    columns |= _per_row(gaps)
    return pd.DataFrame(columns, copy=False), gaps


def _per_row(gaps: pa.LargeListArray) -> dict[str, Floats]:
    """Return sum and maximum of each row's gaps, some rows at a time: the sums of all at once are a second copy."""
    sums, longest = np.full(len(gaps), np.nan), np.full(len(gaps), np.nan)
    for first in range(0, len(gaps), _CHUNK_ROWS):
        values, ends = _flat(gaps.slice(first, _CHUNK_ROWS))
        filled = np.flatnonzero(np.diff(ends))
        if len(filled):
            sums[first + filled] = np.add.reduceat(values.astype(np.int64), ends[filled])
            longest[first + filled] = np.maximum.reduceat(values, ends[filled])
    return {"icl_sum_us": sums, "icl_max_us": longest}


def _flag(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.fill_null(False).to_numpy(), dtype=np.bool_)


def _categorical(column: pa.ChunkedArray, order: NDArray[np.int64]) -> pd.Categorical:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        return pd.Categorical([], categories=[])
    codes = np.asarray(array.indices.fill_null(-1).to_numpy(), dtype=np.int32)[order]
    return pd.Categorical.from_codes(codes, array.dictionary.to_pylist())


def _readings(table: pa.Table) -> pd.DataFrame:
    order = np.argsort(np.asarray(table["t_s"].to_numpy(), dtype=np.float64), kind="stable")
    columns: dict[str, object] = {
        name: np.asarray(table[name].to_numpy(), dtype=np.float64)[order] for name in ("t_s", "value")
    }
    columns |= {name: _categorical(table[name], order) for name in ("source", "metric", "worker")}
    frame = pd.DataFrame(columns, copy=False)
    return only(frame, np.isfinite(numbers(frame, "value")))
