"""Processes that a run starts beside itself, and stops by their own id: the platform, the monitor, the report."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent

from execution.options import ROOT
from plans.apart import OWN_GROUP
from plans.exits import Exit

_READY_S = 30.0
_STOP_S = 5.0
_VERDICTS = (Exit.PASS, Exit.FAIL, Exit.INVALID)


class StartError(Exception):
    """A process did not become ready; the message says why."""


class Child:
    """One process. It ends by itself when this process dies, because its standard input then closes."""

    def __init__(self, name: str, arguments: list[str], log: Path, secrets: Mapping[str, str] | None = None) -> None:
        """Start `python -m name arguments`, with what it writes to standard error in the file `log`.

        `secrets` are variables of its environment: what stands in a command line can be read by everybody.
        """
        self.name, self._log = name, log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", name, *arguments, "--exit-with-parent"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | dict(secrets or {}),
                # A Ctrl-C in the terminal is for the run, which still needs this process while it drains.
                start_new_session=True,
                creationflags=OWN_GROUP,
            )

    def tell(self, text: str) -> None:
        """Write one line to the process. Raises StartError when it has gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{text}\n".encode())
            self.process.stdin.flush()
        except OSError:
            raise StartError(f"{self.name} has ended: {self._last_words()}") from None

    def said(self, patience_s: float = _READY_S) -> dict[str, Any]:
        """Return the next line of what the process says. Raises StartError when none comes in time."""
        assert self.process.stdout is not None
        line = b""
        with gevent.Timeout(patience_s, False):
            line = self.process.stdout.readline()
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            self.stop()
            raise StartError(f"{self.name} did not start: {self._last_words()}") from None
        return said

    def _last_words(self) -> str:
        words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return words[-1] if words else "no word from it"

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
    code = subprocess.run(command, cwd=ROOT, check=False, start_new_session=True, creationflags=OWN_GROUP).returncode
    # Python itself exits with 1 when it cannot go on: a FAIL has left its verdict behind.
    if code in _VERDICTS and (code != Exit.FAIL or (folder / "report" / "verdict.json").exists()):
        return code
    print(f"INVALID: the report ended with code {code} and no verdict; make it again: python -m reports {folder}")
    return Exit.INVALID
