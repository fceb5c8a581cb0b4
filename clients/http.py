"""An HTTP/1.1 client for load: gevent's loop, the llhttp parser, keep-alive, stamps taken when bytes arrive."""

import ssl
from collections.abc import Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import gevent
import httptools

from clients import decoding, outgoing
from clients.address import Address
from clients.connection import Connection
from clients.cookies import Cookies
from clients.dial import dial, proxy_for
from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut, reason
from clients.options import Options
from clients.response import Response
from clients.tls import client_context

__all__ = ["HttpClient", "Options", "Response"]

Body = bytes | Iterable[bytes]

_RETRIED_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULTS = Options()


class HttpClient:
    """Speaks to one server over one kept-alive connection; one exchange at a time, as a user does."""

    _connection: Connection | None = None

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        options: Options = _DEFAULTS,
    ) -> None:
        """Raises ValueError for a URL, header or proxy that cannot be, OSError for files of TLS that cannot be used."""
        self._address = Address.parse(base_url)
        self._options = options
        self._tls = None
        if self._address.secure:
            self._tls = tls or client_context(options.tls.ca, options.tls.cert, options.tls.key)
        self._proxy = proxy_for(self._address) if options.proxy else None
        standard = {
            "Host": self._address.authority,
            "User-Agent": "proofload",
            "Accept-Encoding": decoding.ACCEPTED if options.compression else "identity",
        }
        self._headers = standard | dict(headers or {})
        self._form = ""
        if self._proxy is not None and self._tls is None:
            self._form = self._address.origin  # such a proxy wants to be told the whole URL
        self._prefix = self._form + self._address.prefix
        self._head = self._encoded_head()
        self._cookies = Cookies() if options.cookies else None
        self._is_simple = not (options.cookies or options.compression or options.follow_redirects)

    def __del__(self) -> None:
        self.close()  # an open connection is known to the event loop, which would keep it

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

    def set_header(self, name: str, value: str) -> None:
        """Send a header with every request from now on. Raises ValueError for one that cannot be."""
        self._headers[name] = value
        self._head = self._encoded_head()

    def _encoded_head(self) -> bytes:
        return outgoing.header_lines(self._headers) + (self._proxy.authorization if self._form and self._proxy else b"")

    def request(
        self,
        method: str,
        path: str,
        body: Body = b"",
        *,
        content_type: str = "application/json",
        timeout: float = 30.0,
        stream: bool = False,
        expect_continue: bool = False,
    ) -> Response:
        """Return the response to one request.

        A body that is not bytes is sent chunk by chunk, as its pieces come. With `expect_continue` the body waits for
        the server's word. With `stream`, a body that ends too early is returned with `broken` set, since what arrived
        is worth judging; without, it raises. Raises ClientError's kinds; `timeout` bounds all of it, in seconds.
        """
        request = _Request(method, body, outgoing.framing(method, body, content_type), expect_continue, stream, timeout)
        head = outgoing.request_line(method, self._prefix, path) + self._head
        if self._is_simple:
            return self._perform(request, head)
        url = self._address.origin + self._address.prefix + path
        return self._finish(request, self._perform(request, head + self._cookie_lines(url)), url)

    # -- one exchange ---------------------------------------------------------------------------------------------

    def _perform(self, request: "_Request", head: bytes) -> Response:
        """Make one exchange; whatever goes wrong leaves no connection behind."""
        response = Response()
        response.sent = request.began
        try:
            self._exchange(request, request.encoded(head), response)
        except TimedOut as error:
            self.close()
            raise self._timed_out(request, response, error) from None
        except ConnectionLost as error:
            self.close()
            if not (request.stream and response.status):
                raise
            response.broken = str(error)
        except BaseException:
            # A user that is killed in mid-exchange must not leave half a response to the next one.
            self.close()
            raise
        response.done = response.done or monotonic()
        return response

    def _timed_out(self, request: "_Request", response: Response, error: TimedOut) -> TimedOut:
        """Say which of the times was over."""
        options = self._options
        if str(error) or monotonic() >= request.deadline:
            what = str(error) or f"no complete response within {request.timeout:g} s"
        elif response.first_byte is None:
            what = f"no first byte within {options.first_byte_timeout:g} s"
        else:
            what = f"no byte for {options.idle_timeout:g} s in the middle of the response"
        return TimedOut(what, request.began)

    def _exchange(self, request: "_Request", data: bytes, response: Response) -> None:
        connection = self._connection
        if connection is not None and not connection.is_usable(response.sent):
            self.close()
            connection = None
        if connection is None:
            self._send_and_read(self._connect(request, response), request, data, response)
            return
        try:
            self._send_and_read(connection, request, data, response)
        except ConnectionLost:
            # The server may have closed an idle connection at the very moment it was used again. Only what may
            # be repeated is, and only when not one byte of an answer had arrived.
            if response.first_byte is not None or not request.is_repeatable():
                raise
            self.close()
            response.retried = True
            self._send_and_read(self._connect(request, response), request, data, response)

    def _connect(self, request: "_Request", response: Response) -> Connection:
        left = max(request.deadline - monotonic(), 0)
        limit, options = self._options.connect_timeout, self._options
        over = TimedOut("") if limit is None or left <= limit else TimedOut(f"no connection within {limit:g} s")
        try:
            with gevent.Timeout(left if limit is None else min(left, limit), over):
                self._connection = dial(self._address, self._proxy, self._tls, options, response)
        except ConnectFailed as error:
            raise ConnectFailed(str(error), response.sent) from None
        except (OSError, UnicodeError) as error:  # a name that no DNS could hold is a UnicodeError
            raise ConnectFailed(reason(error), response.sent) from error
        return self._connection

    def _send_and_read(self, connection: Connection, request: "_Request", data: bytes, response: Response) -> None:
        incoming = connection.incoming
        incoming.begin(response, request.method == "HEAD")
        try:
            connection.exchange(data, request.deadline, request.more(), request.hold)
        except OSError as error:
            raise ConnectionLost(reason(error), response.sent) from error
        except httptools.HttpParserUpgrade as error:
            raise BadResponse("not a valid HTTP response: it changes the protocol", response.sent) from error
        except httptools.HttpParserError as error:
            raise BadResponse(f"not a valid HTTP response: {error}", response.sent) from error
        response.done = incoming.now
        if connection.stale or not incoming.keep_alive:
            self.close()

    # -- what only some users ask for -----------------------------------------------------------------------------

    def _finish(self, request: "_Request", response: Response, url: str) -> Response:
        """Keep cookies, follow redirects and decode the body, as the options say."""
        self._keep_cookies(response, url)
        for followed in range(1, self._options.follow_redirects + 1):
            target = self._redirect_target(response, url)
            if target is None or not request.redirected(response.status):
                break
            url = self._address.origin + target
            line = outgoing.request_line(request.method, self._form, target)
            response = self._perform(request, line + self._head + self._cookie_lines(url))
            response.redirects = followed
            self._keep_cookies(response, url)
        if self._options.compression:
            self._decode(response)
        return response

    def _cookie_lines(self, url: str) -> bytes:
        return self._cookies.lines(url) if self._cookies is not None else b""

    def _keep_cookies(self, response: Response, url: str) -> None:
        if self._cookies is not None:
            self._cookies.take(url, response)

    def _redirect_target(self, response: Response, url: str) -> str | None:
        """Return path and query of a redirect, None for what is none or leads to where load may not be allowed."""
        location = response.headers.get("location") if response.status in _REDIRECTS else None
        if location is None:
            return None
        try:
            place = urlsplit(urljoin(url, location))
            there = Address.parse(f"{place.scheme}://{place.netloc}")
        except ValueError:
            return None
        here = self._address
        if (there.secure, there.host, there.port) != (here.secure, here.host, here.port):
            return None
        target = urlunsplit(("", "", place.path or "/", place.query, ""))
        return quote(target, safe="!#$%&'()*+,/:;=?@[]~")

    def _decode(self, response: Response) -> None:
        encoding = response.headers.get("content-encoding")
        if not encoding or not response.chunks:
            return
        response.wire_bytes = response.size
        limit, is_whole = self._options.limits.body_bytes, response.broken is None
        try:
            response.chunks = decoding.decoded(response.chunks, encoding, limit, is_whole)
        except BadResponse as error:
            error.sent = response.sent
            raise


