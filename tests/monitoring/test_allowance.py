"""What a process may use, read from control groups of both versions."""

import os
from pathlib import Path

import psutil
import pytest

from monitoring import allowance


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of control groups, and this process in `/box/inner` of each version."""
    lines = "9:memory:/box/inner\n3:cpu,cpuacct:/box/inner\n0::/box/inner\n"
    real = Path.read_text

    def read(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        return lines if self == Path(f"/proc/{os.getpid()}/cgroup") else real(self, encoding, errors)

    monkeypatch.setattr(Path, "read_text", read)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")


def test_without_limits_all_cores_of_the_affinity_are_there(groups: Path) -> None:
    assert allowance.cores_available(os.getpid(), groups) == len(psutil.Process().cpu_affinity() or [])
    assert allowance.memory_limit(os.getpid(), groups) is None


def test_the_lowest_limit_from_the_process_up_counts(groups: Path) -> None:
    write(groups, "box/inner/cpu.max", "max 100000")
    write(groups, "box/cpu.max", "50000 100000")
    write(groups, "box/inner/memory.max", "max")
    write(groups, "box/memory.max", str(2**30))
    assert allowance.cores_available(os.getpid(), groups) == 0.5
    assert allowance.memory_limit(os.getpid(), groups) == 2**30


def test_the_first_version_is_read_too(groups: Path) -> None:
    write(groups, "cpu/box/inner/cpu.cfs_quota_us", "25000")
    write(groups, "cpu/box/inner/cpu.cfs_period_us", "100000")
    write(groups, "cpu/box/cpu.cfs_quota_us", "-1")
    write(groups, "memory/box/inner/memory.limit_in_bytes", str(2**63 - 4096))
    write(groups, "memory/box/memory.limit_in_bytes", str(2**28))
    assert allowance.cores_available(os.getpid(), groups) is not None
    assert allowance.memory_limit(os.getpid(), groups) == 2**28


def test_a_process_that_has_gone_has_no_cores() -> None:
    assert allowance.cores_available(2**22 - 1) is None
