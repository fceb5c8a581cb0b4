"""One connection, and the waiting for it.

A plain gevent socket costs a failed `recv`, a watcher's start and its stop (two `epoll_ctl`) for every wait. Here one
watcher stays for the life of the connection: while a response is awaited it switches to the greenlet that waits, and
in between it finds out that the server has closed, so that no request has to look first.
"""

import math
import ssl
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from time import monotonic
from typing import Any

import gevent
from gevent.socket import SHUT_RD

from clients.arrival import reader
from clients.batches import watcher
from clients.errors import TimedOut
from clients.incoming import Incoming
from clients.options import Options

_READ, _WRITE = 1, 2
_READ_SIZE = 65536
_TLS_PIECE = 262_144
_CONTINUE_S = 1.0
"""How long a body that is held back waits for the server's word: some never give it."""
_TRUSTED_S = 1.0
"""A connection that rested for longer is looked at before its use: the event loop may not have turned since the server
closed it, and no server is known to close sooner."""


class Connection:
    """A connected socket on which one exchange at a time is made."""

    __slots__ = (
        "_armed",
        "_end",
        "_error",
        "_first_byte_timeout",
        "_hub",
        "_idle",
        "_idle_timeout",
        "_is_paced",
        "_parked",
        "_reading",
        "_send",
        "_sock",
        "_timer",
        "_waiting",
        "_watcher",
        "deadline",
        "incoming",
        "receive",
        "stale",
    )

    def __init__(self, sock: Any, options: Options) -> None:
        """Take over a connected gevent socket."""
        self._hub = gevent.get_hub()
        self._sock = sock
        self._send: Callable[[bytes | memoryview], int] = sock._sock.send
        self.receive = reader(sock._sock)
        self.incoming = Incoming(options.limits)
        self.stale = False
        self._first_byte_timeout, self._idle_timeout = options.first_byte_timeout, options.idle_timeout
        self._is_paced = self._first_byte_timeout is not None or self._idle_timeout is not None
        self.deadline = self._armed = self._end = math.inf
        self._timer: Any = None
        self._error: Exception | None = None
        self._waiting: Any = None
        self._parked = False  # True while the waiting greenlet is in this object's own wait, and may be switched to
        self._idle, self._reading = self._while_idle, self._on_readable
        self._watcher = watcher(self._hub.loop, sock.fileno(), together=options.together)
        self._watcher.start(self._idle)

    def close(self) -> None:
        """Close the socket and free what waits for it."""
        self.release().close()

    def release(self) -> Any:
        """Return the socket, which this object has nothing more to do with."""
        self._watcher.close()
        if self._timer is not None:
            self._timer.close()
        self.incoming.close()
        del self._idle, self._reading, self.receive  # they hold this object, as methods do
        return self._sock

    # -- another protocol than HTTP -------------------------------------------------------------------------------

    def listen(self, on_readable: Callable[[], None]) -> None:
        """Leave the reading to another protocol: it is called in the event loop when there may be bytes to receive."""
        self._watcher.start(on_readable)

    def pause(self) -> None:
        """Call nobody until the next `listen`."""
        self._watcher.stop()

    def send_now(self, data: memoryview) -> int:
        """Send what the socket has room for and return how much that was. Raises OSError."""
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def await_room(self) -> None:
        """Let the others run until the socket has room."""
        with closing(self._hub.loop.io(self._sock.fileno(), _WRITE)) as writable:
            self._hub.wait(writable)

    def wire_form(self, data: bytes) -> bytes:
        """Return the bytes that stand for `data` on the wire."""
        return data

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def is_usable(self, now: float) -> bool:
        """Return False when the server has closed the connection, or spoken on it unasked, since the last response."""
        if not self.stale and now - self.incoming.now > _TRUSTED_S:
            self._while_idle()
        return not self.stale

    def _while_idle(self) -> None:
        try:
            self.receive(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            pass
        self.stale = True
        self._watcher.stop()  # what nobody reads would call again and again

    # -- one exchange ---------------------------------------------------------------------------------------------

    def exchange(self, data: bytes, deadline: float = math.inf, more: Iterable[bytes] = (), hold: bool = False) -> None:
        """Send a request and read until `incoming` is complete or the server has closed. Raises what goes wrong.

        `more` is what is sent after `data`; with `hold` not before the server says so (100 Continue), or is silent.
        """
        self._waiting, self._end = gevent.getcurrent(), deadline
        self.limit(deadline)
        incoming = self.incoming
        was_used = incoming.used
        self._watcher.callback = self._reading
        try:
            self._send_all(data)
            if more:
                self._send_more(more, hold)
            incoming.response.written = monotonic()
        except OSError:
            # A server may refuse a request, say why and close before it has read it. On a connection that was used
            # before, what lies there to be read would be no answer to this request.
            if was_used and not incoming.complete:
                raise
            self.stale = True
        if self._first_byte_timeout is not None and not self.incoming.response.first_byte:
            self.limit(min(deadline, monotonic() + self._first_byte_timeout))
        self._parked = True
        while not incoming.complete and self._error is None:
            self._hub.switch()
        self._parked = False
        self.deadline = math.inf
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _send_more(self, more: Iterable[bytes], hold: bool) -> None:
        """Send the pieces of a body, until there are no more or the answer has come without them."""
        if hold:
            self._parked = True
            with gevent.Timeout(_CONTINUE_S, False):
                while not (self._is_answered() or self.incoming.continued):
                    self._hub.switch()
            self._parked = False
        for piece in more:
            if self._is_answered():
                self.stale = True  # the server still waits for the rest of the body
                return
            self._send_all(piece)

    def _is_answered(self) -> bool:
        return self.incoming.complete or self._error is not None

    def _send_all(self, data: bytes) -> None:
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        """Send what the socket had no room for, and read meanwhile: a server may answer before it has everything."""
        writable = self._hub.loop.io(self._sock.fileno(), _WRITE)
        writable.start(self._waiting.switch)
        self._parked = True
        try:
            while rest and not self._is_answered():
                self._hub.switch()  # before each piece: a large upload must not keep everybody else waiting
                if not self._is_answered():
                    with suppress(BlockingIOError):
                        rest = rest[self._send(rest) :]
        finally:
            self._parked = False
            writable.close()
        if rest:
            self.stale = True

    def _on_readable(self) -> None:
        """Take what has arrived, still inside the event loop: the greenlet is woken once, for the whole response."""
        incoming = self.incoming
        try:
            data, moment = self.receive(_READ_SIZE)
            if data:
                incoming.feed(data, moment)
            else:
                incoming.end(moment)
        except BlockingIOError:
            return
        except Exception as error:
            self._error = error
            self._watcher.stop()
        if incoming.complete:
            self._watcher.callback = self._idle
        elif self._error is None:
            if self._is_paced:
                self._allow_pause()
            if not incoming.continued:
                return
        if self._parked:
            self._waiting.switch()

    def _allow_pause(self) -> None:
        pause = self._idle_timeout
        self.limit(self._end if pause is None else min(self._end, self.incoming.now + pause))

    # -- time -----------------------------------------------------------------------------------------------------

    def limit(self, deadline: float) -> None:
        """Raise TimedOut in the waiting greenlet at `deadline`.

        The timer of an earlier exchange serves the later ones: when it fires it is set again to what then holds.
        """
        self.deadline = deadline
        if deadline < self._armed:
            self._arm(deadline)

    def _arm(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.close()
        self._armed = moment
        self._timer = self._hub.loop.timer(max(moment - monotonic(), 0), ref=False)
        self._timer.start(self._on_time)

    def _on_time(self) -> None:
        self._armed = math.inf
        if self.deadline == math.inf:
            return
        if self.deadline > monotonic():
            self._arm(self.deadline)
        else:
            self._waiting.throw(TimedOut(""))


class TlsConnection(Connection):
    """A connection under TLS. The session works on buffers, so that all the waiting stays in one place."""

    __slots__ = ("_from_server", "_read", "_session", "_to_server")

    def __init__(self, sock: Any, context: ssl.SSLContext, server_name: str, options: Options) -> None:
        self._from_server, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._read = reader(sock._sock)
        self._session = context.wrap_bio(self._from_server, self._to_server, server_hostname=server_name)
        super().__init__(sock, options)
        self.receive = self._receive

    def shake_hands(self) -> None:
        """Agree with the server on keys. Raises OSError, of which a certificate that is not trusted is one."""
        self._waiting = gevent.getcurrent()
        self._watcher.stop()  # no batch: a handshake's time is not that of a kernel's stamp
        with closing(self._hub.loop.io(self._sock.fileno(), _READ)) as readable:
            while True:
                try:
                    self._session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                self._hub.wait(readable)
                with suppress(BlockingIOError):
                    self._fill(_READ_SIZE)
        self._flush()
        self._watcher.start(self._idle)

    def wire_form(self, data: bytes) -> bytes:
        """Return the bytes that stand for `data` on the wire."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._session.write(rest) :]
        return self._to_server.read()

    def _fill(self, size: int) -> float:
        """Give the session what has arrived; return when that was."""
        data, moment = self._read(size)
        if data:
            self._from_server.write(data)
        else:
            self._from_server.write_eof()
        return moment

    def _flush(self) -> None:
        super()._send_all(self._to_server.read())

    def _send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._session.write(rest[:_TLS_PIECE]) :]
            self._flush()
            if self._is_answered():
                self.stale = self.stale or bool(rest)
                break

    def _receive(self, size: int) -> tuple[bytes, float]:
        moment = self._fill(size)
        pieces: list[bytes] = []
        try:
            while piece := self._session.read(size):
                pieces.append(piece)
            if pieces:
                self._sock.shutdown(SHUT_RD)  # the session is over: makes the next read see the end at once
        except ssl.SSLWantReadError:
            if not pieces:
                raise BlockingIOError from None
        except ssl.SSLEOFError:
            if not pieces:
                raise
        return b"".join(pieces), moment
