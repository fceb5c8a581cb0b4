"""A WebSocket connection with stamps: wsproto speaks the protocol, over the connections of the HTTP client."""

from contextlib import suppress
from time import monotonic
from typing import NamedTuple

import gevent
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.events import Pong as PongFrame
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from clients.address import Address
from clients.deflate import Deflate
from clients.dial import dial, proxy_for
from clients.errors import BadResponse, ClientError, ConnectFailed, ConnectionLost, TimedOut, TooLong, reason
from clients.options import Options
from clients.response import Response
from clients.stream import Stream
from clients.tls import client_context

_USUAL = Options()


class Message(NamedTuple):
    """A whole message; `stamp` is the moment (`time.monotonic()`) at which its last byte was read from the socket."""

    stamp: float
    text: str


class Pong(NamedTuple):
    """The answer to a ping, with what the ping carried."""

    stamp: float
    payload: bytes


class Connection:
    """An open WebSocket.

    `began`, `opened`: `time.monotonic()` before TCP and after the upgrade; `connect_ms` is what lies between them,
    `dns_ms` and `tls_ms` are parts of it.
    `status` is the close code of the server, once it has closed with one. `is_compressed` when the server has agreed
    to permessage-deflate, which it is asked for by `options.compression`.
    """

    def __init__(
        self, base_url: str, path: str, headers: dict[str, str], timeout: float, options: Options = _USUAL
    ) -> None:
        """Connect. Raises ConnectFailed, TimedOut, or BadResponse: with the status when the upgrade is refused."""
        self.status: int | None = None
        self.dns_ms: float | None = None
        self.tls_ms: float | None = None
        self.is_compressed = False
        self._timeout = timeout
        self._longest = options.limits.body_bytes
        self._over: ClientError | None = None
        self._stamp = 0.0
        self._text: list[str] = []
        self._binary = bytearray()
        self._size = 0
        self._stream: Stream | None = None
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self.began = monotonic()
        try:
            with gevent.Timeout(timeout, TimedOut(f"no connection within {timeout:g} s", self.began)):
                self._connect(base_url, path, headers, options)
        except BaseException as error:
            self.close()
            if isinstance(error, ConnectionLost | OSError | UnicodeError | ValueError | LocalProtocolError):
                raise ConnectFailed(reason(error), self.began) from None
            if isinstance(error, RemoteProtocolError):
                raise BadResponse(f"the upgrade was answered wrongly: {error}", self.began) from None
            raise
        self.opened = monotonic()
        self.connect_ms = (self.opened - self.began) * 1000

    def _connect(self, base_url: str, path: str, headers: dict[str, str], options: Options) -> None:
        address = Address.parse(base_url)
        files = options.tls
        tls = client_context(files.ca, files.cert, files.key) if address.secure else None
        proxy = proxy_for(address) if options.proxy else None
        times = Response()
        self._stream = Stream(dial(address, proxy, tls, options, times, tunnel=True))
        self.dns_ms, self.tls_ms = times.dns_ms, times.tls_ms
        offered: list[Extension] = [Deflate()] if options.compression else []
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._send(Request(address.authority, address.prefix + path, offered, extra))
        while self._protocol.state is ConnectionState.CONNECTING:
            self._read(None)
        event = next(self._protocol.events())
        self._taken(event)

    def send(self, text: str) -> None:
        """Send one text message. Raises ConnectionLost."""
        self._send(TextMessage(text))

    def ping(self, payload: bytes) -> None:
        """Send a ping; its Pong is received among the messages. Raises ConnectionLost."""
        self._send(Ping(payload))

    def receive(self, timeout: float | None) -> Message | Pong | None:
        """Return what comes next, or None when `timeout` seconds pass without a message.

        Raises ConnectionLost when the connection ends; `status` then tells the server's close code, if it sent one.
        Raises BadResponse when the server breaks the protocol, and TooLong for a message beyond the limits; it has
        then been told, and the connection is over.
        """
        end = None if timeout is None else monotonic() + timeout
        while True:
            if self._over is not None:
                raise self._over
            # One event at a time: what was sent before a close can still be answered.
            event = next(self._protocol.events(), None)
            found = self._taken(event) if event is not None else None
            if found is not None:
                return found
            if event is None and not self._read(None if end is None else end - monotonic()):
                return None

    def close(self) -> None:
        """Say goodbye and close; never raises for a connection that is gone."""
        if self._stream is None:
            return
        last = b""
        with suppress(LocalProtocolError):
            last = self._protocol.send(CloseConnection(CloseReason.NORMAL_CLOSURE))
        self._stream.close(last)
        self._stream = None

    def _send(self, event: Event) -> None:
        if self._stream is None:
            raise ConnectionLost("closed")
        try:
            data = self._protocol.send(event)
        except LocalProtocolError:
            if self._protocol.state is ConnectionState.CONNECTING:
                raise
            raise ConnectionLost("closed") from None
        self._stream.write(data, self._timeout)

    # -- what comes in --------------------------------------------------------------------------------------------

    def _read(self, timeout: float | None) -> bool:
        """Hand what arrives to the protocol; False when nothing did."""
        if self._stream is None:
            raise ConnectionLost("closed")
        received = self._stream.read(timeout)
        if received is None:
            return False
        self._stamp, data = received
        self._protocol.receive_data(data)
        return True

    def _taken(self, event: Event) -> Message | Pong | None:
        """Do what an event asks for, and return it when it is one for the user."""
        if isinstance(event, TextMessage | BytesMessage):
            return self._joined(event)
        if isinstance(event, PongFrame):
            return Pong(self._stamp, bytes(event.payload))
        if isinstance(event, Ping):
            self._reply(event.response())
        elif isinstance(event, CloseConnection):
            self._end(event)
        elif isinstance(event, AcceptConnection):
            self.is_compressed = bool(event.extensions)
        elif isinstance(event, RejectConnection):
            status = event.status_code
            raise BadResponse(f"the upgrade was answered with HTTP {status}", self.began, status)
        return None

    def _joined(self, part: TextMessage | BytesMessage) -> Message | None:
        """Return the message that a part completes."""
        self._size += len(part.data)
        if self._size > self._longest:
            self._reply(CloseConnection(CloseReason.MESSAGE_TOO_BIG))
            self._over = TooLong(f"a message of more than {self._longest} bytes")
            return None
        if isinstance(part, TextMessage):
            self._text.append(part.data)
        else:
            self._binary += part.data
        if not part.message_finished:
            return None
        message = Message(self._stamp, "".join(self._text) or self._binary.decode("utf-8", "replace"))
        self._text.clear()
        self._binary.clear()
        self._size = 0
        return message

    def _end(self, event: CloseConnection) -> None:
        """The server has closed, or what it sent is no WebSocket: then the protocol is still open on its side."""
        if self._protocol.state is ConnectionState.OPEN:
            self._reply(CloseConnection(event.code))
            self._over = BadResponse(f"the server broke the protocol: {event.reason}")
            return
        self._reply(event.response())
        self.status = None if event.code == CloseReason.NO_STATUS_RCVD else int(event.code)
        self._over = ConnectionLost(f"closed by the server with code {self.status}")

    def _reply(self, event: Event) -> None:
        with suppress(ConnectionLost):  # the next read tells
            self._send(event)
