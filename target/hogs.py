"""Processes and memory that are really used up, for the faults `cpu` and `memory_leak`."""

from __future__ import annotations

import asyncio
import mmap
import os
import subprocess
import sys
import threading
import time

TICK_S = 0.1
"""How often a leak grows, and the period of a partly busy core."""


class MemoryHog:
    """Takes touched memory at a steady rate until stopped, then gives all of it back."""

    def __init__(self) -> None:
        self._blocks: list[mmap.mmap] = []
        self._task: asyncio.Task[None] | None = None

    def start(self, mb_per_s: float) -> None:
        """Begin to take `mb_per_s` megabytes (2**20 bytes) per second."""
        self._task = asyncio.create_task(self._grow(mb_per_s * 2**20), name="memory leak")

    def stop(self) -> None:
        """Stop and free."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        # Own mappings instead of bytes objects: closing them lowers the resident size at once, on every
        # allocator.
        for block in self._blocks:
            block.close()
        self._blocks.clear()

    async def _grow(self, bytes_per_s: float) -> None:
        begin, taken = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_S)
            wanted = int((time.monotonic() - begin) * bytes_per_s) - taken
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

    def start(self, cores: float) -> None:
        """Burn `cores` cores: one child for each whole core and one for the rest."""
        while cores > 1e-9:
            share = min(cores, 1.0)
            cores -= share
            # A child ends when its standard input does, so it cannot outlive this process, however that ends.
            command = [sys.executable, "-I", os.path.abspath(__file__), repr(share)]
            self._children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))

    def stop(self) -> None:
        """End the children and reap them."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
        self._children.clear()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def burn(share: float) -> None:
    """Use `share` (0 to 1) of one core until standard input ends; never returns."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        begin = time.monotonic()
        while time.monotonic() - begin < share * TICK_S:
            pass
        time.sleep(max(0.0, TICK_S - (time.monotonic() - begin)))


if __name__ == "__main__":
    burn(float(sys.argv[1]))
