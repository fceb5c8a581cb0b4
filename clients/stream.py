"""Bytes in both directions over a connection that has left HTTP, each with the moment of its arrival."""

from collections import deque
from contextlib import suppress
from typing import Any

import gevent

from clients.connection import Connection
from clients.errors import ConnectionLost, reason

_READ_SIZE = 65536
_MOST_UNREAD = 2**20
"""Beyond it the socket is left alone until its user has read: a server must not fill the memory."""


class Stream:
    """A connection, read inside the event loop.

    The event loop takes what lies in all sockets in one pass, and stamps it; only after that pass does the first
    reader look at any of it. So the stamp of one stream has nothing of the work that the others' messages make.
    One greenlet at a time reads and writes.
    """

    __slots__ = ("_connection", "_hub", "_is_listening", "_unread", "_unread_size", "_waiting", "_why")

    def __init__(self, connection: Connection) -> None:
        """Take over a connection that nobody else uses any more."""
        self._connection, self._hub = connection, gevent.get_hub()
        self._unread: deque[tuple[float, bytes]] = deque()
        self._unread_size = 0
        self._why: str | None = None
        self._waiting: Any = None
        self._is_listening = False
        self._listen()

    def read(self, timeout: float | None) -> tuple[float, bytes] | None:
        """Return (moment, bytes) of what came next, None when `timeout` seconds pass without.

        Raises ConnectionLost when the server has closed, and everything was read that came before.
        """
        if not self._unread and self._why is None:
            self._await(timeout)
        if self._unread:
            moment, data = self._unread.popleft()
            self._unread_size -= len(data)
            self._listen()
            return moment, data
        if self._why is not None:
            raise ConnectionLost(self._why)
        return None

    def write(self, data: bytes, timeout: float) -> None:
        """Send all of it. Raises ConnectionLost, also when the server has not read it within `timeout` seconds."""
        if self._why is not None:
            raise ConnectionLost(self._why)
        try:
            rest = memoryview(self._connection.wire_form(data))
            if rest := rest[self._connection.send_now(rest) :]:
                self._write_slowly(rest, timeout)
        except OSError as error:
            raise ConnectionLost(reason(error)) from None

    def close(self, last: bytes = b"") -> None:
        """Close, after an attempt to send what the socket has room for at once."""
        with suppress(OSError):
            self._connection.send_now(memoryview(self._connection.wire_form(last)))
        self._connection.close()

    def _write_slowly(self, rest: memoryview, timeout: float) -> None:
        with gevent.Timeout(timeout, ConnectionLost(f"the server read nothing for {timeout:g} s")):
            while rest := rest[self._connection.send_now(rest) :]:
                self._connection.await_room()

    def _listen(self) -> None:
        if not self._is_listening and self._why is None and self._unread_size < _MOST_UNREAD:
            self._is_listening = True
            self._connection.listen(self._on_readable)

    def _pause(self) -> None:
        self._is_listening = False
        self._connection.pause()

    def _on_readable(self) -> None:
        try:
            data, moment = self._connection.receive(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            data, moment, self._why = b"", 0.0, reason(error)
        if data:
            self._unread.append((moment, data))
            self._unread_size += len(data)
        else:
            self._why = self._why or "closed without a word"
        if not data or self._unread_size >= _MOST_UNREAD:
            self._pause()
        if self._waiting is not None:
            # Not at once: first every socket that has something is read and stamped.
            self._hub.loop.run_callback(self._on_wake)

    def _await(self, timeout: float | None) -> None:
        self._waiting = gevent.getcurrent()
        timer = None if timeout is None else self._hub.loop.timer(max(timeout, 0.0))
        try:
            if timer is not None:
                timer.start(self._on_wake)
            self._hub.switch()
        finally:
            self._waiting = None
            if timer is not None:
                timer.close()

    def _on_wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:  # else the timer and the bytes came together, and one of them was enough
            waiting.switch()
