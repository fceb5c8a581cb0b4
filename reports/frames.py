"""From a run folder to typed frames: what was recorded, without a second copy and without a failure.

Texts are categoricals, numbers are floats (a null is NaN), and the gaps between the events of streams lie pooled in one
array beside the frame. A file that a crash cut short gives what is whole in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from reports.rows import Mask, Places, Rows, Stored, numbers, only
from reports.statistics import Floats
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, reading_files, sample_files

_NUMBERS = (
    "due_s", "sent_s", "done_s", "status", "connect_ms", "ttft_s", "ttfo_s", "prompt_tokens", "output_tokens",
    "events", "quality", "similarity", "sequence", "connection", "wanted_prompt_tokens", "wanted_output_tokens",
    "pool_wait_ms",
)  # fmt: skip
_FLAGS = ("iteration", "waited")
_TEXTS = (
    "outcome", "phase", "scenario", "name", "protocol", "worker", "error", "token_source", "message_type",
    "latency_source", "defect",
)  # fmt: skip
_GAPS = "icl_us"
_GAPS_TYPE = pa.large_list(pa.int32())
_CHUNK_ROWS = 65_536
_LONGEST_S = 1e8
"""Three years: a time beyond it is no time but a fault of the file."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Microseconds between content events, pooled, in the order of the samples.

    `ends` has one entry more than there are samples: the gaps of row i are `values[ends[i]:ends[i + 1]]`.
    """

    values: NDArray[np.int32]
    ends: Places

    def of(self, rows: Rows) -> "Gaps":
        """Return the gaps of some rows of the samples, without copying when these stand together."""
        index = rows.places
        if len(index) == 0:
            return Gaps(np.zeros(0, np.int32), np.zeros(1, np.int64))
        first, last = int(index[0]), int(index[-1]) + 1
        if last - first == len(index):
            ends = self.ends[first : last + 1]
            return Gaps(self.values[ends[0] : ends[-1]], ends - ends[0])
        wanted = np.zeros(last - first, dtype=np.bool_)
        wanted[index - first] = True
        lengths = np.diff(self.ends[first : last + 1])
        values = self.values[self.ends[first] : self.ends[last]][np.repeat(wanted, lengths)]
        return Gaps(values, _ends(lengths[wanted]))


@dataclass(frozen=True, slots=True)
class Frames:
    """The records of a run.

    `samples` has one row per sample in the order of `due_s`, and beside the sample's own
    fields `icl_sum_us` and `icl_max_us` (NaN without gaps). `readings` is in the order of `t_s`.
    """

    samples: Rows
    readings: pd.DataFrame
    gaps: Gaps
    problems: list[str]
    """What could not be read, in words."""


def load_frames(folder: Path) -> Frames:
    """Return everything that can be read of the run in `folder`; an empty or broken folder gives empty frames."""
    problems: list[str] = []
    columns = [*_NUMBERS, *_FLAGS, *_TEXTS, _GAPS]
    samples, gaps = _samples(_timed(_table(sample_files(folder), columns, SAMPLE_SCHEMA, problems), problems))
    readings = _table(reading_files(folder), READING_SCHEMA.names, READING_SCHEMA, problems)
    pa.default_memory_pool().release_unused()  # what the Arrow form of the samples took
    return Frames(samples, _readings(readings), gaps, problems)


def _ends(lengths: Places) -> Places:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


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
        for batch in _batches(path, wanted):
            # Arrow trusts what it reads: a flipped bit in a list's offsets would end this process, not this file.
            batch.validate(full=True)
            held.append(batch)
            count += batch.num_rows
            if count >= _CHUNK_ROWS:
                yield pa.Table.from_batches(held).combine_chunks()
                held, count = [], 0
    except (pa.ArrowException, OSError) as error:
        problems.append(f"{path.name} cannot be read to its end: {error}")
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def _batches(path: Path, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield what `samples.segments.read_batches` does, of the wanted columns only and without threads.

    Both for speed: for batches as small as a run writes, starting threads takes seven times as long as the work.
    Raises ArrowInvalid for a file of other columns.
    """
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            found = stream.schema
    except pa.ArrowInvalid:
        return  # a crash left the file without even its head
    places = [found.get_field_index(name) for name in wanted.names]
    other = [f.name for f, place in zip(wanted, places, strict=True) if place < 0 or found.field(place).type != f.type]
    if other:
        raise pa.ArrowInvalid(f"it has no column {', '.join(other)} as this version of Proofload writes them")
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=places)
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file, options=options) as stream:
            for batch in stream:
                yield batch.select(wanted.names)
    except (pa.ArrowInvalid, OSError):
        return  # the batch that a crash cut; those before it are whole


