"""`python -m monitoring`: watches the machine and the server under test, in a process of its own.

psutil takes milliseconds a reading, which in the load generator would delay requests. JSON lines on standard output
say that it is up (when the run's origin is still to come, as a line of standard input), that sampling has begun, what
was seen before the run's second 0, and at last what sampling came to. Ends on SIGTERM, SIGINT, or, with
`--exit-with-parent`, at the end of standard input.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from monitoring.aside import Aside
from monitoring.gpu import GpuWatch
from monitoring.host import HostProbe
from monitoring.options import Options, parse
from monitoring.pages import Unreadable
from monitoring.process import TargetProbe
from monitoring.prometheus import PageWatch
from monitoring.remote import Quantity, RemoteWatch, quantities
from monitoring.sampler import Probe, Sampler, segment_path
from samples.journal import Event, EventKind, Journal
from samples.segments import READING_SCHEMA, SegmentWriter, keep_arrow_small

_BEFORE_S = 0.15
"""The last reading before the load is taken so long before the run's second 0."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the monitor; return 0, or 1 when the disk refused readings. Wrong usage exits with 2."""
    options = parse(arguments, __doc__)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep_arrow_small()
    origin = options.origin
    if origin is None:
        _say(up=True)
        origin = _origin_from_input()
        if origin is None:
            return 0
    if options.exit_with_parent:
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()

    def clock() -> float:
        return time.monotonic() - origin

    journal = Journal(options.folder)

    def note(text: str) -> None:
        journal.add(Event(clock(), EventKind.WARNING, text, "monitor"))

    target = TargetProbe(options.lookup, clock, journal) if options.lookup is not None else None
    probes: list[Probe] = [HostProbe(clock)] if options.host else []
    probes += [target] if target is not None else []
    asides, missing = _asides(options, clock, note)
    for aside in asides:
        aside.start()
    writer = SegmentWriter(segment_path(options.folder), READING_SCHEMA)
    sampler = Sampler(probes, writer, options.interval, clock, stop.wait, asides)
    sampler.sample()
    target_pid = target.pid if target is not None else None
    _say(ready=True, pid=os.getpid(), file=writer.name, target_pid=target_pid, missing=missing)
    if not stop.wait(max(0.0, -_BEFORE_S - clock())):
        if clock() < 0:
            sampler.sample()
        _say(before={f"{source}.{metric}": value for (source, metric), value in sampler.latest.items()})
        sampler.run()
    cores = sampler.cpu_cores()
    if sampler.write_errors:
        note(f"the monitor could not write to {writer.name} {sampler.write_errors} times")
    _say(
        stopped=True,
        readings=sampler.readings,
        write_errors=sampler.write_errors,
        monitor_cpu_cores=round(cores, 4),
    )
    return 1 if sampler.write_errors else 0


def _asides(options: Options, clock: Callable[[], float], note: Callable[[str], None]) -> tuple[list[Aside], list[str]]:
    """Return the readers of everything that may be slow, and what there is not to be read."""
    asides, missing = [], []
    if options.page is not None:
        page = PageWatch(options.page, _secret(options.page_token), process=options.page_process)
        asides.append(Aside(page, options.interval, clock, note))
    if url := _secret(options.database):
        from monitoring.postgres import PostgresWatch  # noqa: PLC0415 - its driver takes 8 MB beside every other load

        asides.append(Aside(PostgresWatch(url), options.interval, clock, note))
    if options.prometheus is not None:
        wanted = [Quantity(*pair) for pair in options.query]
        if options.preset is not None:
            wanted = quantities(options.preset, options.selector, options.scraped_every)
        # A preset knows a sample that it has seen, and looks often to see the next one soon.
        often = options.scraped_every if options.query else max(options.interval, options.scraped_every / 4)
        asides += [Aside(RemoteWatch(options.prometheus, one), often, clock, note) for one in wanted]
    if options.gpu:
        try:
            asides.append(Aside(GpuWatch(), options.interval, clock, note))
        except Unreadable as problem:
            missing.append(str(problem))
    return asides, missing


def _secret(variable: str | None) -> str:
    return os.environ.get(variable, "") if variable else ""


def _origin_from_input() -> float | None:
    """Return the number in the first line of standard input; None when it ends before."""
    line = b""
    while not line.endswith(b"\n"):
        # One byte at a time: what follows the line belongs to the thread that waits for the end.
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    return float(line)


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


if __name__ == "__main__":
    sys.exit(main())
