"""The workers that a master has: who was taken in, and what passes between them and it."""

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from execution.distributed import identity
from execution.distributed.messages import (
    MESSAGE,
    FromMaster,
    FromWorker,
    Gone,
    Hello,
    Refused,
    Time,
    Welcome,
    packed,
    unpacked,
)
from execution.distributed.pools import OwnPools
from execution.options import ROOT

_log = logging.getLogger("proofload")
_STOP_S = 10.0
OTHER_CODE = "it runs another version of Proofload, of its packages or of its data than the master"


@dataclass(frozen=True, slots=True)
class Known:
    """A worker that was taken in."""

    name: str
    address: str
    """What Locust knows it by."""
    machine: str
    pid: int


class Workers:
    """The workers of one master process, over all its runs."""

    def __init__(self, environment: Environment) -> None:
        """Listen to the workers that come. Locust distributes no users from here on."""
        assert isinstance(environment.runner, MasterRunner)
        self._runner = environment.runner
        self._code = identity.code()
        self._known: dict[str, Known] = {}
        self._gone: set[str] = set()
        """Addresses of those that have said that they end: Locust misses them some seconds later."""
        self._children: list[subprocess.Popen[bytes]] = []
        self.hears: Callable[[Known, FromWorker], None] | None = None
        """Told of what workers say in a run, and of each that is taken in."""
        environment.dispatcher_class = OwnPools
        self._runner.register_message(MESSAGE, self._on_message)

    def present(self) -> list[Known]:
        """Return the workers that were taken in and are heard of."""
        here = {node.id for node in self._runner.clients.all if node.state != STATE_MISSING} - self._gone
        return [known for known in self._known.values() if known.address in here]

    def has_gone(self, worker: Known) -> bool:
        """Return whether a worker has said that it ends."""
        return worker.address in self._gone

    def tell(self, worker: Known, message: FromMaster) -> None:
        """Send a message; one that cannot be sent is lost, as on the way."""
        self._tell(worker.address, message)

    def _tell(self, address: str, message: FromMaster) -> None:
        try:
            self._runner.send_message(MESSAGE, packed(message), address)
        except Exception as error:
            _log.warning("a worker cannot be told: %s", error)

    def _on_message(self, environment: Environment, msg: Any) -> None:
        address = str(msg.node_id)
        try:
            message = unpacked(msg.data)
        except ValueError as error:
            _log.warning("worker %s sent %s", address, error)
            self._tell(address, Refused(OTHER_CODE))
            return
        if isinstance(message, Time):
            self._tell(address, Time(message.asked, monotonic()))
        elif isinstance(message, Hello):
            self._greet(address, message)
        elif isinstance(message, Gone):
            self._gone.add(address)
        elif self.hears is not None and (known := self._known.get(address)) is not None:
            self.hears(known, message)  # type: ignore[arg-type]  # what a master says no worker sends

    def _greet(self, address: str, hello: Hello) -> None:
        if hello.code != self._code:
            _log.warning("worker %s on %s is refused: %s", address, hello.machine, OTHER_CODE)
            self._tell(address, Refused(OTHER_CODE))
            return
        new = address not in self._known
        if new:
            self._known[address] = Known(str(len(self._known)), address, hello.machine, hello.pid)
        known = self._known[address]
        self._tell(address, Welcome(known.name))
        if new and self.hears is not None:
            self.hears(known, hello)

    def dismiss(self) -> None:
        """Tell all workers to end: there will be no run, and they have nothing to bring."""
        self._runner.quit()
        self.stop_here(patience_s=0.0)

    # -- on this machine ------------------------------------------------------------------------------------

    def start_here(self, count: int, options: list[str]) -> None:
        """Start workers as processes of this machine; they end with this process."""
        command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfile.py"), "--worker"]
        command += ["--master-host=127.0.0.1", f"--master-port={self._runner.server.port}", "--exit-with-parent"]
        command += ["--allow-host="]  # the master has checked the plan on this very machine
        for _ in range(count):
            # In sessions of their own: a Ctrl-C is for the master, which needs them while it drains.
            self._children.append(
                subprocess.Popen([*command, *options], cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
            )

    def stop_here(self, patience_s: float = _STOP_S) -> None:
        """End the processes that were started."""
        for child in self._children:
            if child.stdin is not None:
                child.stdin.close()
        with gevent.Timeout(patience_s, False):
            for child in self._children:
                child.wait()
        for child in self._children:
            if child.poll() is None:
                child.kill()
                child.wait()
