"""A server whose times are known: `python -m calibration.server --first-ms 50 --gap-ms 20 --events 50`.

A GET is answered at once. A POST is answered by a stream of `--events` chat-completion events, the first one
`--first-ms` after the request was read, the next ones `--gap-ms` apart; the last one carries the finish reason, the
usage and `[DONE]`. With `--spread-ms` streams that were asked for together do not speak together.
`usage.prompt_tokens` is the number of the stream, by which a client's stamps find the moments at which each event was
really sent. All moments are `time.monotonic()` seconds, a clock that processes share.

Commands on standard input: `count` answers a line of JSON, `dump FILE` writes the moments as .npz, `forget` drops
them. The server ends when its standard input does.
"""

import argparse
import heapq
import json
import os
import re
import selectors
import socket
import sys
import time
from array import array
from dataclasses import dataclass

_SPIN_S = 0.0021
"""The last stretch before an event is waited for by turns of the loop: its timers are due within a millisecond."""
_GOLDEN = 0.6180339887
"""Its multiples are spread evenly between whole numbers, however many they are."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MODEL = b'{"object":"list","data":[{"id":"known","object":"model"}],"items":[]}'
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_MODEL) + _MODEL
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _event(choices: str, more: str = "") -> str:
    start = '{"id":"known","object":"chat.completion.chunk","created":1767225600,"model":"known"'
    return f'data: {start},"choices":[{choices}]{more}}}\n\n'


def _chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


_CONTENT_EVENT = _event('{"index":0,"delta":{"role":"assistant","content":"word "},"finish_reason":null}')
_CONTENT = _chunk(_CONTENT_EVENT)


def _last(number: int, events: int) -> bytes:
    """Return the last event, with all that ends a stream in the same piece."""
    finish = _event('{"index":0,"delta":{},"finish_reason":"stop"}')
    counts = f'"prompt_tokens":{number},"completion_tokens":{events},"total_tokens":{number + events}'
    usage = _event("", f',"usage":{{{counts}}}')
    return _chunk(f"{_CONTENT_EVENT}{finish}{usage}data: [DONE]\n\n") + b"0\r\n\r\n"


@dataclass(slots=True)
class _Stream:
    """An answer that is under way."""

    connection: "_Connection"
    number: int
    begun: float
    sent: int = 0


class _Connection:
    """One client; answers in the order of the requests."""

    __slots__ = ("_read", "_server", "_unsent", "closed", "sock")

    def __init__(self, server: "Server", sock: socket.socket) -> None:
        self._server, self.sock = server, sock
        self._read, self._unsent, self.closed = b"", b"", False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ready(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            data, self._unsent = self._unsent, b""
            self._server.selector.modify(self.sock, selectors.EVENT_READ, self.ready)
            self.send(data)
        if mask & selectors.EVENT_READ and not self.closed:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self.sock.recv(262144)
        except OSError:
            data = b""
        now = time.monotonic()
        if not data:
            self.close()
            return
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head, length = self._read[:end], end + 4
            if not head.startswith(b"GET") and (match := _LENGTH.search(head)):
                length += int(match.group(1))
            if len(self._read) < length:
                return
            self._read = self._read[length:]
            self._server.answer(self, head, now)

    def send(self, data: bytes) -> None:
        """Send, and keep what the socket does not take."""
        if self._unsent or self.closed:
            self._unsent += data
            return
        try:
            taken = self.sock.send(data)
        except BlockingIOError:
            taken = 0
        except OSError:
            self.close()
            return
        if taken < len(data):
            self._unsent = data[taken:]
            self._server.selector.modify(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self.ready)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._server.selector.unregister(self.sock)
            self.sock.close()


class Server:
    """Everything in one thread and one loop, so that it knows what it does when."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.selector = selectors.DefaultSelector()
        self._first, self._gap = options.first_ms / 1000, options.gap_ms / 1000
        self._spread = options.spread_ms / 1000
        self._events, self._delay = options.events, options.delay_ms / 1000
        self._stall_at, self._stall_for = options.stall_at, options.stall_for
        self._spin = _SPIN_S if options.own_core else 0.0
        self._rest = 0.0 if options.awake else None
        self._due: list[tuple[float, int, _Stream | _Connection]] = []
        self._order = self.requests = self.streams = self.sent_events = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self._command)
        self._first_request: float | None = None
        self._running = True
        self.begun = array("d")
        self.forget()

    def forget(self) -> None:
        """Begin new logs."""
        self.arrivals = array("d")
        self.sends, self.intended, self.numbers = array("d"), array("d"), array("l")

    def run(self) -> None:
        """Serve until standard input ends."""
        while self._running:
            for key, mask in self.selector.select(self._pause()):
                key.data(mask)
            while self._due and self._due[0][0] <= time.monotonic():
                self._send_next()

    def _pause(self) -> float | None:
        if not self._due:
            return self._rest
        return max(self._due[0][0] - time.monotonic() - self._spin, 0.0)

    def _accept(self, _mask: int) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            self.selector.register(sock, selectors.EVENT_READ, _Connection(self, sock).ready)

    def answer(self, connection: _Connection, head: bytes, now: float) -> None:
        """Answer a request that was read at `now`; what a run asks beforehand is not counted as load."""
        line = head[: head.find(b"\r\n")]
        if b"/health" in line or b"/models" in line or b"limit=100" in line:
            connection.send(_WHOLE)
            return
        self.requests += 1
        self._first_request = self._first_request or now
        self.arrivals.append(now)
        if line.startswith(b"POST"):
            self.streams += 1
            self.begun.append(now)
            connection.send(_STREAM_HEAD)
            begun = now + self._spread * (self.streams * _GOLDEN % 1)
            self._at(begun + self._first, _Stream(connection, self.streams, begun))
        elif self._delay or self._stall_for:
            self._at(now + self._delay, connection)
        else:
            connection.send(_WHOLE)

    def _at(self, due: float, what: _Stream | _Connection) -> None:
        stalled = due - (self._first_request or due) - self._stall_at
        if self._stall_for and 0 <= stalled < self._stall_for:
            due += self._stall_for - stalled
        self._order += 1
        heapq.heappush(self._due, (due, self._order, what))

    def _send_next(self) -> None:
        due, _, what = heapq.heappop(self._due)
        if isinstance(what, _Connection):
            what.send(_WHOLE)
            return
        if what.connection.closed:
            return
        what.sent += 1
        last = what.sent == self._events
        data = _last(what.number, self._events) if last else _CONTENT
        now = time.monotonic()
        what.connection.send(data)
        self.sends.append(now)
        self.intended.append(due)
        self.numbers.append(what.number)
        self.sent_events += 1
        if not last:
            self._at(what.begun + self._first + what.sent * self._gap, what)

    def _command(self, _mask: int) -> None:
        # Unbuffered: a second line that arrived with the first would be waited for in vain otherwise.
        text = os.read(sys.stdin.fileno(), 4096).decode()
        if not text:
            self._running = False
        for line in text.splitlines():
            word, _, argument = line.partition(" ")
            if word == "count":
                self._say(requests=self.requests, streams=self.streams, events=self.sent_events)
            elif word == "dump":
                self._dump(argument)
            elif word == "forget":
                self.forget()
                self._say()

    def _dump(self, file: str) -> None:
        import numpy as np  # noqa: PLC0415 - a tenth of a second that a start does not need

        np.savez(
            file,
            arrivals=np.array(self.arrivals),
            begun=np.array(self.begun),
            sends=np.array(self.sends),
            intended=np.array(self.intended),
            numbers=np.array(self.numbers),
        )
        self._say()

    @staticmethod
    def _say(**words: float) -> None:
        print(json.dumps(words | {"now": time.monotonic(), "cpu_s": time.process_time()}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration.server", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before a GET is answered")
    parser.add_argument("--first-ms", type=float, default=50.0, help="from a POST to the first event of its stream")
    parser.add_argument("--spread-ms", type=float, default=0.0, help="a stream begins up to so much later, evenly")
    parser.add_argument("--gap-ms", type=float, default=20.0, help="between the events of a stream")
    parser.add_argument("--events", type=int, default=50, help="content events of a stream")
    parser.add_argument("--stall-at", type=float, default=0.0, help="seconds after the first request")
    parser.add_argument("--stall-for", type=float, default=0.0, help="seconds in which nothing is answered")
    parser.add_argument("--own-core", type=int, default=0, help="1: nobody else needs this core; turn for precision")
    parser.add_argument(
        "--awake", type=int, default=0, help="1: never rest, so that nobody pays for waking this process"
    )
    return parser


if __name__ == "__main__":
    server = Server(_parser().parse_args())
    print(server.port, flush=True)
    server.run()
