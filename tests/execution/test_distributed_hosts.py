"""Every node asks for itself whether load may go to a host: a worker does not rely on its master."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plans.run import Ending
from tests.execution.crews import PATIENCE_S, port_of, started, worker
from tests.execution.harness import ENVIRONMENT, ROOT, command, finished, locust_of, plan_file


def own_address() -> str | None:
    """Return an address of this machine that is not loopback: nothing may be sent there unless it is allowed."""
    addresses = [one.address for several in psutil.net_if_addrs().values() for one in several if one.family == 2]
    return next((address for address in addresses if not address.startswith("127.")), None)


ADDRESS = own_address()
pytestmark = pytest.mark.skipif(ADDRESS is None, reason="this machine has no address but loopback")


class Stranger:
    """A server of somebody else's, which counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server((ADDRESS or "", 0))
        self.name, self.visits = f"{ADDRESS}:{self._socket.getsockname()[1]}", 0
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return  # closed
            self.visits += 1
            with visitor:
                visitor.recv(1000)
                visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    server = Stranger()
    yield server
    server.close()


@contextmanager
def forging(plan: Path, host: str) -> Iterator["subprocess.Popen[str]"]:
    arguments = [sys.executable, "-m", "tests.execution.forging_master", str(plan), host]
    with subprocess.Popen(arguments, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def answer_to(plan: Path, host: str, *options: str) -> list[str]:
    """Return what a worker that was started with these options says to the order to load a host."""
    with forging(plan, host) as master:
        assert master.stdout is not None
        with worker(int(master.stdout.readline()), *options):
            said: list[str] = json.loads(master.stdout.readline())
            return said


def test_a_worker_refuses_a_host_that_the_plan_does_not_allow(tmp_path: Path, stranger: Stranger) -> None:
    (problem,) = answer_to(plan_file(tmp_path), f"http://{stranger.name}")
    assert problem.startswith(f"host is not allowed: add '{ADDRESS}'")
    assert stranger.visits == 0


def test_a_worker_with_a_list_of_its_own_refuses_what_only_the_plan_allows(tmp_path: Path, stranger: Stranger) -> None:
    plan = plan_file(tmp_path, target={"allow": [ADDRESS]})
    (problem,) = answer_to(plan, f"http://{stranger.name}", "--allow-host=other.example,another.example")
    assert problem.startswith(f"host is not allowed: add '{ADDRESS}'")
    assert problem.endswith("(this worker has an --allow-host of its own)")
    assert stranger.visits == 0
    mix: dict[str, Any] = {"DatabaseUser": {"url": f"postgresql://user@{stranger.name}/name"}}
    (problem,) = answer_to(plan_file(tmp_path, target={"allow": [ADDRESS]}, mix=mix), "", "--allow-host=other.example")
    assert problem.startswith(f"mix.DatabaseUser.url is not allowed: add '{ADDRESS}'")
    assert stranger.visits == 0


@pytest.mark.parametrize("own", [[], ["--allow-host=other.example,*.*.*.*"]])
def test_a_worker_goes_where_both_lists_allow_it(tmp_path: Path, stranger: Stranger, own: list[str]) -> None:
    plan = plan_file(tmp_path, target={"allow": [ADDRESS]})
    assert answer_to(plan, f"http://{stranger.name}", *own) == []
    assert stranger.visits > 0


def test_a_run_says_which_worker_refused_its_host(tmp_path: Path, stranger: Stranger) -> None:
    plan, runs = plan_file(tmp_path), tmp_path / "runs"
    allowed = [f"--host=http://{stranger.name}", f"--allow-host={ADDRESS}"]
    with (
        started(*command(plan, runs, "--master", "--master-bind-port=0", *allowed)) as process,
        worker(port_of(locust_of(process.pid)), "--allow-host=other.example"),
    ):
        out, _ = process.communicate(timeout=PATIENCE_S)
    run = finished(process.returncode, out, "", runs)
    assert run.code == 3
    assert run.record.ending is Ending.FAILED_TO_START
    (note,) = [note for note in run.record.notes if "cannot take part" in note]
    assert "worker 0 " in note
    assert f"host is not allowed: add '{ADDRESS}'" in note
    assert run.samples == []
