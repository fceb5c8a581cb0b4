"""Pacing, batches, a disk that refuses, and the sums over a process tree, with injected clocks."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from monitoring import process
from monitoring.host import HostProbe
from monitoring.lookup import ByPid
from monitoring.process import TargetProbe
from monitoring.sampler import Sampler, segment_path
from samples.journal import Journal
from samples.segments import READING_SCHEMA, SegmentWriter, read_batches


class Clock:
    """A clock that moves only when somebody waits or works."""

    def __init__(self, now: float = 0.0, end: float = 10.0) -> None:
        self.now, self.end = now, end

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now > self.end


class SlowProbe:
    """Takes some time for a reading, once."""

    source = "host"

    def __init__(self, clock: Clock, slow_at: float = 1e9, slow_s: float = 0.0) -> None:
        self.clock, self.slow_at, self.slow_s = clock, slow_at, slow_s
        self.times: list[float] = []

    def read(self) -> dict[str, float]:
        self.times.append(round(self.clock.now, 6))
        if self.clock.now >= self.slow_at:
            self.clock.now += self.slow_s
            self.slow_at = 1e9
        return {"load_1m": 1.0}


def sampler_of(folder: Path, clock: Clock, probe: SlowProbe, interval: float = 1.0) -> Sampler:
    return Sampler([probe], SegmentWriter(segment_path(folder), READING_SCHEMA), interval, clock, clock.wait)


def test_readings_stand_at_multiples_of_the_interval_and_do_not_drift(tmp_path: Path) -> None:
    clock = Clock(-2.3, 4.0)
    probe = SlowProbe(clock)
    sampler_of(tmp_path, clock, probe).run()
    assert probe.times == [-1, 0, 1, 2, 3, 4]


def test_the_second_reading_comes_at_least_half_an_interval_after_the_first(tmp_path: Path) -> None:
    clock = Clock(-0.2, 3.0)
    probe = SlowProbe(clock)
    sampler_of(tmp_path, clock, probe).run()
    assert probe.times[0] == 1


def test_times_that_were_missed_are_left_out(tmp_path: Path) -> None:
    clock = Clock(0, 8.0)
    probe = SlowProbe(clock, slow_at=2, slow_s=3.4)
    sampler_of(tmp_path, clock, probe).run()
    assert probe.times == [1, 2, 6, 7, 8]


@pytest.mark.parametrize(("interval", "batches"), [(0.1, 10), (0.5, 10), (1.0, 10), (2.0, 5)])
def test_a_batch_is_written_about_once_a_second(tmp_path: Path, interval: float, batches: int) -> None:
    clock = Clock(0, 10.0)
    sampler_of(tmp_path, clock, SlowProbe(clock), interval).run()
    written = list(read_batches(tmp_path / "resources-monitor.arrow"))
    assert batches <= len(written) <= batches + 2
    assert sum(batch.num_rows for batch in written) == pytest.approx(10 / interval, abs=1)


def test_readings_that_the_disk_refuses_are_kept_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(0, 5.0)
    sampler = sampler_of(tmp_path, clock, SlowProbe(clock))
    real, refused = SegmentWriter.append, [OSError(28, "full"), OSError(28, "full")]

    def append(self: SegmentWriter, records: list[object]) -> None:
        if refused:
            raise refused.pop()
        real(self, records)  # type: ignore[arg-type]

    monkeypatch.setattr(SegmentWriter, "append", append)
    sampler.run()
    assert sampler.write_errors == 2
    rows = sum(batch.num_rows for batch in read_batches(tmp_path / "resources-monitor.arrow"))
    assert rows == sampler.readings == 5


def test_what_the_machine_does_not_tell_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError("not here")

    for name in ("virtual_memory", "getloadavg", "disk_io_counters"):
        monkeypatch.setattr(psutil, name, refuse)
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    clock = Clock(0)
    probe = HostProbe(clock)
    assert probe.read() == {}
    clock.now = 1
    assert set(probe.read()) <= {"cpu_cores", "cpu_share", "iowait_share"}


def test_the_busiest_disk_and_the_wait_for_it_are_shares_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([{"sda": 1000, "sdb": 0}, {"sda": 1500, "sdb": 1200}, {"sda": 100, "sdb": 1200}])
    waited = iter([10.0, 11.0, 11.0])

    def disks(*, perdisk: bool = False) -> object:
        return {name: SimpleNamespace(busy_time=value) for name, value in next(busy).items()} if perdisk else None

    def cpu() -> object:
        return SimpleNamespace(_asdict=lambda: {"user": 5.0, "idle": clock.now - 5, "iowait": next(waited)})

    clock = Clock(10)
    monkeypatch.setattr(psutil, "disk_io_counters", disks)
    monkeypatch.setattr(psutil, "cpu_times", cpu)
    probe = HostProbe(clock)
    found = []
    for clock.now in (10, 12, 14):
        values = probe.read()
        found.append((values.get("disk_busy_share"), values.get("iowait_share")))
    # A counter that fell was reset; the others still count.
    assert found == [(None, None), (0.6, pytest.approx(1 / 3)), (0.0, 0.0)]


def test_counters_that_fall_give_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    totals = iter([100, 350, 20, 30])

    class Counters:
        def _asdict(self) -> dict[str, float]:
            return {"bytes_sent": next(totals)}

    monkeypatch.setattr(psutil, "net_io_counters", Counters)
    clock = Clock(0)
    probe = HostProbe(clock)
    rates = []
    for clock.now in (2, 4, 6, 8):
        rates.append(probe.read().get("net_sent_bps"))
    assert rates == [None, 125, None, 5]


def cpu_time(**own_and_ended: tuple[float, float]) -> dict[tuple[int, float], process._CpuTime]:
    return {(ord(name), 0.0): process._CpuTime(*times) for name, times in own_and_ended.items()}


@pytest.mark.parametrize(
    ("before", "after", "spent"),
    [
        ({"a": (5, 0)}, {"a": (6, 0)}, 1),
        ({"a": (5, 0)}, {"a": (6, 0), "b": (2, 0)}, 3),
        # A child that ends and is waited for: its 3 s were counted, its last 0.5 s were not.
        ({"a": (5, 0), "b": (3, 0)}, {"a": (6, 3.5)}, 1.5),
        # It had a child of its own that had ended before.
        ({"a": (5, 0), "b": (3, 2)}, {"a": (6, 5.5)}, 1.5),
        # Nobody waited for it: its time is lost, and must not be taken from the others.
        ({"a": (5, 0), "b": (3, 0)}, {"a": (6, 0)}, 1),
        # It came and went between two readings.
        ({"a": (5, 0)}, {"a": (5, 0.7)}, 0.7),
        # The kernel's figures stepped back.
        ({"a": (5, 0)}, {"a": (4.99, 0)}, 0),
    ],
)
def test_cpu_time_of_a_tree(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]], spent: float
) -> None:
    assert process._cpu_seconds(cpu_time(**before), cpu_time(**after)) == pytest.approx(spent)


def test_what_may_not_be_seen_of_one_process_is_absent_for_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "open_links", lambda pid: None)

    def refuse(_: object) -> object:
        raise psutil.AccessDenied

    monkeypatch.setattr(type(psutil.Process()._proc), "memory_info", refuse)  # type: ignore[attr-defined]
    probe = TargetProbe(ByPid(psutil.Process().pid), Clock(0), Journal(tmp_path))
    values = probe.read()
    assert set(values) == {"threads", "processes", "cores_available"}


def test_the_first_reading_of_a_process_has_no_cpu(tmp_path: Path) -> None:
    clock = Clock(0)
    probe = TargetProbe(ByPid(psutil.Process().pid), clock, Journal(tmp_path))
    assert "cpu_cores" not in probe.read()
    clock.now = 1
    assert "cpu_cores" in probe.read()


def test_a_pid_that_never_was_is_noted_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    probe = TargetProbe(ByPid(2**22 + 1), Clock(0), journal)
    assert [probe.read() for _ in range(3)] == [{}, {}, {}]
    assert (tmp_path / "events.jsonl").read_text().count("was not found yet") == 1
