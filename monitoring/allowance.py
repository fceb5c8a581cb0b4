"""What a process may use of its machine: cores by affinity and quota, memory by its control group (version 1 or 2)."""

import os
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60
"""Version 1 writes a number near 2**63 where there is no limit."""


def cores_available(pid: int, root: Path = _GROUPS) -> float | None:
    """Return the cores that a process may keep busy; None where that cannot be told."""
    try:
        process = psutil.Process(pid)
        # No affinity on macOS: every core can be used there.
        cores = float(len(process.cpu_affinity() or ()) if hasattr(process, "cpu_affinity") else os.cpu_count() or 0)
    except (psutil.Error, OSError):
        return None
    quotas = [quota for folder in _folders(pid, "cpu", root) if (quota := _quota(folder)) is not None]
    return min([cores, *quotas]) or None


def memory_limit(pid: int, root: Path = _GROUPS) -> float | None:
    """Return the bytes that a process and those in its control group may hold; None without a limit."""
    names = ("memory.max", "memory.limit_in_bytes")
    found = [_number(folder / name) for folder in _folders(pid, "memory", root) for name in names]
    limits = [limit for limit in found if limit is not None and 0 < limit < _UNLIMITED]
    return min(limits, default=None)


def _folders(pid: int, controller: str, root: Path) -> list[Path]:
    """Return the folders of the control group of a process and of those above it."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controller if controllers else root
        inner = base / path.lstrip("/")
        found += [folder for folder in (inner, *inner.parents) if folder == base or base in folder.parents]
    return found


def _quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError):
        pass
    used, each = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return used / each if used is not None and each and used > 0 else None


def _number(file: Path) -> float | None:
    try:
        return float(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
