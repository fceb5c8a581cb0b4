"""The machine as a whole: busy cores, memory, disk and network, as rates between two readings."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import psutil


class _Transfer(Protocol):
    """What psutil's counters have in common: running totals since the machine was started."""

    def _asdict(self) -> dict[str, float]: ...


_DISK = {"read_bytes": "disk_read_bps", "write_bytes": "disk_write_bps"}
_NET = {"bytes_sent": "net_sent_bps", "bytes_recv": "net_recv_bps"}
_IDLE = ("idle", "iowait")
_COUNTED_TWICE = ("guest", "guest_nice")


class HostProbe:
    """Reads the machine; a figure that cannot be read here is left out of the readings, never 0.

    `cpu_cores` are busy cores, `*_share` 0 to 1, `*_bps` bytes per second, `load_1m` the load average.
    `iowait_share` is the part of the CPU's time in which it had nothing to do but wait for a disk, `disk_busy_share`
    the part of the time in which the busiest disk was at work.
    """

    source = "host"

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at: float | None = None
        self._cpu: dict[str, float] = {}
        self._totals: dict[str, float] = {}
        self._busy_ms: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """Return the metrics by name; rates are over the time since the last call, and not in the first."""
        now, cpu, totals, busy_ms = self._clock(), psutil.cpu_times()._asdict(), self._transfers(), _disks_busy_ms()
        values = self._levels()
        if self._at is not None and now > self._at:
            elapsed = now - self._at
            values |= _cpu_use(self._cpu, cpu, elapsed)
            for name, total in totals.items():
                # A counter that fell was reset: a device came or went.
                if name in self._totals and total >= self._totals[name]:
                    values[name] = (total - self._totals[name]) / elapsed
            if (busiest := _busiest(self._busy_ms, busy_ms)) is not None:
                values["disk_busy_share"] = min(busiest / 1000 / elapsed, 1.0)
        self._at, self._cpu, self._totals, self._busy_ms = now, cpu, totals, busy_ms
        return values

    def _levels(self) -> dict[str, float]:
        values: dict[str, float] = {}
        with suppress(OSError, psutil.Error):
            memory = psutil.virtual_memory()
            values["memory_used_bytes"] = float(memory.total - memory.available)
            values["memory_share"] = (memory.total - memory.available) / memory.total
        with suppress(OSError, AttributeError):
            values["load_1m"] = psutil.getloadavg()[0]
        return values

    def _transfers(self) -> dict[str, float]:
        totals: dict[str, float] = {}
        readers: tuple[tuple[Callable[[], _Transfer | None], dict[str, str]], ...] = (
            (psutil.disk_io_counters, _DISK),
            (psutil.net_io_counters, _NET),
        )
        for read, names in readers:
            try:
                counters = read()
            except (OSError, RuntimeError, psutil.Error):
                continue
            fields = counters._asdict() if counters is not None else {}
            totals |= {metric: fields[field] for field, metric in names.items() if field in fields}
        return totals


def _cpu_use(before: dict[str, float], after: dict[str, float], elapsed: float) -> dict[str, float]:
    # The kernel's counters can step back by a tick, so no difference may count below 0.
    spent = {name: max(0.0, after[name] - before[name]) for name in after if name not in _COUNTED_TWICE}
    total = sum(spent.values())
    busy = sum(seconds for name, seconds in spent.items() if name not in _IDLE)
    if total <= 0:
        return {}
    waiting = {"iowait_share": spent["iowait"] / total} if "iowait" in spent else {}
    return {"cpu_cores": busy / elapsed, "cpu_share": busy / total} | waiting


def _disks_busy_ms() -> dict[str, float]:
    """Return for how long each disk has been at work so far; none where the system does not tell."""
    try:
        disks = psutil.disk_io_counters(perdisk=True) or {}
    except (OSError, RuntimeError, psutil.Error):
        return {}
    busy = {name: getattr(counters, "busy_time", None) for name, counters in disks.items()}
    return {name: float(ms) for name, ms in busy.items() if ms is not None}


def _busiest(before: dict[str, float], after: dict[str, float]) -> float | None:
    grown = [total - before[name] for name, total in after.items() if name in before and total >= before[name]]
    return max(grown, default=None)
