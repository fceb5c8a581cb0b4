"""The processes that only write segments do without pandas."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_WRITE = """
import sys
from pathlib import Path
from samples.sample import Reading
from samples.segments import READING_SCHEMA, SegmentWriter, keep_arrow_small

keep_arrow_small()
SegmentWriter(Path(sys.argv[1]), READING_SCHEMA).append([Reading(0.0, "host", "cpu_cores", 1.0)])
assert "pandas" not in sys.modules
import pandas  # whoever wants it can still have it
"""


def test_a_process_that_writes_segments_does_not_load_pandas_and_can_still_import_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITE, str(tmp_path / "r.arrow")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
