"""The monitor as a process: what it writes, when it begins and ends, and what it costs."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from samples.journal import read_events
from samples.segments import read_batches, reading_files
from tests.monitoring.conftest import ROOT, StartChild, StartMonitor, wait_for

IDLE = "print('ready'); input()"
BURN = "import time\nprint('ready')\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
LISTEN = """
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen()
print("ready")
input()
"""


def test_it_watches_the_machine_at_even_times(monitor: StartMonitor) -> None:
    running = monitor("--host", origin=time.monotonic() + 3, interval=0.2)
    wait_for(lambda: running.now() > 1.5)
    last = running.stop()
    metrics = {str(reading["metric"]) for reading in running.readings()}
    expected = {"cpu_cores", "cpu_share", "memory_used_bytes", "memory_share", "load_1m"}
    by_machine = {"disk_read_bps", "disk_write_bps", "disk_busy_share", "iowait_share", "net_sent_bps", "net_recv_bps"}
    assert expected | by_machine >= metrics >= expected
    assert {reading["source"] for reading in running.readings()} == {"host"}
    times = sorted({float(str(reading["t_s"])) for reading in running.readings()})
    assert times[0] < 0, "a reading before load is wanted"
    assert last["readings"] == len(running.readings())
    early = [t for t in times[1:] if t % 0.2 > 0.1 and 0.2 - t % 0.2 > 0.01]
    assert len(early) <= len(times) / 3, f"most readings stand at multiples of the interval: {times}"
    assert all(0 <= share <= 1 for share in running.values("host", "cpu_share"))
    assert all(0 < share < 1 for share in running.values("host", "memory_share"))
    assert all(cores >= 0 for cores in running.values("host", "cpu_cores"))
    # Of a short interval the system's own ticks are a large part: one reading may be too high, not most of them.
    assert statistics.median(running.values("host", "cpu_cores")) <= (os.cpu_count() or 1) * 1.1


@pytest.mark.alone
def test_a_burning_core_shows_as_one_core(monitor: StartMonitor, child: StartChild) -> None:
    target = child(BURN)
    # What the kernel says that the child got in the same time: on a shared machine that may be less than a core.
    running = monitor("--target-pid", target.pid)
    assert running.ready["target_pid"] == target.pid
    began, spent = running.now(), _cpu_seconds(target.pid)
    time.sleep(2.0)
    granted = (_cpu_seconds(target.pid) - spent) / (running.now() - began)
    running.stop()
    cores = running.values("target", "cpu_cores")
    assert len(cores) >= 5
    assert sum(cores) / len(cores) == pytest.approx(granted, abs=0.15)
    assert granted > 0.3, "the machine is too busy for this test"
    assert max(cores) < 1.3


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_memory_that_is_taken_shows(monitor: StartMonitor, child: StartChild) -> None:
    target = child("print('ready'); input(); taken = bytearray(b'x') * 80_000_000; print('ready'); input()")
    running = monitor("--target-pid", target.pid)
    time.sleep(0.5)
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write("\n")
    target.stdin.flush()
    target.stdout.readline()
    time.sleep(0.5)
    running.stop()
    rss = running.values("target", "rss_bytes")
    assert 75e6 < rss[-1] - rss[0] < 95e6


@pytest.mark.alone
def test_grandchildren_count(monitor: StartMonitor, child: StartChild) -> None:
    spawn = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]); p.wait()"
    target = child(spawn, spawn, BURN)
    running = monitor("--target-pid", target.pid)
    time.sleep(1.5)
    running.stop()
    burning = [int(p) for p in _descendants(target.pid)]
    try:
        assert running.values("target", "processes")[-1] == 3
        assert running.values("target", "threads")[-1] == 3
        assert max(running.values("target", "cpu_cores")) > 0.3
    finally:
        for pid in burning:
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for one in children for below in _descendants(one))]


@pytest.mark.alone
def test_children_that_come_and_go_never_give_negative_or_doubled_cpu(monitor: StartMonitor, child: StartChild) -> None:
    code = """
