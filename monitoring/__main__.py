"""`python -m monitoring`: watches the machine and the server under test, in a process of its own.

psutil takes milliseconds a reading, which in the load generator would delay requests. One JSON line on
standard output says that sampling has begun, a last one what it came to. Ends on SIGTERM, SIGINT, or, with
`--exit-with-parent`, at the end of standard input.
"""

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from monitoring.host import HostProbe
from monitoring.lookup import ByName, ByPid, ByPort, Lookup
from monitoring.process import TargetProbe
from monitoring.sampler import Probe, Sampler, segment_path
from samples.journal import Event, EventKind, Journal
from samples.segments import READING_SCHEMA, SegmentWriter, leave_pandas_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the monitor; return 0, or 1 when the disk refused readings. Wrong usage exits with 2."""
    options = _options(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.exit_with_parent:
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()

    def clock() -> float:
        return time.monotonic() - options.origin

    journal = Journal(options.folder)
    target = TargetProbe(options.lookup, clock, journal) if options.lookup is not None else None
    probes: list[Probe] = [HostProbe(clock)] if options.host else []
    probes += [target] if target is not None else []
    leave_pandas_out()
    writer = SegmentWriter(segment_path(options.folder), READING_SCHEMA)
    sampler = Sampler(probes, writer, options.interval, clock, stop.wait)
    sampler.sample()
    _say(
        ready=True,
        pid=os.getpid(),
        file=writer.path.name,
        target_pid=target.pid if target is not None else None,
    )
    sampler.run()
    cores = sampler.cpu_cores()
    if sampler.write_errors:
        text = f"the monitor could not write to {writer.path.name} {sampler.write_errors} times"
        journal.add(Event(clock(), EventKind.WARNING, text, "monitor"))
    _say(
        stopped=True,
        readings=sampler.readings,
        write_errors=sampler.write_errors,
        monitor_cpu_cores=round(cores, 4),
    )
    return 1 if sampler.write_errors else 0


def _say(**fields: object) -> None:
    try:
        print(json.dumps(fields), flush=True)
    except OSError:
        # Whoever read it has gone; the readings are on disk. A later flush at exit must not fail again.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # os.read and not sys.stdin: a thread that is inside the latter's lock makes the interpreter's end fail.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stop.set()


class _Options(argparse.Namespace):
    folder: Path
    origin: float
    interval: float
    host: bool
    exit_with_parent: bool
    lookup: Lookup | None


def _options(arguments: Sequence[str] | None) -> _Options:
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__, allow_abbrev=False)
    parser.add_argument("--folder", type=_folder, required=True, help="the run's folder")
    parser.add_argument(
        "--origin", type=_number, required=True, help="time.monotonic() at the run's second 0; may lie ahead"
    )
    parser.add_argument("--interval", type=_interval, default=1.0, help="seconds between readings (default: 1)")
    parser.add_argument("--host", action="store_true", help="watch the machine")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--target-pid", dest="lookup", type=_by_pid, metavar="N", help="watch this process")
    which.add_argument("--target-port", dest="lookup", type=_by_port, metavar="N", help="... the one that listens")
    which.add_argument("--target-name", dest="lookup", type=_by_name, metavar="TEXT", help="... the one called so")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    options = parser.parse_args(arguments, namespace=_Options())
    if not options.host and options.lookup is None:
        parser.error("there is nothing to watch: give --host, or one of --target-pid, --target-port, --target-name")
    return options


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder that exists, got '{text}'")
    if not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"must be a folder that can be written to, got '{text}'")
    return path


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, got '{text}'")
    return value


def _interval(text: str) -> float:
    value = _number(text)
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be from 0.05 to 3600 seconds, got '{text}'")
    return value


def _whole(text: str, highest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= highest:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {highest}, got '{text}'")
    return value


def _by_pid(text: str) -> ByPid:
    return ByPid(_whole(text, 2**31 - 1))


def _by_port(text: str) -> ByPort:
    return ByPort(_whole(text, 65535))


def _by_name(text: str) -> ByName:
    if not text.strip():
        raise argparse.ArgumentTypeError("must be the name of a process, got an empty text")
    return ByName(text)


if __name__ == "__main__":
    sys.exit(main())
