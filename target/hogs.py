"""CPU, memory and disks that are really used up, for the faults of these names."""

from __future__ import annotations

import asyncio
import math
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

TICK_S = 0.1
"""How often a leak grows, and the period of a partly busy core."""


class Hog(Protocol):
    """Something that is used up from `start` to `stop`; `start` takes the parameters of the fault by name."""

    def start(self, parameters: Mapping[str, float | str]) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, and give everything back."""


class MemoryHog:
    """Takes touched memory at a steady rate until stopped, then gives all of it back.

    `mb_per_s` takes megabytes (2**20 bytes) without end, or up to `at_most_mb`; `mb` in `seconds` takes so many, frees
    them all, and begins again, as a collector of garbage does.
    """

    def __init__(self) -> None:
        self._blocks: list[mmap.mmap] = []
        self._task: asyncio.Task[None] | None = None

    def start(self, parameters: Mapping[str, float | str]) -> None:
        """Begin to take memory."""
        if "seconds" in parameters:
            seconds = float(parameters["seconds"])
            growing = self._grow(float(parameters["mb"]) / seconds * 2**20, seconds)
        else:
            growing = self._grow(float(parameters["mb_per_s"]) * 2**20, None, float(parameters["at_most_mb"]) * 2**20)
        self._task = asyncio.create_task(growing, name="memory")

    def stop(self) -> None:
        """Stop and free."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._free()

    def _free(self) -> None:
        # Own mappings instead of bytes objects: closing them lowers the resident size at once, on every
        # allocator.
        for block in self._blocks:
            block.close()
        self._blocks.clear()

    async def _grow(self, bytes_per_s: float, free_after_s: float | None, most: float = math.inf) -> None:
        begin, taken = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_S)
            if free_after_s is not None and time.monotonic() - begin >= free_after_s:
                self._free()
                begin, taken = begin + free_after_s, 0
            wanted = int(min((time.monotonic() - begin) * bytes_per_s, most)) - taken
            # Whole pages, as the system gives no less: what is left over is taken with the next ones.
            wanted -= wanted % mmap.PAGESIZE
            if wanted >= mmap.PAGESIZE:
                block = mmap.mmap(-1, wanted)
                # Memory counts as resident only once it is written to.
                block.write(b"\xa5" * wanted)
                self._blocks.append(block)
                taken += wanted


class CpuHog:
    """Keeps a number of cores busy in child processes, so that the server's own event loop stays free."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, parameters: Mapping[str, float | str]) -> None:
        """Burn `cores` cores: one child for each whole core and one for the rest."""
        cores = float(parameters["cores"])
        while cores > 1e-9:
            share = min(cores, 1.0)
            cores -= share
            self._children.append(_child("burn", share))

    def stop(self) -> None:
        """End the children and reap them."""
        _end(self._children)


class DiskHog:
    """Keeps a disk busy: a child process writes `mb` megabytes to a nameless file again and again, each time down to
    the disk."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, parameters: Mapping[str, float | str]) -> None:
        """Begin to write."""
        self._children.append(_child("write", float(parameters["mb"])))

    def stop(self) -> None:
        """End the child and reap it; its file goes with it."""
        _end(self._children)


LEAKS = ("files", "connections", "threads")


class HandleHog:
    """Takes open files, sockets or threads at a steady rate until stopped, then gives them back."""

    def __init__(self) -> None:
        self._closers: list[Callable[[], object]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self, parameters: Mapping[str, float | str]) -> None:
        """Begin to take `per_s` of what `of` names each second."""
        taking = self._take(float(parameters["per_s"]), str(parameters["of"]))
        self._task = asyncio.create_task(taking, name="handles")

    def stop(self) -> None:
        """Stop and close."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        while self._closers:
            self._closers.pop()()

    async def _take(self, per_s: float, kind: str) -> None:
        begin = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            while len(self._closers) < int((time.monotonic() - begin) * per_s):
                self._closers.append(_opened(kind))


def _opened(kind: str) -> Callable[[], object]:
    """Open one more, and return what closes it."""
    if kind == "connections":
        return socket.socket().close
    if kind == "files":
        return open(os.devnull, "rb").close
    over = threading.Event()
    threading.Thread(target=over.wait, name="leaked", daemon=True).start()
    return over.set


def _child(what: str, amount: float) -> subprocess.Popen[bytes]:
    # A child ends when its standard input does, so it cannot outlive this process, however that ends.
    command = [sys.executable, "-I", os.path.abspath(__file__), what, repr(amount)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.kill()
    for child in children:
        child.wait()
        if child.stdin is not None:
            child.stdin.close()
    children.clear()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def burn(share: float) -> None:
    """Use `share` (0 to 1) of one core; never returns."""
    while True:
        begin = time.monotonic()
        while time.monotonic() - begin < share * TICK_S:
            pass
        time.sleep(max(0.0, TICK_S - (time.monotonic() - begin)))


def write(megabytes: float) -> None:
    """Write to a file without a name and wait for the disk, again and again; never returns."""
    block = os.urandom(int(megabytes * 2**20))
    with tempfile.TemporaryFile() as file:
        while True:
            file.seek(0)
            file.write(block)
            file.flush()
            os.fsync(file.fileno())


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    {"burn": burn, "write": write}[sys.argv[1]](float(sys.argv[2]))
