"""Processes that a run starts beside itself, and stops by their own id: the platform, the monitor, the report."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gevent

from execution.options import ROOT

_READY_S = 30.0
_STOP_S = 5.0
_INVALID = 3
_VERDICTS = (0, 1, _INVALID)


class StartError(Exception):
    """A process did not become ready; the message says why."""


class Child:
    """One process. It ends by itself when this process dies, because its standard input then closes."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        """Start `python -m name arguments`, with what it writes to standard error in the file `log`."""
        self.name, self._log = name, log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", name, *arguments, "--exit-with-parent"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # A Ctrl-C in the terminal is for the run, which still needs this process while it drains.
                start_new_session=True,
            )

    def ready(self) -> dict[str, Any]:
        """Return what the process says of itself when it is ready. Raises StartError."""
        assert self.process.stdout is not None
        line = b""
        with gevent.Timeout(_READY_S, False):
            line = self.process.stdout.readline()
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            self.stop()
            words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise StartError(f"{self.name} did not start: {words[-1] if words else 'no word from it'}") from None
        return said

    def stop(self) -> None:
        """Ask the process to end, and end it when it does not."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def report(folder: Path) -> int:
    """Make the report of a run in a process of its own, and return the verdict's exit code; INVALID without one."""
    # In a session of its own: a Ctrl-C that is pressed now must not cost the verdict.
    command = [sys.executable, "-m", "reports", str(folder)]
    code = subprocess.run(command, cwd=ROOT, check=False, start_new_session=True).returncode
    return code if code in _VERDICTS else _INVALID