import subprocess, sys, time
print("ready")
burn = "import time; end = time.process_time() + 0.3\\nwhile time.process_time() < end: pass"
end = time.monotonic() + 60
while time.monotonic() < end:
    subprocess.run([sys.executable, "-c", burn])
"""
    running = monitor("--target-pid", child(code).pid)
    time.sleep(3.0)
    running.stop()
    cores = running.values("target", "cpu_cores")
    assert min(cores) >= 0
    # One child at a time burns: together never more than a core, and no child's time is lost when it ends.
    assert max(cores) < 1.5
    assert 0.3 < sum(cores) / len(cores) < 1.15


def test_descriptors_and_sockets_are_counted(monitor: StartMonitor, child: StartChild) -> None:
    code = """
import os, socket
kept = [socket.socketpair() for _ in range(5)] + [open(os.devnull) for _ in range(7)]
print("ready"); input()
"""
    idle, busy = child(IDLE), child(code)
    first = monitor("--target-pid", idle.pid)
    first.stop()
    plain = first.values("target", "open_files")[-1], first.values("target", "connections")[-1]
    second = monitor("--target-pid", busy.pid)
    second.stop()
    assert second.values("target", "open_files")[-1] == plain[0] + 17
    assert second.values("target", "connections")[-1] == plain[1] + 10


def test_a_target_that_ends_leaves_a_gap_and_a_line_in_the_journal(monitor: StartMonitor, child: StartChild) -> None:
    target = child(IDLE)
    running = monitor("--host", "--target-pid", target.pid)
    time.sleep(0.5)
    target.kill()
    target.wait()
    ended = running.now()
    time.sleep(0.8)
    assert running.process.poll() is None
    running.stop()
    assert not running.values("target", "rss_bytes", after=ended + 0.1)
    assert running.values("host", "memory_used_bytes", after=ended + 0.2)
    (event,) = read_events(running.folder)
    assert f"process {target.pid} has ended" in event.text


def test_a_zombie_is_no_target(monitor: StartMonitor, child: StartChild) -> None:
    target = child("import os, time; pid = os.fork()\nif pid == 0: os._exit(0)\nprint('ready'); input()")
    (zombie,) = _descendants(target.pid)
    running = monitor("--target-pid", zombie)
    time.sleep(0.4)
    running.stop()
    assert running.ready["target_pid"] is None
    assert running.readings() == []


def test_a_listening_port_is_found_when_it_starts_late_and_again_when_it_restarts(
    monitor: StartMonitor, child: StartChild, free_port: int
) -> None:
    running = monitor("--target-port", free_port)
    assert running.ready["target_pid"] is None
    time.sleep(0.3)
    server = child(LISTEN, free_port)
    wait_for(lambda: running.values("target", "rss_bytes"))
    server.kill()
    server.wait()
    time.sleep(0.5)
    again, began = child(LISTEN, free_port), running.now()
    wait_for(lambda: running.values("target", "rss_bytes", after=began))
    running.stop()
    texts = [event.text for event in read_events(running.folder)]
    assert [text.split(":")[0].split(";")[0] for text in texts[:3]] == [
        "the target was not found yet",
        "the target was found",
        f"the target's process {server.pid} has ended",
    ]
    assert "the target was found again, after" in texts[3]
    assert texts[3].endswith(f"process {again.pid}")
    assert len(texts) == 4
    assert all(cores >= 0 for cores in running.values("target", "cpu_cores"))


def test_of_processes_that_share_a_port_the_eldest_is_the_target(
    monitor: StartMonitor, child: StartChild, free_port: int
) -> None:
    code = LISTEN.replace(
        'print("ready")', 'import os, time\nif os.fork() == 0: time.sleep(60); os._exit(0)\nprint("ready")'
    )
    server = child(code, free_port)
    below = _descendants(server.pid)
    running = monitor("--target-port", free_port)
    running.stop()
    for pid in below:
        os.kill(pid, signal.SIGKILL)
    assert running.ready["target_pid"] == server.pid
    assert running.values("target", "processes")[-1] == 2


def test_a_name_is_found_in_the_command_line_and_never_the_monitor_itself(
    monitor: StartMonitor, child: StartChild
) -> None:
    name = f"a-server-called-{os.getpid()}"
    running = monitor("--target-name", name)
    assert running.ready["target_pid"] is None
    running.stop()
    target = child(IDLE, name)
    found = monitor("--target-name", name)
    found.stop()
    assert found.ready["target_pid"] == target.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_everything_on_disk(monitor: StartMonitor, number: signal.Signals) -> None:
    running = monitor("--host", interval=0.1)
    time.sleep(0.75)
    running.process.send_signal(number)
    last = running.stop()
    assert running.process.returncode == 0
    assert last["write_errors"] == 0
    assert len(running.readings()) == last["readings"]
    # Written about once a second, and once more at the end.
    assert len(list(read_batches(running.folder / "resources-monitor.arrow"))) <= 3
    assert max(float(str(reading["t_s"])) for reading in running.readings()) > running.now() - 2


def test_the_end_of_its_input_ends_it_when_asked_to(monitor: StartMonitor) -> None:
    running = monitor("--host", "--exit-with-parent")
    time.sleep(0.3)
    assert running.process.poll() is None
    assert running.process.stdin is not None
    running.process.stdin.close()
    running.process.wait(timeout=5)
    assert running.process.returncode == 0
    assert running.readings()


def test_the_end_of_its_input_is_nothing_otherwise(monitor: StartMonitor) -> None:
    running = monitor("--host")
    assert running.process.stdin is not None
    running.process.stdin.close()
    running.process.stdin = None
    time.sleep(0.5)
    assert running.process.poll() is None
    running.stop()


def test_a_second_monitor_leaves_the_first_one_s_readings_alone(monitor: StartMonitor) -> None:
    first = monitor("--host")
    first.stop()
    before = first.readings()
    second = monitor("--host")
    second.stop()
    assert second.ready["file"] == "resources-monitor2.arrow"
    assert first.readings() == before
    assert [path.name for path in reading_files(first.folder)] == [
        "resources-monitor.arrow",
        "resources-monitor2.arrow",
    ]


@pytest.mark.alone
def test_it_sleeps_between_readings(monitor: StartMonitor, child: StartChild) -> None:
    running = monitor("--host", "--target-pid", child(IDLE).pid, interval=1.0)
    time.sleep(6)
    # A few hundredths on a quiet machine; a monitor that does not sleep would take a whole core.
    assert running.stop()["monitor_cpu_cores"] < 0.5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--folder"),
        (["--folder", ".", "--origin", "5"], "there is nothing to watch"),
        (["--folder", "/nowhere", "--origin", "5", "--host"], "must be a folder that exists, got '/nowhere'"),
        (["--folder", ".", "--origin", "soon", "--host"], "must be a number of seconds, got 'soon'"),
        (["--folder", ".", "--origin", "inf", "--host"], "must be a number of seconds, got 'inf'"),
        (["--folder", ".", "--origin", "5", "--host", "--interval", "0"], "must be from 0.05 to 3600 seconds, got '0'"),
        (["--folder", ".", "--origin", "5", "--target-port", "70000"], "must be a whole number from 1 to 65535"),
        (["--folder", ".", "--origin", "5", "--target-pid", "-1"], "must be a whole number from 1 to"),
        (["--folder", ".", "--origin", "5", "--target-name", " "], "must be the name of a process"),
        (["--folder", ".", "--origin", "5", "--target-pid", "1", "--target-port", "80"], "not allowed with argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(options: list[str], expected: str) -> None:
    command = [sys.executable, "-m", "monitoring", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_its_lines_are_json(monitor: StartMonitor) -> None:
    running = monitor("--host")
    assert running.ready["ready"] is True
    running.process.send_signal(signal.SIGTERM)
    output, _ = running.process.communicate(timeout=10)
    *reading, last = [json.loads(line) for line in output.splitlines()]
    assert last["stopped"] is True
    assert [list(line) for line in reading] in ([], [["before"]])  # by when the signal came
