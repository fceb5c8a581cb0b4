"""How the tests share the machine, and what they may not leave on it.

`make test` runs them in several processes, because most of the long ones wait; plain `pytest` runs them one by one.
A test marked `alone` measures time: while it runs, no other does. One marked `clock` watches a clock, and has room
for what others do meanwhile. Both have three attempts: a machine that is busy with something else delays a process now
and then; what is wrong is wrong in every attempt.
"""

from __future__ import annotations

import fcntl
import os
import signal
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest
from xdist.remote import Producer

from tests.handing_out import InPieces, place

_MARK = "PROOFLOAD_TESTS"
_ATTEMPTS = 3
_PATIENCE_S = 5.0


def pytest_configure() -> None:
    os.environ[_MARK] = uuid.uuid4().hex  # every process that the tests of this one start inherits it
    # Hundreds of processes are started, and need not compile the same modules again and again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the runs, which wait most, and end with the tests that are to be alone."""
    for item in items:
        if _is_alone(item) or item.get_closest_marker("clock") is not None:
            item.add_marker(pytest.mark.flaky(reruns=_ATTEMPTS - 1))
    items.sort(key=lambda item: (_is_alone(item), *place(item.nodeid)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InPieces:
    return InPieces(config, log)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of the limit on a test's time, which is not for waiting here
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with Path(__file__).open(encoding="utf-8") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_behind() -> Iterator[None]:
    """The first fixture to be set up, and so the last to be torn down: after every server that tests shared."""
    yield
    _, left = psutil.wait_procs(_started_here(), timeout=_PATIENCE_S)
    commands = [process.cmdline() for process in left if process.is_running()]
    for process in left:
        process.send_signal(signal.SIGKILL)
    assert commands == [], "outlived the tests that started them"


def _started_here() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _carries_the_mark(process)]


def _carries_the_mark(process: psutil.Process) -> bool:
    try:
        return process.environ().get(_MARK) == os.environ[_MARK] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
