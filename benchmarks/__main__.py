"""`python -m benchmarks [NAME ...]`: measure, print, and write the tables into docs/performance.md.

Exit code 0 when every promise held, 1 when one did not.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from benchmarks import (
    analyzer,
    arrivals,
    baselines,
    capacity,
    clients,
    distributed,
    fidelity,
    leaks,
    memory,
    omission,
    peers,
    platform,
    recording,
    schedule,
    station,
    statistics,
    streams,
    suites,
    websockets,
)
from benchmarks.table import Table
from execution.folder import machine, versions

BENCHMARKS: dict[str, Callable[[Path], Table]] = {
    "schedule": schedule.measure,
    "omission": omission.measure,
    "clients": clients.measure,
    "recording": recording.measure,
    "streams": streams.measure,
    "websockets": websockets.measure,
    "arrivals": arrivals.measure,
    "fidelity": fidelity.measure,
    "scale": fidelity.measure_scale,
    "memory": memory.measure,
    "endurance": memory.measure_endurance,
    "leaks": leaks.measure,
    "peers": peers.measure,
    "platform": platform.measure,
    "suites": suites.measure,
    "baselines": baselines.measure,
    "analyzer": analyzer.measure,
    "distributed": distributed.measure,
    "statistics": statistics.measure,
    "capacity": capacity.measure,
    "virtual": capacity.measure_virtual,
    "station": station.measure,
}
ON_REQUEST = ("endurance", "peers", "suites", "capacity", "virtual", "station", "baselines")
"""Not among the default ones: minutes long, or in need of what others have to be installed for."""
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_SECTION = re.compile(r"(<!-- (\w+):begin -->\n).*?(<!-- \2:end -->)", re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join(BENCHMARKS)} (default: all but {' and '.join(ON_REQUEST)})",
    )
    parser.add_argument("--no-page", action="store_true", help="print only; leave docs/performance.md as it is")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    tables: dict[str, Table] = {}
    for name in options.names or [name for name in BENCHMARKS if name not in ON_REQUEST]:
        with tempfile.TemporaryDirectory(prefix="proofload-bench-") as scratch:
            tables[name] = BENCHMARKS[name](Path(scratch))
        print(tables[name].markdown(), flush=True)
    if not options.no_page:
        write(tables)
    return 0 if all(table.held for table in tables.values()) else 1


def write(tables: dict[str, Table]) -> None:
    """Put the tables between their marks in the page, with the machine and the versions."""
    where = machine()
    stamp = (
        f"Measured on {date.today().isoformat()}: {where['processor']}, {where['cpus']} CPUs, {where['system']}; "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
    )

    def replaced(match: re.Match[str]) -> str:
        table = tables.get(match.group(2))
        return match.group(0) if table is None else f"{match.group(1)}{table.markdown()}\n\n{stamp}.\n{match.group(3)}"

    PAGE.write_text(_SECTION.sub(replaced, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
