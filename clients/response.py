"""A response: what the server said, and when."""

from contextlib import suppress
from typing import Any

import httptools


class Response:
    """A response and its times (`time.monotonic()` seconds). What is not set stands in the class: most never is."""

    status: int = 0
    sent: float = 0.0
    """First byte handed to a pooled connection, or begin of the connect."""
    written: float | None = None
    """The whole request was handed to the system; None when the answer came first."""
    first_byte: float | None = None
    done: float = 0.0
    connect_ms: float | None = None
    """DNS + TCP + TLS of a new connection, milliseconds; None on a pooled one."""
    dns_ms: float | None = None
    """What of it the resolver took; next to nothing for an address in numbers."""
    tls_ms: float | None = None
    """What of it the TLS handshake took; None without TLS."""
    broken: str | None = None
    """Why a streamed body ended before its end; None when it is complete."""
    retried: bool = False
    """True when a pooled connection turned out to be closed and the request was repeated on a new one."""
    redirects: int = 0
    """How many were followed; `sent` is that of the first request then, the other times those of the last."""
    wire_bytes: int | None = None
    """Length of a body as it came, where it came compressed."""
    head: bytes = b""
    """What was received up to the end of the headers, interim responses and the begin of the body included."""
    _fields: list[tuple[str, str]] | None = None
    _headers: dict[str, str] | None = None

    def __init__(
        self,
        status: int = 0,
        headers: dict[str, str] | None = None,
        chunks: list[tuple[float, bytes]] | None = None,
        broken: str | None = None,
    ) -> None:
        self.chunks: list[tuple[float, bytes]] = [] if chunks is None else chunks
        """Pieces of the body with the moment at which each was read from the socket, before it was parsed."""
        if status:
            self.status = status
        if headers is not None:
            self._fields = list(headers.items())
        if broken is not None:
            self.broken = broken

    @property
    def body(self) -> bytes:
        """The whole body."""
        chunks = self.chunks
        return chunks[0][1] if len(chunks) == 1 else b"".join([data for _, data in chunks])

    @property
    def size(self) -> int:
        """Bytes of the body as it came over the wire."""
        if self.wire_bytes is not None:
            return self.wire_bytes
        chunks = self.chunks
        return len(chunks[0][1]) if len(chunks) == 1 else sum([len(data) for _, data in chunks])

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case; of a repeated one the last. Read from `head` when first asked for."""
        if self._headers is None:
            self._headers = dict(self.fields)
        return self._headers

    @property
    def fields(self) -> list[tuple[str, str]]:
        """All headers in the order in which they came, names in lower case."""
        if self._fields is None:
            self._fields = _Fields(self.head).found
        return self._fields


class _Fields:
    """The headers of a head that a parser has accepted before: so it is read by the same rules."""

    def __init__(self, head: bytes) -> None:
        self.found: list[tuple[str, str]] = []
        self._parser: Any = httptools.HttpResponseParser(self)
        with suppress(httptools.HttpParserError):
            self._parser.feed_data(head)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self.found.clear()
        else:
            raise StopIteration  # what follows is body