class _Request:
    """What is asked for, until it is answered or the time is over."""

    __slots__ = ("began", "body", "deadline", "framing", "hold", "method", "stream", "timeout")

    def __init__(self, method: str, body: Body, framing: bytes, hold: bool, stream: bool, timeout: float) -> None:
        self.method, self.body, self.framing = method, body, framing
        self.hold, self.stream, self.timeout = hold, stream, timeout
        self.began = monotonic()
        self.deadline = self.began + timeout

    def encoded(self, head: bytes) -> bytes:
        """Return what is sent at once: all of it, where the body is at hand and need not wait."""
        if self.hold:
            return head + b"Expect: 100-continue\r\n" + self.framing
        return head + self.framing + self.body if isinstance(self.body, bytes) else head + self.framing

    def more(self) -> Iterable[bytes]:
        """Return what is sent after that."""
        if isinstance(self.body, bytes):
            return (self.body,) if self.hold else ()
        return outgoing.chunked(self.body)

    def is_repeatable(self) -> bool:
        """Return True when it may be sent twice: the method allows it, and its body is still there."""
        return self.method in _RETRIED_METHODS and isinstance(self.body, bytes)

    def redirected(self, status: int) -> bool:
        """Become the request that a redirect asks for; False where the body is gone."""
        if status == 303 or (status in {301, 302} and self.method == "POST"):
            if self.method != "HEAD":
                self.method = "GET"
            self.body, self.framing, self.hold = b"", b"\r\n", False
        return isinstance(self.body, bytes)
