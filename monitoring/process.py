"""The server under test on this machine: CPU, memory and handles of its whole tree of processes."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from monitoring.allowance import cores_available, memory_limit
from monitoring.lookup import Lookup, open_links
from samples.journal import Event, EventKind, Journal

_WORKER = "monitor"


@dataclass(frozen=True, slots=True)
class _CpuTime:
    """CPU seconds of one process, and of its children that have ended and were waited for."""

    own: float
    ended: float


class TargetProbe:
    """Reads a process tree that may come late, go, and come back; each of these is noted in the journal.

    Metrics are sums over the tree: `cpu_cores`, `rss_bytes` (pages that are shared count in each process),
    `threads`, `open_files` (descriptors of every kind), `connections` (sockets), `processes`. A figure that
    cannot be read for one process of the tree is left out: part of a sum would pass for the whole. `cores_available`
    and `memory_limit_bytes` are what the root may use, where that is known.
    """

    source = "target"

    def __init__(self, lookup: Lookup, clock: Callable[[], float], journal: Journal) -> None:
        self._lookup, self._clock, self._journal = lookup, clock, journal
        self._root: psutil.Process | None = None
        self._cpu: dict[tuple[int, float], _CpuTime] = {}
        self._at: float | None = None
        self._lost_at: float | None = None
        self._search_at = clock()
        self._noted_missing = False
        self._allowed: dict[str, float] = {}

    @property
    def pid(self) -> int | None:
        """Process id of the root, while there is one."""
        return self._root.pid if self._root is not None else None

    def read(self) -> dict[str, float]:
        """Return the metrics by name, or none while the target is not there; CPU is since the last call."""
        if self._root is None and not self._found():
            return {}
        values = self._read_tree()
        if values is None:
            self._lost()
            # A server that was restarted between two readings is there already.
            if self._found():
                values = self._read_tree()
        return values or {}

    def _found(self) -> bool:
        now = self._clock()
        if now < self._search_at:
            return False
        self._search_at = now + self._lookup.pause_s
        self._root = self._lookup.find()
        if self._root is None:
            if self._lost_at is None and not self._noted_missing:
                self._noted_missing = True
                self._note(f"the target was not found yet: there is no {self._lookup} that can be seen")
            return False
        if self._lost_at is not None or self._noted_missing:
            gap = "" if self._lost_at is None else f" again, after {now - self._lost_at:.1f} s without readings"
            self._note(f"the target was found{gap}: process {self._root.pid}")
        self._lost_at, self._noted_missing = None, False
        self._cpu, self._at = {}, None
        allowed = {
            "cores_available": cores_available(self._root.pid),
            "memory_limit_bytes": memory_limit(self._root.pid),
        }
        self._allowed = {name: value for name, value in allowed.items() if value is not None}
        return True

    def _lost(self) -> None:
        assert self._root is not None  # lost is only what was found
        self._note(f"the target's process {self._root.pid} has ended; its readings have a gap from here on")
        self._root, self._lost_at = None, self._clock()

    def _note(self, text: str) -> None:
        self._journal.add(Event(self._clock(), EventKind.WARNING, text, _WORKER))

    def _read_tree(self) -> dict[str, float] | None:
        """Return the sums over the tree, or None when its root has ended."""
        root = self._root
        assert root is not None  # held by read
        try:
            if not root.is_running() or root.status() == psutil.STATUS_ZOMBIE:
                return None
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            family = [root]
        now = self._clock()
        cpu: dict[tuple[int, float], _CpuTime] = {}
        # None: unreadable for one of them, hence unknown for all.
        sums: dict[str, float | None] = dict.fromkeys(
            ("rss_bytes", "threads", "open_files", "connections", "processes"), 0.0
        )
        for process in family:
            one = _read_process(process, cpu)
            for name, value in (one or {}).items():
                before = sums[name]
                sums[name] = None if before is None or value is None else before + value
        if not sums["processes"]:
            return None
        values = {name: value for name, value in sums.items() if value is not None}
        if self._at is not None and now > self._at:
            values["cpu_cores"] = _cpu_seconds(self._cpu, cpu) / (now - self._at)
        self._cpu, self._at = cpu, now
        return values | self._allowed


def _read_process(process: psutil.Process, cpu: dict[tuple[int, float], _CpuTime]) -> dict[str, float | None] | None:
    """Return one process's share of the sums, None for what may not be seen; None when it has ended."""
    try:
        with process.oneshot():
            times = process.cpu_times()
            ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            cpu[process.pid, process.create_time()] = _CpuTime(times.user + times.system, ended)
            if process.status() == psutil.STATUS_ZOMBIE:
                # It holds nothing any more; its CPU time passes on to the parent that waits for it.
                return None
            values: dict[str, float | None] = {
                "processes": 1.0,
                "rss_bytes": _or_none(lambda: process.memory_info().rss),
                "threads": _or_none(process.num_threads),
            }
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except psutil.AccessDenied:
        return dict.fromkeys(("rss_bytes", "threads", "open_files", "connections")) | {"processes": 1.0}
    return values | _handles(process)


def _handles(process: psutil.Process) -> dict[str, float | None]:
    if sys.platform != "linux":
        # Counting sockets elsewhere takes psutil's slow way through every descriptor of the machine.
        counted = _or_none(process.num_fds) if hasattr(process, "num_fds") else None
        return {"open_files": counted, "connections": None}
    links = open_links(process.pid)
    if links is None:
        return {"open_files": None, "connections": None}
    sockets = sum(link.startswith("socket:") for link in links)
    return {"open_files": float(len(links)), "connections": float(sockets)}


def _or_none(read: Callable[[], float]) -> float | None:
    try:
        return float(read())
    except psutil.AccessDenied:
        return None


def _cpu_seconds(before: dict[tuple[int, float], _CpuTime], after: dict[tuple[int, float], _CpuTime]) -> float:
    """Return the CPU time that the tree spent between two readings.

    A child that ends passes its whole CPU time on to the parent that waits for it, also what was counted
    earlier; that part is taken off again. When nobody waits for it (an orphan, an ignored SIGCHLD) its time is
    lost, and the difference must not eat into what the others spent.
    """
    nothing = _CpuTime(0.0, 0.0)
    own = sum(max(0.0, now.own - before.get(key, nothing).own) for key, now in after.items())
    passed_on = sum(max(0.0, now.ended - before.get(key, nothing).ended) for key, now in after.items())
    known = sum(gone.own + gone.ended for key, gone in before.items() if key not in after)
    return own + max(0.0, passed_on - known)
