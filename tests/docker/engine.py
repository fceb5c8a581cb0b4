"""What the tests ask the Docker engine, and how they start `deploy/compose.py`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

PATIENCE_S = 150.0
_LABEL = "com.docker.compose"
_BEGUN = re.compile(r"^run \d", re.MULTILINE)

Found = TypeVar("Found")


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def said(container: str) -> str:
    """Return everything that a container has printed."""
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def inspected(container: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return result


def left_behind(project: str) -> list[str]:
    """Return the containers, networks and volumes of a project and of its runs."""
    found = []
    for name in (project, f"{project}-run"):
        label = f"--filter=label={_LABEL}.project={name}"
        found += docker("ps", "--all", "--quiet", label).split()
        found += docker("network", "ls", "--quiet", label).split()
        found += docker("volume", "ls", "--quiet", label).split()
    return found


def wait_for(what: str, look: Callable[[], Found | None], patience_s: float = PATIENCE_S) -> Found:
    """Return what `look` finds, as soon as it does."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.2)
    return found


@dataclass(frozen=True, slots=True)
class Done:
    """A run that is over."""

    code: int
    output: str
    folder: Path
    owner: int

    @property
    def verdict(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / "report" / "verdict.json").read_text(encoding="utf-8"))
        return result

    @property
    def record(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return result


class Running:
    """A run under way."""

    def __init__(self, process: subprocess.Popen[str], project: str, runs: Path) -> None:
        self.process, self._project, self._runs = process, project, runs

    def containers(self, service: str) -> list[str]:
        labels = [f"--filter=label={_LABEL}.project={self._project}", f"--filter=label={_LABEL}.service={service}"]
        return docker("ps", "--quiet", *labels).split()

    def under_way(self) -> str:
        """Wait until the load has begun, and return the master's container."""
        return wait_for(
            "the load", lambda: next((c for c in self.containers("certify") if _BEGUN.search(said(c))), None)
        )

    def finish(self) -> Done:
        """Wait for the end."""
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        folders = sorted(path.parent for path in self._runs.glob("*/run.json"))
        assert len(folders) == 1, output
        return Done(self.process.returncode, output, folders[0], folders[0].stat().st_uid)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the repository to run in, under a project name of its own."""

    folder: Path
    name: str
    settings: Mapping[str, str]

    def plan(self, name: str) -> str:
        return str(self.folder / "plans" / f"{name}.yaml")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(self.folder / "deploy" / "compose.py"), *words]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **self.settings, **more}

    def do(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment(more),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    @contextmanager
    def running(self, runs: Path, *words: str, **more: str) -> Iterator[Running]:
        """Start a run; when the test ends before it, it is asked to end."""
        with subprocess.Popen(
            self.command("run", *words, f"--runs={runs}"),
            env=self.environment(more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield Running(process, f"{self.name}-run", runs)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.communicate()
