"""What a process keeps of what it sends until the other end says that it has it, in order, each thing once.

The outbox sends parcels in order and keeps them until they are acknowledged. What is not acknowledged in time is sent
again, from the first such parcel on. The inbox takes the next one in order and no other. So a parcel that was lost,
doubled or overtaken on the way changes nothing but the time.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ParcelKind(StrEnum):
    """What is in a parcel."""

    SAMPLES = "samples"
    READINGS = "readings"
    FILE = "file"
    """A file of the run folder; `name` is its name."""
    END = "end"
    """The last one: the sender's own counts."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing that is sent. `rows` are records in it; `settled_s` is up to when the sender's record is whole."""

    number: int
    kind: ParcelKind
    data: bytes
    rows: int = 0
    name: str = ""
    settled_s: float = 0.0


@dataclass(slots=True)
class _Kept:
    """A parcel that is not acknowledged; its data is in memory, or in the spool from a place on."""

    parcel: Parcel
    size: int
    place: int | None = None


class Outbox:
    """Sends parcels, and keeps them until they are acknowledged: in memory up to a limit, beyond it in a file.

    `send` may raise OSError: it is tried again. `put` may be called in a thread, one call at a time, everything else in
    one thread; each count has one writer.
    """

    def __init__(
        self,
        send: Callable[[Parcel], None],
        spool: Path,
        *,
        memory: int = 64 * 2**20,
        window: int = 16,
        patience_s: float = 3.0,
    ) -> None:
        """Keep at most `memory` bytes outside the file `spool`, and `window` parcels on the way at once.

        After `patience_s` without a word of the other end everything on the way is sent again.
        """
        self._send, self._spool, self._memory, self._window, self._patience = send, spool, memory, window, patience_s
        self._kept: deque[_Kept] = deque()
        self._next = 0
        self._on_the_way = 0
        self._heard = 0.0
        self._bytes_put = self._bytes_gone = 0
        self._spooled_gone = 0
        self.spooled = 0
        """Parcels that went through the file."""

    @property
    def in_memory(self) -> int:
        """Bytes of parcels in memory."""
        return self._bytes_put - self._bytes_gone

    def put(self, kind: ParcelKind, data: bytes, rows: int = 0, name: str = "", settled_s: float = 0.0) -> None:
        """Take something to be sent. Raises OSError when there is no place for it, neither in memory nor on disk."""
        place = self._to_disk(data) if self.in_memory + len(data) > self._memory else None
        if place is None:
            self._bytes_put += len(data)
        else:
            self.spooled += 1
        parcel = Parcel(self._next, kind, data if place is None else b"", rows, name, settled_s)
        self._next += 1
        self._kept.append(_Kept(parcel, len(data), place))

    def _to_disk(self, data: bytes) -> int:
        # Begun anew as soon as nothing in it is wanted any more.
        with self._spool.open("ab" if self.spooled > self._spooled_gone else "wb") as file:
            place = file.tell()
            file.write(data)
        return place

    def acknowledge(self, below: int, now: float) -> None:
        """The other end has every parcel with a number below `below`; `now` is any clock's, the same as for `pump`."""
        self._heard = now
        while self._kept and self._kept[0].parcel.number < below:
            kept = self._kept.popleft()
            self._on_the_way = max(self._on_the_way - 1, 0)
            if kept.place is None:
                self._bytes_gone += kept.size
            else:
                self._spooled_gone += 1

    def pump(self, now: float) -> None:
        """Send what may be sent, and again what has been on the way for too long."""
        if self._on_the_way and now - self._heard > self._patience:
            self._on_the_way, self._heard = 0, now
        while self._on_the_way < min(self._window, len(self._kept)):
            if not self._on_the_way:
                self._heard = now
            try:
                self._send(self._whole(self._kept[self._on_the_way]))
            except OSError:
                return
            self._on_the_way += 1

    def _whole(self, kept: _Kept) -> Parcel:
        parcel = kept.parcel
        if kept.place is None:
            return parcel
        with self._spool.open("rb") as file:
            file.seek(kept.place)
            data = file.read(kept.size)
        return Parcel(parcel.number, parcel.kind, data, parcel.rows, parcel.name, parcel.settled_s)

    @property
    def waiting(self) -> int:
        """Parcels that are not acknowledged."""
        return len(self._kept)

    def close(self) -> None:
        """Remove the file."""
        self._spool.unlink(missing_ok=True)


class Inbox:
    """The other end: tells which parcel is the next one."""

    def __init__(self) -> None:
        self.expected = 0
        """Number of the next parcel; all before it are here, which is what to acknowledge."""

    def takes(self, parcel: Parcel) -> bool:
        """Return True for the next parcel in order, which then is here; False for one that came too early or twice."""
        if parcel.number != self.expected:
            return False
        self.expected += 1
        return True
