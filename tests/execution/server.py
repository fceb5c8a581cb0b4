"""A small HTTP server whose behaviour is known exactly: `python -m tests.execution.server --delay 0 ...`.

It answers every request with an empty list, logs the moment at which each request arrived, and can stall: from
`--stall-at` seconds after the first request of the load on, nothing is answered for `--stall-for` seconds. The load
is what comes after the questions that a run asks beforehand: /health, and the long list of a warm-up.

`/status/404` is answered with that status, `/wait/0.2` after so many seconds, `/gone` by closing the connection,
`/to/URL` with a redirect to the URL.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from pathlib import Path

import httptools

_BODY = b'{"items": []}'
_ANSWER = b"HTTP/1.1 %d Any\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client; answers in the order of the requests."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic()
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        beforehand = url.startswith(b"/health") or b"limit=100" in url
        (self._server.beforehand if beforehand else self._server.arrivals).append(self._now)
        self._path, self._authorization = url.decode(), ""
        self._beforehand = beforehand

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._authorization = value.decode()

    def on_message_complete(self) -> None:
        if not self._beforehand:
            method = self._parser.get_method().decode()
            self._server.requests.append((method, self._path, self._authorization))
        kind, _, argument = self._path.strip("/").partition("/")
        wait = float(argument) if kind == "wait" else self._server.wait()
        status = int(argument) if kind == "status" else 302 if kind == "to" else 200
        header = b"Location: %s\r\n" % argument.encode() if kind == "to" else b""
        if kind == "gone":
            self._transport.close()
            return
        answer = _ANSWER % (status, header, len(_BODY)) + _BODY
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


class Server:
    """What all connections share."""

    def __init__(self, delay: float, stall_at: float, stall_for: float) -> None:
        self.delay, self.stall_at, self.stall_for = delay, stall_at, stall_for
        self.arrivals: list[float] = []
        self.beforehand: list[float] = []
        self.requests: list[tuple[str, str, str]] = []

    def wait(self) -> float:
        """Return how many seconds an answer is held back."""
        now = time.monotonic() - self.arrivals[0] if self.arrivals else -1.0
        in_stall = self.stall_for and self.stall_at <= now < self.stall_at + self.stall_for
        return self.stall_at + self.stall_for - now if in_stall else self.delay


async def serve(options: argparse.Namespace) -> None:
    """Serve until standard input ends, then write the log."""
    server = Server(options.delay, options.stall_at, options.stall_for)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    end = asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(end.set)), daemon=True).start()
    await end.wait()
    if options.log:
        log = {"load": server.arrivals, "beforehand": server.beforehand, "requests": server.requests}
        options.log.write_text(json.dumps(log), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--stall-at", type=float, default=0.0)
    parser.add_argument("--stall-for", type=float, default=0.0)
    parser.add_argument("--log", type=Path)
    asyncio.run(serve(parser.parse_args()))
