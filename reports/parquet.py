"""`samples.parquet`: every sample of a run as one table that DuckDB, Spark, pandas and Excel's Power Query read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reports.analysis import REPORT_FOLDER
from samples.sample import Sample
from samples.segments import SAMPLE_SCHEMA, read_batches, sample_files

FILE = "samples.parquet"


def write_parquet(folder: Path) -> Path:
    """Write the samples of the run in `folder` beside its report and return the path; batch by batch, whatever many.

    Columns, units and order are those of `samples/sample.py`; a file that a crash cut gives what is whole in it.
    Raises OSError when it cannot be written.
    """
    path = folder / REPORT_FOLDER / FILE
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    known = {"table": "samples of a load test", "record": Sample.__name__, "run": folder.name}
    schema = SAMPLE_SCHEMA.with_metadata(known)
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for file in sample_files(folder):
            held: list[pa.RecordBatch] = []
            for batch in read_batches(file):
                held.append(batch)
                if sum(one.num_rows for one in held) >= 100_000:
                    writer.write_table(_table(held, schema))
                    held = []
            if held:
                writer.write_table(_table(held, schema))
    temporary.replace(path)
    return path


def _table(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    # Fields that an older run did not have yet are null.
    table = pa.concat_tables([SAMPLE_SCHEMA.empty_table(), pa.Table.from_batches(batches)], promote_options="default")
    return table.select(schema.names).cast(schema)
