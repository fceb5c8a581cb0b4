"""What arrives on a connection, made into responses."""

from typing import Any

import httptools

from clients.errors import BadResponse, ConnectionLost, TooLong
from clients.options import Limits
from clients.response import Response


class Incoming:
    """The parser of a connection's responses, one after the other; it keeps the bytes of headers for later.

    Interim responses (1xx) are passed over, and so is whatever follows the one response that was asked for: then
    `keep_alive` is False, since nothing after it could be trusted.
    """

    __slots__ = (
        "_limits",
        "_message_keeps_alive",
        "_parse",
        "_room",
        "_small_head",
        "_status",
        "_without_body",
        "complete",
        "continued",
        "keep_alive",
        "now",
        "response",
        "used",
    )

    def __init__(self, limits: Limits) -> None:
        self.complete, self.keep_alive, self.continued, self.used, self.now = True, True, False, False, 0.0
        self.response, self._limits = Response(), limits
        self._small_head = min(limits.header_bytes, 4 * limits.header_count)  # below it neither limit can be reached
        self._renew()

    def _renew(self) -> None:
        # A message's headers have no callback: the parser passes over them, and only those that are asked for are
        # ever decoded (`Response.fields`).
        parser: Any = httptools.HttpResponseParser(self)
        self._parse, self._status = parser.feed_data, parser.get_status_code
        self._message_keeps_alive = parser.should_keep_alive

    def close(self) -> None:
        """Let go of the parser: it and this object hold each other."""
        self._parse = self._status = self._message_keeps_alive = None

    def begin(self, response: Response, without_body: bool) -> None:
        """Make ready for one response; `without_body` for the answer to HEAD."""
        self.response, self._without_body = response, without_body
        self.complete = self.keep_alive = self.continued = False
        self._room = self._limits.body_bytes

    def feed(self, data: bytes, now: float) -> None:
        """Parse what arrived at `now`. Raises HttpParserError, and BadResponse for headers that are too long."""
        self.now = now
        response = self.response
        if not response.status:
            self._feed_head(data)
            return
        try:
            self._parse(data)
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.keep_alive = False  # whatever comes after a complete response, the response counts
        self._room -= len(data)
        if self._room < 0 or len(response.chunks) > self._limits.pieces:
            self._refuse_body()

    def _feed_head(self, data: bytes) -> None:
        response = self.response
        response.head += data
        if response.first_byte is None:
            response.first_byte = self.now
        try:
            self._parse(data)
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.keep_alive = False  # whatever comes after a complete response, the response counts
        if len(response.head) > self._small_head:
            self._check_head()

    def _check_head(self) -> None:
        head, limits = self.response.head, self._limits
        end = head.find(b"\r\n\r\n") if self.response.status else len(head)
        if end > limits.header_bytes:
            self._refuse(f"headers are longer than {limits.header_bytes} bytes")
        if head.count(b"\n", 0, end) > limits.header_count:
            self._refuse(f"more than {limits.header_count} headers")

    def _refuse_body(self) -> None:
        limits = self._limits
        if len(self.response.chunks) > limits.pieces:
            raise TooLong(f"the body came in more than {limits.pieces} pieces", self.response.sent)
        raise TooLong(f"the body is longer than {limits.body_bytes} bytes", self.response.sent)

    def _refuse(self, what: str) -> None:
        raise BadResponse(f"not a valid HTTP response: {what}", self.response.sent)

    def end(self, now: float) -> None:
        """Take the end of the connection. Raises ConnectionLost where the protocol has it that more should follow."""
        self.now = now
        response = self.response
        if not response.status:
            what = "in the middle of the response" if response.first_byte else "without a response"
            raise ConnectionLost(f"the server closed the connection {what}", response.sent)
        headers = response.headers
        if "content-length" in headers or headers.get("transfer-encoding", "identity") != "identity":
            raise ConnectionLost("the server closed the connection in the middle of the response", response.sent)
        self.complete = True

    def on_message_begin(self) -> None:
        """Note a message that nobody asked for."""
        if self.complete:
            self.keep_alive = False

    def on_headers_complete(self) -> None:
        """Take the status; the answer to HEAD ends here."""
        status = self._status()
        if self.complete:
            return
        if status < 200 and status != 101:
            self.continued = self.continued or status == 100
            return
        self.response.status = status
        if self._without_body:
            self.on_message_complete()
            self._renew()  # the old parser waits for the body that these headers may speak of

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self.complete:
            self.keep_alive = False  # a body after the answer to HEAD
        else:
            self.response.chunks.append((self.now, data))

    def on_message_complete(self) -> None:
        """End the response, unless it was an interim one."""
        if self.response.status and not self.complete:
            self.complete = self.used = True
            self.keep_alive = self._message_keeps_alive()  # later the parser knows about the next message only
