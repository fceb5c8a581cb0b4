"""A WebSocket connection with stamps, over websocket-client and gevent's sockets."""

import contextlib
import time
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.socket
import websocket

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut
from clients.tls import client_context


class Connection:
    """An open WebSocket.

    `began`, `opened`: `time.monotonic()` before TCP and after the upgrade; `connect_ms` is what lies between them.
    `status` is the close code of the server, once it has closed with one.
    """

    def __init__(self, base_url: str, path: str, headers: dict[str, str], timeout: float) -> None:
        """Connect. Raises ConnectFailed, TimedOut, or BadResponse with the status when the upgrade is refused."""
        self.began = time.monotonic()
        self.status: int | None = None
        self._socket: Any = None
        self._web_socket = websocket.WebSocket(enable_multithread=False)
        try:
            # The library's own timeout is for each read, and a server can answer byte by byte.
            with gevent.Timeout(timeout, TimeoutError()):
                self._connect(base_url.rstrip("/") + path, headers, timeout)
        except BaseException as error:
            if self._socket is not None:
                self._socket.close()
            self._translate(error, timeout)
            raise
        self.opened = time.monotonic()
        self.connect_ms = (self.opened - self.began) * 1000

    def _connect(self, url: str, headers: dict[str, str], timeout: float) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._socket = gevent.socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        if secure:
            self._socket = client_context().wrap_socket(self._socket, server_hostname=host)
        self._web_socket.settimeout(timeout)
        self._web_socket.connect(
            parts._replace(scheme="wss" if secure else "ws").geturl(),
            header=[f"{name}: {value}" for name, value in headers.items()],
            socket=self._socket,
            redirect_limit=0,  # a server must not send the load elsewhere: another host may not be allowed
        )

    def _translate(self, error: BaseException, timeout: float) -> None:
        """Raise the wire's error for a library's one; return for what is not an error of the wire."""
        if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
            raise TimedOut(f"no connection within {timeout:g} s", self.began) from None
        if isinstance(error, websocket.WebSocketBadStatusException):
            raise _refused(error.status_code, self.began) from None
        if isinstance(error, OSError):
            raise ConnectFailed((error.strerror or str(error)).lower(), self.began) from None
        if isinstance(error, websocket.WebSocketException) and self._web_socket.getstatus() is not None:
            raise _refused(self._web_socket.getstatus(), self.began) from None  # a redirect
        if isinstance(error, websocket.WebSocketException):
            raise ConnectFailed(str(error).strip() or type(error).__name__, self.began) from None

    def send(self, text: str) -> None:
        """Send one text message. Raises ConnectionLost."""
        try:
            self._web_socket.send(text)
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionLost(str(error).lower()) from None

    def receive(self, timeout: float | None) -> tuple[float, str] | None:
        """Return (stamp, text) of the next message, or None when `timeout` seconds pass without one.

        Raises ConnectionLost when the connection ends; `status` then tells the server's close code, if it sent one.
        """
        self._web_socket.settimeout(timeout)
        try:
            opcode, data = self._web_socket.recv_data()
        except websocket.WebSocketTimeoutException:
            return None
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionLost(str(error).lower() or "closed") from None
        stamp = time.monotonic()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            self.status = int.from_bytes(data[:2], "big") if len(data) >= 2 else None
            raise ConnectionLost(f"closed by the server with code {self.status}")
        return stamp, data.decode("utf-8", "replace")

    def close(self) -> None:
        """Say goodbye and close; never raises for a connection that is gone."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._web_socket.close(timeout=0)
        self._socket.close()  # the library leaves the socket open where the server was the first to close


def _refused(status: int | None, began: float) -> BadResponse:
    return BadResponse(f"the upgrade was answered with HTTP {status}", began, status)
