"""The rows of a recording in columns: 16 bytes a row, and 8 more per block of a prompt."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_SECOND = 10**9


class TraceError(ValueError):
    """A recording that cannot be used; the text names file, line, field and value, one problem a line."""


class RowError(ValueError):
    """A row that cannot be used; the text names field and value."""


class Request(NamedTuple):
    """A request to a web server."""

    method: str
    path: str
    status: int


class Row(NamedTuple):
    """One recorded request. `ns` is its time in nanoseconds, from whatever moment the file counts from."""

    ns: int
    input_tokens: int = 0
    output_tokens: int = 0
    """0 when it is not known."""
    blocks: Sequence[int] = ()
    """Ids of the blocks of the prompt: the same id stands for the same text."""
    request: Request | None = None


@dataclass(slots=True, eq=False)
class Trace:
    """All rows of a file in the order of their times."""

    ns: "array[int]" = field(default_factory=lambda: array("q"))
    """From the first row on."""
    input_tokens: "array[int]" = field(default_factory=lambda: array("i"))
    output_tokens: "array[int]" = field(default_factory=lambda: array("i"))
    blocks: "array[int]" = field(default_factory=lambda: array("q"))
    block_ends: "array[int]" = field(default_factory=lambda: array("q"))
    requests: list[Request] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was done with the rows, for the reader of a report."""

    def __len__(self) -> int:
        return len(self.ns)

    def add(self, row: Row) -> None:
        """Append a row."""
        self.ns.append(row.ns)
        if row.request is not None:
            self.requests.append(row.request)
            return
        self.input_tokens.append(row.input_tokens)
        self.output_tokens.append(row.output_tokens)
        if row.blocks or self.block_ends:
            # Files have blocks in every row or in none; a file that begins without has them from here on.
            missing = len(self.ns) - 1 - len(self.block_ends)
            self.block_ends.extend([0] * missing)
            self.blocks.extend(row.blocks)
            self.block_ends.append(len(self.blocks))

    def blocks_of(self, row: int) -> Sequence[int]:
        """Return the ids of a row's blocks."""
        if not self.block_ends:
            return ()
        return self.blocks[self.block_ends[row - 1] if row else 0 : self.block_ends[row]]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows that are replayed: `count` of them from `first` on, at `speed` times the recorded pace."""

    trace: Trace
    first: int
    count: int
    seconds: "array[float]"
    """When each of them comes, from the begin of the replay on."""
    notes: tuple[str, ...]
    """What the reader of a report on this replay must know."""

    @property
    def duration(self) -> float:
        """The whole seconds that hold all of it."""
        return float(int(self.seconds[-1]) + 1)


def part(trace: Trace, offset: float, limit: int | None, speed: float, spread: bool) -> Part:
    """Return the part that begins `offset` recorded seconds after the first row. Raises ValueError for none."""
    begin = round(offset * _SECOND)
    first = bisect_left(trace.ns, begin)
    count = len(trace) - first if limit is None else min(limit, len(trace) - first)
    if count <= 0:
        raise ValueError(f"must lie before the last row, which comes at {trace.ns[-1] / _SECOND:g} s, got {offset:g} s")
    recorded, notes = trace.ns[first : first + count], trace.notes
    if spread:
        recorded = _spread(recorded)
    elif (crowd := _crowd(recorded)) > 1:
        notes = [*notes, f"times are whole seconds: up to {crowd} requests begin at once (trace.spread divides them)"]
    # Whole nanoseconds are subtracted before anything is rounded: a double holds 100 ns for thirty years.
    seconds = array("d", ((ns - begin) / (_SECOND * speed) for ns in recorded))
    return Part(trace, first, count, seconds, tuple(notes))


def _spread(recorded: "array[int]") -> "array[int]":
    """Return the times with those of the same whole second divided evenly over it, in their order."""
    result, begin = array("q"), 0
    while begin < len(recorded):
        second = recorded[begin] // _SECOND * _SECOND
        end = bisect_left(recorded, second + _SECOND, begin)
        result.extend(second + (2 * k + 1) * _SECOND // (2 * (end - begin)) for k in range(end - begin))
        begin = end
    return result


def _crowd(times: "array[int]") -> int:
    """Return how many rows share a moment at most, when all moments are whole seconds; else 0."""
    most = run = 0
    last = None
    for ns in times:
        if ns % 10**9:
            return 0
        run = run + 1 if ns == last else 1
        last, most = ns, max(most, run)
    return most
