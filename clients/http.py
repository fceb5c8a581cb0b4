"""An HTTP/1.1 client for load: gevent sockets, the llhttp parser, keep-alive, stamps taken when bytes arrive."""

import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import gevent
import gevent.socket
import httptools

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut
from clients.tls import client_context

_READ_SIZE = 65536
_HEADER_LIMIT = 65536
_RETRIED_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(slots=True)
class Response:
    """A response and its times (`time.monotonic()` seconds)."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; of a repeated header the last."""
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    """Pieces of the body with the moment at which each was read from the socket, before it was parsed."""
    sent: float = 0.0
    """First byte handed to a pooled connection, or begin of the connect."""
    first_byte: float | None = None
    done: float = 0.0
    connect_ms: float | None = None
    """TCP + TLS of a new connection, milliseconds; None on a pooled one."""
    broken: str | None = None
    """Why a streamed body ended before its end; None when it is complete."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(data for _, data in self.chunks)


class _Incoming:
    """The parser of one response, and its callbacks. Interim responses (1xx) before it are passed over."""

    __slots__ = ("complete", "keep_alive", "now", "parser", "received", "response", "without_body")

    def __init__(self, response: Response, method: str) -> None:
        self.response, self.without_body = response, method == "HEAD"
        self.complete, self.keep_alive, self.now, self.received = False, False, 0.0, 0
        self.parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes, now: float) -> None:
        """Parse what arrived at `now`. Raises HttpParserError."""
        self.now = now
        self.received += len(data)
        self.parser.feed_data(data)
        if not self.response.status and self.received > _HEADER_LIMIT:
            raise httptools.HttpParserError(f"headers are longer than {_HEADER_LIMIT} bytes")

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False  # the server wrote more than was asked for: nothing after it could be trusted

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.response.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip(" \t")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if self.complete:
            return
        if 100 <= status < 200 and status != 101:
            self.response.headers.clear()
            return
        self.response.status = status
        if self.without_body:
            self.on_message_complete()

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.response.chunks.append((self.now, data))

    def on_message_complete(self) -> None:
        if self.response.status and not self.complete:
            self.complete = True
            self.keep_alive = self.parser.should_keep_alive()  # later the parser knows about the next message only


class _Connection:
    """One TCP or TLS connection, and what is needed to wait for it without a failed read first."""

    __slots__ = ("_hub", "_readable", "_tls", "sock")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._hub = gevent.get_hub()
        raw = gevent.socket.create_connection((host, port))
        raw.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        self._tls = tls is not None
        if tls is not None:
            try:
                raw = tls.wrap_socket(raw, server_hostname=host)
            except BaseException:
                raw.close()
                raise
        self.sock: Any = raw
        self._readable: Any = None if self._tls else self._hub.loop.io(raw.fileno(), 1)

    def read(self) -> bytes:
        """Wait until bytes arrive and return them; b'' when the server has closed."""
        if self._readable is not None:
            # An ordinary recv tries first, fails, and then waits: on a load generator that is a wasted system
            # call for every wait.
            self._hub.wait(self._readable)
        data: bytes = self.sock.recv(_READ_SIZE)
        return data

    def is_stale(self) -> bool:
        """Return True when a pooled connection was closed, or spoken on, by the server meanwhile."""
        if self._tls and self.sock.pending():
            return True
        try:
            # Under TLS too: an end of the session, like anything else unasked for, shows on the socket beneath.
            # gevent's sockets never block by themselves; MSG_DONTWAIT, which says so, is not there on Windows.
            self.sock._sock.recv(1, gevent.socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close the socket and free its watcher."""
        if self._readable is not None:
            self._readable.close()
            self._readable = None
        self.sock.close()


