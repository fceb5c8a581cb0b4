"""Columnar segments: batches of records in an Arrow stream that a crash can cut but not spoil.

A file is an Arrow IPC stream. Each batch is complete on disk before the next begins, so a reader of a crashed
run gets every batch but, at worst, the one that was being written.
"""

import io
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from enum import StrEnum
from functools import cache, lru_cache
from importlib.abc import MetaPathFinder
from operator import attrgetter
from pathlib import Path

import pyarrow as pa

from samples.sample import Reading, Sample

_TYPES: dict[object, pa.DataType] = {
    float: pa.float64(),
    int: pa.int64(),
    bool: pa.bool_(),
    str: pa.string(),
    list[int]: pa.list_(pa.int32()),
}


def _arrow_type(annotation: object) -> pa.DataType:
    if isinstance(annotation, types.UnionType):
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pa.string()
    return _TYPES[annotation]


def schema_of(record: type) -> pa.Schema:
    """Return the Arrow schema of a record class: one column per field, in the field's order."""
    hints = typing.get_type_hints(record)
    return pa.schema([pa.field(field.name, _arrow_type(hints[field.name])) for field in fields(record)])


SAMPLE_SCHEMA = schema_of(Sample)
READING_SCHEMA = schema_of(Reading)


class _NoPandas(MetaPathFinder):
    """Makes an import of pandas fail."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ImportError("pandas is left out of this process")


def keep_arrow_small() -> None:
    """Keep Arrow small in this process, which writes segments and reads none.

    On its first array Arrow looks for pandas, once: 0.4 s in which a load generator sends nothing, and 50 MB.
    Whoever imports pandas in the same process later still can. What Arrow loads on its first look into a column, and
    when it first packs a batch, is loaded here as well. A pool of memory of its own would take 6 MB more, and no
    second's samples are worth one.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([""]).dictionary_encode()
        pack(pa.RecordBatch.from_pydict({"": [""]}))
    finally:
        sys.meta_path.remove(finder)


class SegmentWriter:
    """Appends batches of records to one Arrow stream file.

    Raises OSError when the disk does not take the data; what was written before stays readable, and the same records
    may be offered again.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self._schema = path, schema
        self._good_size = 0
        path.touch()

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def append(self, records: Sequence[Sample] | Sequence[Reading]) -> None:
        """Write the records as one batch and force it to disk."""
        self.write(encode(records, self._schema))

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch that is encoded already and force it to disk."""
        self.write_packed(pack(batch))

    def write_packed(self, segment: bytes) -> None:
        """Write a batch that is packed already and force it to disk."""
        data = segment if self._good_size else _head(self._schema) + segment
        with self.path.open("r+b") as file:
            # A batch that a full disk cut in half is overwritten by the next.
            file.truncate(self._good_size)
            file.seek(self._good_size)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._good_size += len(data)


def _head(schema: pa.Schema) -> bytes:
    """Return what every stream of a schema begins with."""
    head: bytes = schema.serialize().to_pybytes()
    return head


def pack(batch: pa.RecordBatch) -> bytes:
    """Return a batch, compressed, as it stands in a stream after the schema."""
    packed = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    pa.ipc.new_stream(pa.PythonFile(packed, mode="w"), batch.schema, options=options).write_batch(batch)
    return packed.getvalue()[len(_head(batch.schema)) :]


def unpack(segment: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch that was packed. Raises pa.ArrowInvalid for anything else."""
    with pa.ipc.open_stream(_head(schema) + segment) as stream:
        return stream.read_next_batch()


def encode(records: Sequence[Sample] | Sequence[Reading], schema: pa.Schema) -> pa.RecordBatch:
    """Return the records in columns, one for each field of the schema."""
    columns = [_column(list(map(value_of, records)), kind) for value_of, kind in _fields(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@cache
def _fields(schema: pa.Schema) -> list[tuple[Callable[[object], object], pa.DataType]]:
    """Return what gets the value of each field, and the field's type."""
    return [(attrgetter(name), kind) for name, kind in zip(schema.names, schema.types, strict=True)]


def merge(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return batches of one schema as one."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _column(values: list[object], kind: pa.DataType) -> pa.Array:
    """Return the values as a column; one that does not fit, as a server may make it up, must not cost the batch."""
    try:
        if values and values[0] is values[-1] and values.count(values[0]) == len(values):
            return _repeated(values[0], len(values), kind)
        return pa.array(values, type=kind)
    except (ValueError, TypeError, OverflowError):
        return pa.array([_fitting(value, kind) for value in values], type=kind)


def _repeated(value: object, count: int, kind: pa.DataType) -> pa.Array:
    """Return a column of one value: phase, scenario, outcome, status, and all that does not apply."""
    return pa.nulls(count, kind) if value is None else pa.repeat(_scalar(value, kind), count)


@lru_cache(maxsize=256, typed=True)
def _scalar(value: object, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(value, type=kind)


def _fitting(value: object, kind: pa.DataType) -> object:
    if kind == pa.string() and value is not None:
        return str(value).encode("utf-8", "replace").decode("utf-8")
    try:
        pa.scalar(value, type=kind)
    except (ValueError, TypeError, OverflowError):
        return None
    return value


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one file, up to the first that is not complete."""
    try:
        with pa.ipc.open_stream(path.read_bytes()) as stream:
            yield from stream
    except (pa.ArrowInvalid, OSError):
        return


def read_table(paths: Iterable[Path], schema: pa.Schema) -> pa.Table:
    """Return the records of several files as one table, with no rows when there are none.

    Fields that an older run did not have yet are null.
    """
    tables = [pa.Table.from_batches([batch]) for path in paths for batch in read_batches(path)]
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default").select(schema.names)


def sample_files(folder: Path) -> list[Path]:
    """Return the sample segments of a run folder."""
    return sorted(folder.glob("samples-*.arrow"))


def reading_files(folder: Path) -> list[Path]:
    """Return the resource segments of a run folder."""
    return sorted(folder.glob("resources-*.arrow"))
