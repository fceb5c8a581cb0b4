"""Runs the platform on a socket: ready line, signals, the parent's life, and a clean and quick end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator
from types import FrameType

import uvicorn

from .app import Platform
from .database import DatabaseUnavailableError
from .options import Options

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STUCK_LIMIT_S = 5.0
MAX_WS_MESSAGE = 2**20
ACCEPTS_PER_TURN = 16


class Server(uvicorn.Server):
    """uvicorn with a ready line, and with an exit code of 0 after a signal."""

    def __init__(self, config: uvicorn.Config, platform: Platform, url: str, early: list[int]) -> None:
        super().__init__(config)
        self._early = early
        self._platform = platform
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so: one line of JSON on standard output."""
        await super().startup(sockets)
        # What exists now lives as long as the process; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.enable()
        print(json.dumps({"url": self._url, "pid": os.getpid()}), flush=True)
        if self._early:
            self.leave()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests finish within the grace period, cut the others."""
        self._platform.drain()
        await super().shutdown(sockets)

    def leave(self) -> None:
        """Begin to end, from any place in this process."""
        # The flag of the health route is set at once; the rest happens in the event loop, within 0.1 s.
        self._platform.lifetime.draining = True
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGINT and SIGTERM as a request to end; unlike uvicorn's own, without dying of it later."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.leave()

        before = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def serve(options: Options, listener: socket.socket) -> int:
    """Serve on a bound socket until told to end; the result is the exit code."""
    early = _signals_of_the_start()
    platform = Platform(options)
    try:
        await platform.start()
        server = Server(_config(options, platform), platform, _url(listener), early)
        if options.exit_with_parent:
            _watch_parent(server, asyncio.get_running_loop())
        await server.serve(sockets=_several(listener))
    except DatabaseUnavailableError as problem:
        print(f"python -m target: error: the database cannot be used: {problem}", file=sys.stderr)
        return 2
    finally:
        await platform.stop()
    return 0


def _several(listener: socket.socket) -> list[socket.socket]:
    """The same socket under several descriptors, each of which the event loop asks for a new connection.

    libuv accepts one connection per descriptor and turn. A turn serves every connection that is ready, so with one
    descriptor hundreds of new clients would wait for seconds while others keep the server busy.
    """
    return [listener, *(listener.dup() for _ in range(ACCEPTS_PER_TURN - 1))] if os.name == "posix" else [listener]


def _signals_of_the_start() -> list[int]:
    """Signals that came before the server handles them itself: a start is finished, then undone.

    A second signal of the kind ends the process at once, should the database keep the start waiting.
    """
    early: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        early.append(number)
        signal.signal(number, signal.SIG_DFL)

    for number in SIGNALS:
        signal.signal(number, note)
    return early


def _config(options: Options, platform: Platform) -> uvicorn.Config:
    return uvicorn.Config(
        platform.app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_WS_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=options.keep_alive_s,
        timeout_graceful_shutdown=options.stop_grace_s,
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port` (0: any free one) that does not listen yet; raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _watch_parent(server: Server, loop: asyncio.AbstractEventLoop) -> None:
    arguments = (server, loop)
    threading.Thread(target=_leave_with_parent, args=arguments, name="parent watch", daemon=True).start()


def _leave_with_parent(server: Server, loop: asyncio.AbstractEventLoop) -> None:
    # os.read instead of sys.stdin: a thread inside a buffered reader would hold its lock at interpreter exit.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(server.leave)
    time.sleep(STUCK_LIMIT_S)
    # Only reached when the event loop is stuck: nobody is left who could end this process otherwise.
    os._exit(1)
