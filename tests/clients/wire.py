"""A server inside the test's own event loop: quick enough for thousands of exchanges, one function for each."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import gevent
import gevent.socket
from gevent.server import StreamServer

Serve = Callable[[Any], None]


class WireServer:
    """Runs `serve(sock)` for every connection and closes it afterwards."""

    def __init__(self, serve: Serve, listener: object = ("127.0.0.1", 0), tls: object = None) -> None:
        self.connections = 0
        self._serve = serve
        extra = {} if tls is None else {"ssl_context": tls}
        self._server = StreamServer(listener, self._handle, **extra)
        self._server.start()
        self.port: int = self._server.server_port or 0
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"

    def _handle(self, sock: Any, _: object) -> None:
        self.connections += 1
        if sock.family != gevent.socket.AF_UNIX:
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        try:
            self._serve(sock)
        except OSError:
            pass  # the client went away
        finally:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(timeout=0)


def read_request(sock: Any) -> bytes:
    """Return head and body of a request, b"" when the client closed instead."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = sock.recv(65536)
        if not received:
            return b""
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"content-length:" in lower:
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += sock.recv(65536)
    elif b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Serve:
    """Serve these answers, one for each request of a connection, and close at its end."""

    def serve(sock: Any) -> None:
        for answer in answers:
            if not read_request(sock):
                return
            sock.sendall(answer)
        read_request(sock)

    return serve


def in_pieces(sock: Any, pieces: list[bytes]) -> None:
    """Send pieces so that each is a read of its own."""
    for piece in pieces:
        sock.sendall(piece)
        gevent.sleep(0)
        gevent.sleep(0)
