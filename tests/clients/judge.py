"""A WebSocket server in a thread that sends what it is told to, and judges the client by the `websockets` library.

The library's server shares no code with wsproto: it checks masks, lengths, UTF-8, extensions and close codes of
everything that the client sends.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

Script = Callable[[ServerProtocol], bytes]
"""Speaks through the library, and returns raw bytes that are to follow."""


class Judge:
    """Serves one connection; after `join`, `frames` has what the client sent."""

    def __init__(self, script: Script, deflate: ServerPerMessageDeflateFactory | None = None, piece: int = 0) -> None:
        self._script, self._piece = script, piece
        self._protocol = ServerProtocol(extensions=[deflate] if deflate else None, max_size=None)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.frames: list[Frame] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._listener.close()

    @property
    def close_code(self) -> int | None:
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd else None

    @property
    def complaint(self) -> Exception | None:
        return self._protocol.parser_exc

    def messages(self) -> list[bytes]:
        """The client's messages, its fragments joined."""
        found: list[bytes] = []
        for frame in self.frames:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                found.append(bytes(frame.data))
            elif frame.opcode is Opcode.CONT:
                found[-1] += frame.data
        return found

    def _serve(self) -> None:
        self._listener.settimeout(5)
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._has_opened():
                self._protocol.receive_data(connection.recv(65536))
            self._flush(connection)
            raw = self._script(self._protocol)
            self._send(connection, b"".join(self._protocol.data_to_send()) + raw)
            self._listen(connection)

    def _has_opened(self) -> bool:
        for event in self._protocol.events_received():
            assert isinstance(event, Request)
            self._protocol.send_response(self._protocol.accept(event))
            return True
        return False

    def _listen(self, connection: socket.socket) -> None:
        while True:
            try:
                data = connection.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            self._protocol.receive_data(data)
            self.frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            self._flush(connection)

    def _flush(self, connection: socket.socket) -> None:
        self._send(connection, b"".join(self._protocol.data_to_send()))

    def _send(self, connection: socket.socket, data: bytes) -> None:
        step = self._piece or max(len(data), 1)
        try:
            for place in range(0, len(data), step):
                connection.sendall(data[place : place + step])
        except OSError:
            return  # the client has gone; what it said before is judged
