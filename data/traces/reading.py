"""Reading a recording: every format in one way, line by line, with the first problems by line, field and value."""

import csv
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from data.traces import access_log, llm
from data.traces.access_log import SAFE_METHODS
from data.traces.trace import Part, Row, RowError, Trace, TraceError, part

MOONCAKE, AZURE, BURSTGPT, ACCESS_LOG = "mooncake", "azure", "burstgpt", "access-log"
FORMATS = (MOONCAKE, AZURE, BURSTGPT, ACCESS_LOG)

_Given = TypeVar("_Given")
_MOST_PROBLEMS = 5
_CSV = {AZURE: llm.azure, BURSTGPT: llm.burstgpt}
_LINES: dict[str, Callable[[str], Row | None]] = {MOONCAKE: llm.mooncake, ACCESS_LOG: access_log.parse}


def replay(
    path: Path,
    form: str,
    *,
    offset: float = 0.0,
    limit: int | None = None,
    speed: float = 1.0,
    spread: bool = False,
    methods: tuple[str, ...] = SAFE_METHODS,
) -> Part:
    """Return the part of a recording that is replayed; the file is read once, until it changes.

    Raises TraceError for a file that cannot be used, ValueError for an offset behind its end.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror}") from None
    trace = _read(path, form, methods if form == ACCESS_LOG else (), (state.st_mtime_ns, state.st_size))
    return _part(trace, offset, limit, speed, spread)


@lru_cache(maxsize=4)
def _read(path: Path, form: str, methods: tuple[str, ...], _state: tuple[int, int]) -> Trace:
    return read(path, form, methods)


_part = lru_cache(maxsize=8)(part)


def read(path: Path, form: str, methods: tuple[str, ...] = SAFE_METHODS) -> Trace:
    """Return all rows of a file; of a log, those with one of the methods. Raises TraceError with the first problems."""
    trace, problems = Trace(), list[str]()
    skipped = dict[str, int]()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, found in _rows(file, form):
                if isinstance(found, RowError):
                    problems.append(f"{path}: line {line}: {found}")
                elif found is None or (found.request is not None and found.request.method not in methods):
                    kind = "no request of HTTP" if found is None or found.request is None else found.request.method
                    skipped[kind] = skipped.get(kind, 0) + 1
                elif form != ACCESS_LOG and len(trace) and found.ns < trace.ns[-1]:
                    problems.append(f"{path}: line {line}: {_before(trace.ns[-1] - found.ns)}")
                else:
                    trace.add(found)
                if len(problems) == _MOST_PROBLEMS:
                    break
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: is not text in UTF-8") from None
    except csv.Error as error:
        raise TraceError(f"{path}: is not CSV: {error}") from None
    if problems:
        raise TraceError("\n".join(problems))
    if not len(trace):
        left = f"; left out: {_counted(skipped)}" if skipped else ""
        raise TraceError(f"{path}: must hold at least one request, got none{left}")
    _complete(trace, form, skipped)
    return trace


def _rows(file: Iterable[str], form: str) -> Iterator[tuple[int, Row | RowError | None]]:
    """Yield the line and the row, or what is wrong with it."""
    if form in _LINES:
        parse_line = _LINES[form]
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield line, _or_error(parse_line, text.rstrip("\r\n"))
        return
    reader = csv.reader(file)
    try:
        parse = _CSV[form](next(reader, []))
    except RowError as error:
        yield 1, error
        return
    for cells in reader:
        if cells:
            yield reader.line_num, _or_error(parse, cells)


def _or_error(parse: Callable[[_Given], Row | None], given: _Given) -> Row | RowError | None:
    try:
        return parse(given)
    except RowError as error:
        return error


def _before(ns: int) -> str:
    return f"must not be earlier than the row above it, and is by {ns / 1e9:.9g} s: sort the file by time"


def _complete(trace: Trace, form: str, skipped: dict[str, int]) -> None:
    """Put the times on the first row, and say what was done with the rows."""
    if form == ACCESS_LOG:
        # A server writes a line when it has answered, and in it the time at which the request came.
        order = sorted(range(len(trace)), key=trace.ns.__getitem__)
        trace.ns = array("q", (trace.ns[row] for row in order))
        trace.requests = [trace.requests[row] for row in order]
    begin = trace.ns[0]
    trace.ns = array("q", (ns - begin for ns in trace.ns))
    if skipped:
        trace.notes.append(f"{_counted(skipped)} of {len(trace) + sum(skipped.values())} rows are left out")
    if form == BURSTGPT and (failed := trace.output_tokens.count(0)):
        trace.notes.append(f"{failed} of {len(trace)} recorded requests failed: the plan's max_tokens is asked")


def _counted(skipped: dict[str, int]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(skipped.items()))