def _timed(table: pa.Table, problems: list[str]) -> pa.Table:
    """Leave out rows without a due or done time: no window could hold them, and the accounting will miss them."""
    good = np.ones(len(table), dtype=np.bool_)
    for name in ("due_s", "done_s"):
        good &= np.abs(np.asarray(table[name].to_numpy(), dtype=np.float64)) < _LONGEST_S
    if good.all():
        return table
    problems.append(f"{int((~good).sum())} samples have no time and were left out")
    return table.filter(pa.array(good))


def _samples(table: pa.Table) -> tuple[Rows, Gaps]:
    order = _order(np.asarray(table["due_s"].to_numpy(), dtype=np.float64))
    arrays = {name: table[name] for name in table.column_names}
    del table
    # Each Arrow column is let go as soon as its numpy form exists, the largest one first.
    gaps = _gaps(arrays.pop(_GAPS), order)
    columns: dict[str, Stored] = {name: _lossless(_numeric(arrays.pop(name), order)) for name in _NUMBERS}
    columns |= {name: _flag(arrays.pop(name), order) for name in _FLAGS}
    columns |= {name: _categorical(arrays.pop(name), order) for name in _TEXTS}
    return Rows(columns | {name: _lossless(values) for name, values in _per_row(gaps).items()}), gaps


def _order(due: Floats) -> Places | slice:
    """Return the order of due times; where they stand in it already, as of one process, nothing need be moved."""
    return slice(None) if bool((due[1:] >= due[:-1]).all()) else np.argsort(due, kind="stable")


def _lossless(values: Floats) -> NDArray[np.floating[Any]]:
    """Return the values in half the memory where every one of them is the same there: counts, codes, nothing."""
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return small if np.array_equal(small, values, equal_nan=True) else values


def _gaps(column: pa.ChunkedArray, order: Places | slice) -> Gaps:
    """Return the lists in the given order of rows.

    A block of rows at a time: an index of all gaps at once would take twice the memory of the gaps.
    """
    lengths = np.zeros(len(column), np.int64)
    values = np.empty(sum(len(chunk.flatten()) for chunk in column.chunks), np.int32)
    row = filled = 0
    for chunk in column.chunks:
        lengths[row : row + len(chunk)] = chunk.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        flat = chunk.flatten().fill_null(0).to_numpy(zero_copy_only=False)
        values[filled : filled + len(flat)] = flat
        row, filled = row + len(chunk), filled + len(flat)
    ends = _ends(lengths)
    if isinstance(order, slice):
        return Gaps(values, ends)
    result, new_ends = np.empty_like(values), _ends(lengths[order])
    for first in range(0, len(order), _CHUNK_ROWS):
        rows = order[first : first + _CHUNK_ROWS]
        start, stop = new_ends[first], new_ends[first + len(rows)]
        shift = ends[rows] - new_ends[first : first + len(rows)]
        result[start:stop] = values[np.arange(start, stop) + np.repeat(shift, lengths[rows])]
    return Gaps(result, new_ends)


def _per_row(gaps: Gaps) -> dict[str, Floats]:
    """Return sum and maximum of each row's gaps, a block of rows at a time as above."""
    count = len(gaps.ends) - 1
    sums, longest = np.full(count, np.nan), np.full(count, np.nan)
    for first in range(0, count, _CHUNK_ROWS):
        ends = gaps.ends[first : first + _CHUNK_ROWS + 1]
        values = gaps.values[ends[0] : ends[-1]]
        filled = np.flatnonzero(np.diff(ends))
        if len(filled):
            starts = ends[filled] - ends[0]
            sums[first + filled] = np.add.reduceat(values.astype(np.int64), starts)
            longest[first + filled] = np.maximum.reduceat(values, starts)
    return {"icl_sum_us": sums, "icl_max_us": longest}


def _numeric(column: pa.ChunkedArray, order: Places | slice) -> Floats:
    return np.asarray(column.to_numpy(), dtype=np.float64)[order]


def _flag(column: pa.ChunkedArray, order: Places | slice) -> Mask:
    flag: Mask = np.asarray(column.fill_null(False).to_numpy(), dtype=np.bool_)[order]
    return flag


def _categorical(column: pa.ChunkedArray, order: Places | slice) -> pd.Categorical:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        return pd.Categorical([], categories=[])
    codes = np.asarray(array.indices.fill_null(-1).to_numpy(), dtype=np.int32)[order]
    return pd.Categorical.from_codes(codes, array.dictionary.to_pylist())


def _readings(table: pa.Table) -> pd.DataFrame:
    order = np.argsort(np.asarray(table["t_s"].to_numpy(), dtype=np.float64), kind="stable")
    columns: dict[str, object] = {name: _numeric(table[name], order) for name in ("t_s", "value")}
    columns |= {name: _categorical(table[name], order) for name in ("source", "metric", "worker")}
    frame = pd.DataFrame(columns, copy=False)
    usable = np.isfinite(numbers(frame, "value")) & (np.abs(numbers(frame, "t_s")) < _LONGEST_S)
    return only(frame, usable)
