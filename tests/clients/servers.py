"""A server that does what each request asks for, byte by byte: `python -m tests.clients.servers`.

It is a process of its own, so that it shares neither the interpreter lock nor the event loop with the client under
test. It prints its ports as a line of JSON and stops at the end of its standard input. A request's path carries a
script: what the server writes, when it waits, and how it lets go of the connection.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/script/"
_RESET = struct.pack("ii", 1, 0)
_SPIN_S = 0.0004


class Script:
    """What is to be done with one request."""

    def __init__(self) -> None:
        self._steps: list[list[Any]] = []

    def send(self, data: bytes) -> Self:
        return self._add("send", data.decode("latin-1"))

    def at(self, seconds: float) -> Self:
        """Go on at this time after the request had arrived, whatever has been done since."""
        return self._add("at", seconds)

    def endless(self, data: bytes) -> Self:
        """Send this again and again for as long as the client takes it."""
        return self._add("endless", data.decode("latin-1"))

    def request(self) -> Self:
        """Send a response of 200 that tells, as JSON, how the request arrived."""
        return self._add("request", None)

    def close(self) -> Self:
        return self._add("close", None)

    def reset(self) -> Self:
        return self._add("reset", None)

    def close_at_next(self) -> Self:
        """Close the connection when the next request on it arrives, without an answer."""
        return self._add("close_at_next", None)

    def when(self, text: bytes, other: Script) -> Self:
        """Do what another script says, and nothing after it, when the request's body contains this text."""
        return self._add("when", [text.decode("latin-1"), other._steps])

    def path(self) -> str:
        packed = zlib.compress(json.dumps(self._steps).encode(), 9)
        return PREFIX + base64.urlsafe_b64encode(packed).decode()

    def _add(self, name: str, argument: object) -> Self:
        self._steps.append([name, argument])
        return self


def plain(body: bytes = b"hello", status: str = "200 OK", headers: str = "") -> Script:
    """A response of known length."""
    return Script().send(f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LAST_CHUNK = b"0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class ScriptServer:
    """The server process, as the tests hold it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.servers", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        ports = json.loads(self.process.stdout.readline())
        self.port: int = ports["port"]
        scheme = "https" if "--certificate" in arguments else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.named_url = f"{scheme}://localhost:{self.port}"
        self.ipv6_url = f"{scheme}://[::1]:{ports['ipv6']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(5)


# -- what runs in the process of the server -----------------------------------------------------------------------


class _Connection:
    """One connection: requests one after the other, each with its script."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock, self._number = sock, number
        self._requests = 0
        self._close_at_next = False
        self._rest = b""

    def serve(self) -> None:
        try:
            while (request := self._read()) is not None:
                arrived = time.monotonic()
                if self._close_at_next:
                    break
                self._requests += 1
                if not self._obey(*request, arrived):
                    return
        except OSError:
            pass
        self._sock.close()

    def _read(self) -> tuple[str, str, bytes] | None:
        data = self._rest
        while b"\r\n\r\n" not in data:
            received = self._sock.recv(65536)
            if not received:
                return None
            data += received
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < length:
            body += self._sock.recv(65536)
        self._rest = body[length:]
        line, _, headers = head.decode("latin-1").partition("\r\n")
        return line, headers, body[:length]

    def _obey(self, line: str, headers: str, body: bytes, arrived: float) -> bool:
        """Do what the script says; return False when the connection has been let go of."""
        packed = line.split(" ")[1].removeprefix(PREFIX)
        steps = json.loads(zlib.decompress(base64.urlsafe_b64decode(packed)))
        for name, argument in steps:
            if name == "when" and argument[0].encode("latin-1") in body:
                steps = argument[1]
                break
        for name, argument in steps:
            if name == "send":
                self._sock.sendall(argument.encode("latin-1"))
            elif name == "at":
                _sleep_until(arrived + argument)
            elif name == "endless":
                while True:
                    self._sock.sendall(argument.encode("latin-1"))
            elif name == "request":
                self._tell(line.split(" ", maxsplit=1)[0], headers, body)
            elif name == "close_at_next":
                self._close_at_next = True
            elif name == "close":
                self._sock.close()
                return False
            elif name == "reset":
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._sock.close()
                return False
        return True

    def _tell(self, method: str, headers: str, body: bytes) -> None:
        told = {"connection": self._number, "request": self._requests, "method": method, "headers": headers}
        data = json.dumps(told | {"body": body.decode("latin-1")}).encode()
        self._sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)


def _sleep_until(moment: float) -> None:
    while (remaining := moment - time.monotonic()) > 0:
        if remaining > _SPIN_S:
            time.sleep(remaining - _SPIN_S)


def _accept(listener: socket.socket, tls: ssl.SSLContext | None) -> None:
    number = 0
    while True:
        sock, _ = listener.accept()
        number += 1
        threading.Thread(target=_serve, args=(sock, number, tls), daemon=True).start()


def _serve(sock: socket.socket, number: int, tls: ssl.SSLContext | None) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        secured = tls.wrap_socket(sock, server_side=True) if tls else sock
    except OSError:
        sock.close()
        return
    _Connection(secured, number).serve()


def _listen(family: socket.AddressFamily, host: str, tls: ssl.SSLContext | None) -> int:
    listener = socket.create_server((host, 0), family=family, backlog=128)
    threading.Thread(target=_accept, args=(listener, tls), daemon=True).start()
    return int(listener.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    given = parser.parse_args()
    tls = None
    if given.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.certificate, given.key)
    ports = {"port": _listen(socket.AF_INET, "127.0.0.1", tls)}
    ports["ipv6"] = _listen(socket.AF_INET6, "::1", tls) if socket.has_ipv6 else 0
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