class HttpClient:
    """Speaks to one server over one kept-alive connection; one exchange at a time, as a user does."""

    def __init__(self, base_url: str, headers: dict[str, str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"base_url must be an http or https URL, got {base_url!r}")
        secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if secure else 80)
        self._tls = (tls or client_context()) if secure else None
        self._prefix = parts.path.rstrip("/")
        standard = {"Host": parts.netloc, "User-Agent": "proofload", "Accept-Encoding": "identity"}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in (standard | (headers or {})).items())
        self._connection: _Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the client can be used again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        timeout: float = 30.0,
        stream: bool = False,
    ) -> Response:
        """Return the response to one request.

        With `stream`, a body that ends too early is returned with `broken` set, since what arrived is worth
        judging; without, it raises. Raises ClientError's kinds; `timeout` bounds the whole exchange, in seconds.
        """
        data = self._encode(method, path, body, content_type)
        response = Response()
        try:
            with gevent.Timeout(timeout, TimedOut("the time is over")):
                self._exchange(method, data, response)
        except TimedOut:
            self.close()
            raise TimedOut(f"no complete response within {timeout:g} s", response.sent or None) from None
        except ConnectionLost as error:
            self.close()
            if not (stream and response.status):
                raise
            response.broken = str(error)
        except BaseException:
            # A user that is killed in mid-exchange must not leave half a response to the next one.
            self.close()
            raise
        response.done = response.done or time.monotonic()
        return response

    def _encode(self, method: str, path: str, body: bytes, content_type: str) -> bytes:
        if any(character in path for character in "\r\n "):
            raise ValueError(f"path must not hold spaces or line breaks, got {path!r}")
        head = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._head}"
        if body or method in {"POST", "PUT", "PATCH"}:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        return head.encode("latin-1") + b"\r\n" + body

    def _exchange(self, method: str, data: bytes, response: Response) -> None:
        pooled = self._connection is not None and self._pooled_is_good()
        response.sent = time.monotonic()
        if not pooled:
            self._connect(response)
        try:
            self._send_and_read(method, data, response)
        except ConnectionLost:
            # The server may have closed an idle connection at the very moment it was used again. Only what may
            # be repeated is, and only when not one byte of an answer had arrived.
            if not pooled or response.first_byte is not None or method not in _RETRIED_METHODS:
                raise
            self.close()
            self._connect(response)
            self._send_and_read(method, data, response)

    def _pooled_is_good(self) -> bool:
        assert self._connection is not None
        if self._connection.is_stale():
            self.close()
            return False
        return True

    def _connect(self, response: Response) -> None:
        began = time.monotonic()
        try:
            self._connection = _Connection(self._host, self._port, self._tls)
        except (OSError, UnicodeError) as error:  # a name that no DNS could hold is a UnicodeError
            raise ConnectFailed(_reason(error), response.sent) from error
        response.connect_ms = (time.monotonic() - began) * 1000

    def _send_and_read(self, method: str, data: bytes, response: Response) -> None:
        connection = self._connection
        assert connection is not None
        incoming = _Incoming(response, method)
        try:
            connection.sock.sendall(data)
            while not incoming.complete:
                received = connection.read()
                now = time.monotonic()
                if not received:
                    self._closed_by_server(response)
                    incoming.now = now
                    break
                if response.first_byte is None:
                    response.first_byte = now
                incoming.feed(received, now)
        except OSError as error:
            raise ConnectionLost(_reason(error), response.sent) from error
        except httptools.HttpParserUpgrade as error:
            raise BadResponse("not a valid HTTP response: it changes the protocol", response.sent) from error
        except httptools.HttpParserError as error:
            raise BadResponse(f"not a valid HTTP response: {error}", response.sent) from error
        response.done = incoming.now
        if not incoming.keep_alive:
            self.close()

    @staticmethod
    def _closed_by_server(response: Response) -> None:
        """Accept the end of the connection as the end of the body where the protocol says so."""
        ends_with_connection = (
            response.status
            and "content-length" not in response.headers
            and response.headers.get("transfer-encoding", "identity") == "identity"
        )
        if not ends_with_connection:
            what = "in the middle of the response" if response.first_byte else "without a response"
            raise ConnectionLost(f"the server closed the connection {what}", response.sent)


def _reason(error: BaseException) -> str:
    """Return an error of the operating system in a stable form, without addresses or numbers of this run."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
