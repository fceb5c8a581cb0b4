"""When bytes arrived: the kernel notes it for each packet, however long the reading process lets them lie."""

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time

Reader = Callable[[int], tuple[bytes, float]]
"""Reads up to so many bytes without waiting, and returns them with `time.monotonic()` of their arrival.

At the end of a connection there are none. Raises OSError, of which BlockingIOError says that there is nothing to read.
"""

KERNEL_STAMPS = sys.platform == "linux"
"""Whether the kernel is asked for stamps."""
_SO_TIMESTAMPNS = 35
"""Linux's number of the option, which has no name in Python's module."""
_ROOM = 64
_moment_of = struct.Struct("@ll").unpack_from
_OLDEST_S = 1.0
"""What is said to lie here for longer is not believed: the wall clock was set meanwhile."""


def reader(sock: socket.socket) -> Reader:
    """Return what reads a connected socket that does not block.

    The stamp is that of the last packet that was read. Where the kernel gives none (a Unix socket, another system), it
    is the moment at which the read was over. No stamp is earlier than the one before.
    """
    if KERNEL_STAMPS:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    if not hasattr(sock, "recvmsg"):
        return _unnoted(sock)
    receive, latest = sock.recvmsg, 0.0

    def read(size: int) -> tuple[bytes, float]:
        nonlocal latest
        data, notes, _, _ = receive(size, _ROOM)
        if notes:
            # The kernel's stamps are of the wall clock: how long ago that was is the same on both. A process that is
            # held up between the two looks at a clock makes the stamp later, as without the kernel, and never earlier.
            seconds, nanoseconds = _moment_of(notes[0][2])
            ago = time() - seconds - nanoseconds * 1e-9
            now = monotonic()
            if 0 <= ago < _OLDEST_S:
                now -= ago
        else:
            now = monotonic()
        if now > latest:  # noqa: PLR1730 - a call of max() costs as much as the stamp
            latest = now
        return data, latest

    return read


def _unnoted(sock: socket.socket) -> Reader:
    """Return the same for a system that has no `recvmsg`."""
    receive = sock.recv

    def read(size: int) -> tuple[bytes, float]:
        data = receive(size)
        return data, monotonic()

    return read
