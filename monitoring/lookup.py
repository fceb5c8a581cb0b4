"""Finding the process of the server under test: by its id, by the port that it listens on, or by its name."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

_LISTEN = "0A"


class Lookup(Protocol):
    """A way to find the target; `pause_s` is how long to wait before the next search, by its cost."""

    pause_s: float

    def __str__(self) -> str: ...

    def find(self) -> psutil.Process | None:
        """Return the target's root process, or None when there is none that can be seen."""


@dataclass(slots=True)
class ByPid:
    """The process with this id, and never another that gets the same id later."""

    pid: int
    pause_s: float = 0.0
    _found: psutil.Process | None = None

    def __str__(self) -> str:
        return f"process {self.pid}"

    def find(self) -> psutil.Process | None:
        """Return the process while it lives."""
        if self._found is None:
            try:
                self._found = psutil.Process(self.pid)
            except psutil.Error:
                return None
        return self._found if _alive(self._found) else None


@dataclass(slots=True)
class ByPort:
    """The process that listens on a TCP port of this machine; of several that share it, the eldest."""

    port: int
    pause_s: float = 0.0

    def __str__(self) -> str:
        return f"process that listens on port {self.port}"

    def find(self) -> psutil.Process | None:
        """Return the listener. On Linux a port without a listener costs two small reads."""
        pids = _owners(_listening_inodes(self.port)) if sys.platform == "linux" else _listeners(self.port)
        return _eldest(pids)


@dataclass(slots=True)
class ByName:
    """The eldest process whose name is the text or whose command line contains it."""

    text: str
    pause_s: float = 2.0

    def __str__(self) -> str:
        return f"process called '{self.text}'"

    def find(self) -> psutil.Process | None:
        """Return the process; not this one nor those that started it, which carry the text as an option."""
        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        named: list[int] = []
        mentioned: list[int] = []
        for process in psutil.process_iter(["pid", "name", "cmdline"]):
            if process.pid in own:
                continue
            if process.info["name"] == self.text:
                named.append(process.pid)
            elif self.text in " ".join(process.info["cmdline"] or ()):
                mentioned.append(process.pid)
        return _eldest(named or mentioned)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _eldest(pids: Iterable[int]) -> psutil.Process | None:
    """Return the process that began first: a server begins before its workers."""
    found: list[tuple[float, int, psutil.Process]] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found.append((process.create_time(), pid, process))
        except psutil.Error:
            continue
    return min((entry for entry in found if _alive(entry[2])), default=(0.0, 0, None))[2]


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if parts[3] == _LISTEN and int(parts[1].rpartition(":")[2], 16) == port:
                inodes.add(parts[9])
    return inodes


def _owners(inodes: set[str]) -> list[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return [pid for pid in psutil.pids() if not wanted.isdisjoint(open_links(pid) or ())] if wanted else []


def open_links(pid: int) -> list[str] | None:
    """Return what each open descriptor of a process points to; None when that may not be seen (Linux)."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    links: list[str] = []
    for name in names:
        try:
            links.append(os.readlink(f"{folder}/{name}"))
        except OSError:
            continue
    return links


def _listeners(port: int) -> list[int]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (OSError, psutil.Error):
        return []
    return [
        connection.pid
        for connection in connections
        if connection.pid
        and connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr[1] == port
    ]
