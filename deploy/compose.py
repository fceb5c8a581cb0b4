"""Proofload in Docker by one command: a run with its verdict, the web UI, and the end of both.

    python deploy/compose.py run plans/quickstart.yaml --workers 4 --time-scale 0.4
    python deploy/compose.py up --workers 4
    python deploy/compose.py down

`run` takes the options of certify.py too. It needs Docker with Compose, and of Python no more than the standard
library. Exit codes are those of certify.py: 0 PASS, 1 FAIL, 2 bad plan or usage, 3 INVALID.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER_INSIDE = "/proofload/runs"
METRICS_PORT = "8089"  # where the web UI would serve them: Prometheus finds a run of either kind there
USAGE, INVALID = 2, 3
_HEALTHY_S = 180.0
_LABEL = "com.docker.compose"
_STATE = "{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}"


class DockerError(Exception):
    """Docker could not do what was asked; the message is for the operator."""


def docker(*words: str) -> str:
    """Return what a docker command printed. Raises DockerError."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DockerError(f"docker {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def compose_program() -> list[str]:
    """Return how Compose is called here: as part of docker (version 2), or by itself. Raises DockerError."""
    if shutil.which("docker") is None:
        raise DockerError("docker is not installed, or not on the PATH")
    docker("info", "--format", "{{.ServerVersion}}")  # a sentence of its own when the engine does not answer
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise DockerError("Docker Compose is not installed (docker compose, or docker-compose 1.28 or newer)")


@dataclass(frozen=True, slots=True)
class Project:
    """One set of containers, networks and volumes under a name of its own."""

    name: str
    program: list[str]
    settings: Path | None = None
    """A file beside docker-compose.yml."""

    def compose(self, *words: str, profiles: Sequence[str] = ()) -> None:
        """Call Compose, with its output on standard error. Raises DockerError."""
        files = ["--file", str(ROOT / "docker-compose.yml")]
        files += ["--file", str(self.settings)] if self.settings else []
        chosen = [f"--profile={profile}" for profile in profiles]
        call = [*self.program, *files, "--project-name", self.name, *chosen, *words]
        # In a session of its own: a Ctrl-C is for the run, whose end must still be seen to.
        if subprocess.run(call, stdout=sys.stderr, cwd=ROOT, start_new_session=True, check=False).returncode:
            raise DockerError(f"{' '.join(self.program)} {words[0]} failed\n{self.last_words()}".strip())

    def containers(self, *services: str) -> list[str]:
        """Return the ids of the services' containers, of all when none is named; stopped ones too."""
        wanted = [f"label={_LABEL}.service={service}" for service in services] or [""]
        found: list[str] = []
        for label in wanted:
            filters = [f"label={_LABEL}.project={self.name}", *filter(None, [label])]
            found += docker("ps", "--all", "--quiet", *(f"--filter={one}" for one in filters)).split()
        return found

    def last_words(self) -> str:
        """Return what the containers that have ended or are not well said last."""
        told = []
        for container in self.containers():
            name, state, health = docker("inspect", "--format", _STATE, container).split()
            if state != "running" or health == "unhealthy":
                done = subprocess.run(["docker", "logs", "--tail=5", container], capture_output=True, check=False)
                told.append(f"{name} ({state}, {health}):\n{(done.stdout + done.stderr).decode(errors='replace')}")
        return "\n".join(told)

    def down(self) -> None:
        """Remove containers, networks and volumes. Raises DockerError."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=20", profiles=("run", "grafana"))


def fetch(container: str, runs: Path) -> list[Path]:
    """Copy a container's run folders to the host, where they are the caller's own. Return the new ones."""
    runs.mkdir(parents=True, exist_ok=True)
    before = set(runs.iterdir())
    docker("cp", f"{container}:{FOLDER_INSIDE}/.", str(runs))
    return sorted(path for path in set(runs.iterdir()) - before if (path / "run.json").exists())


@contextmanager
def passing_signals(container: str) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on to the run: it drains, makes its report, and ends with its verdict."""

    def pass_on(number: int, _frame: object) -> None:
        subprocess.run(["docker", "kill", f"--signal={number}", container], capture_output=True, check=False)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow(container: str) -> int:
    """Show what a container prints until it ends, and return its exit code."""
    with passing_signals(container):
        subprocess.run(["docker", "logs", "--follow", container], start_new_session=True, check=False)
        code = int(docker("wait", container))
    return code if code in range(4) else INVALID


def settings(options: argparse.Namespace, passed_on: Sequence[str]) -> dict[str, object]:
    """Return what a run adds to docker-compose.yml: its command, and the names of the variables it is given."""
    plans = [Path(plan).resolve().relative_to(ROOT).as_posix() for plan in options.plans]
    host = options.host or "http://platform:8000"
    allowed = ",".join(filter(None, ["platform", options.allow_host]))
    command = [*plans, f"--host={host}", f"--allow-host={allowed}", *passed_on]
    command += [f"--metrics-port={METRICS_PORT}", "--metrics-host=0.0.0.0"]
    if options.workers:
        command += ["--master", "--master-bind-host=0.0.0.0", f"--expect-workers={options.workers}"]
    # The names alone: Compose takes the values from its own environment, and no file ever holds them.
    names = [name.strip() for name in options.env.split(",") if name.strip()]
    return {"services": {"certify": {"command": command, "environment": names}, "worker": {"environment": names}}}


def run(options: argparse.Namespace, passed_on: Sequence[str], name: str) -> int:
    """Run plans on master and workers, and bring the run folders to the host; the result is the verdict's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "run.json"
        file.write_text(json.dumps(settings(options, passed_on)), encoding="utf-8")
        project = Project(f"{name}-run", compose_program(), file)
        if project.containers():
            raise DockerError("a run is under way, or one was left behind: make docker-down ends it")
        project.compose("build", "--quiet", "master")
        kept = False
        try:
            alone = ["--no-deps"] if options.host else []
            project.compose("up", "--detach", "--no-build", *alone, "certify", profiles=("run",))
            if options.workers:
                scale = f"worker={options.workers}"
                project.compose("up", "--detach", "--no-build", "--no-deps", "--scale", scale, "worker")
            (container,) = project.containers("certify")
            code = follow(container)
            try:
                made = fetch(container, Path(options.runs))
            except (DockerError, OSError):
                kept = True  # the only copy of what was measured
                raise
            for folder in made:
                print(f"report: {folder}/report/report.html")
            return code
        finally:
            if not kept:
                project.down()


def up(options: argparse.Namespace, name: str) -> int:
    """Start the web UI, workers, platform and monitoring, and wait until the web UI answers."""
    project = Project(name, compose_program())
    project.compose("build", "--quiet", "master")
    project.compose("up", "--detach", "--no-build", "--remove-orphans", "--scale", f"worker={options.workers}")
    (master,) = project.containers("master")
    deadline = time.monotonic() + _HEALTHY_S
    while (health := docker("inspect", "--format", "{{.State.Health.Status}}", master)) != "healthy":
        if health == "unhealthy" or time.monotonic() > deadline:
            raise DockerError(f"the master is {health}; what it says: docker logs {master}")
        time.sleep(1)
    for service, port in (("master", "8089"), ("prometheus", "9090"), ("grafana", "3000")):
        for container in project.containers(service):
            print(f"{service}: http://{docker('port', container, port)}")
    return 0


def down(options: argparse.Namespace, name: str) -> int:
    """Bring run folders to the host and remove containers, networks and volumes, and on request the image."""
    program = compose_program()
    for project in (Project(f"{name}-run", program), Project(name, program)):
        for container in project.containers("certify", "master"):
            for folder in fetch(container, Path(options.runs)):
                print(f"report: {folder}/report/report.html")
        project.down()
    if options.image:
        docker("image", "rm", os.environ.get("PROOFLOAD_IMAGE", "proofload:local"))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line; of `run` the rest of it is for certify.py."""
    result = argparse.ArgumentParser(prog="compose.py", description=(__doc__ or "").partition("\n")[0])
    commands = result.add_subparsers(dest="command", required=True)
    texts = {"run": "run plans and exit with the verdict", "up": "start the web UI", "down": "remove everything"}
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, allow_abbrev=False)
        command.add_argument("--runs", default=str(ROOT / "runs"), help="folder that run folders are brought to")
        if name == "down":
            command.add_argument("--image", action="store_true", help="remove the image, too")
            continue
        command.add_argument("--workers", type=int, default=4, help="worker containers; run 0: one process, no workers")
        if name == "run":
            command.add_argument("plans", nargs="+", metavar="PLAN", help="plan in the folder plans, or a folder there")
            command.add_argument("--host", default="", help="server under test (default: the platform beside it)")
            command.add_argument("--allow-host", default="", help="further hosts that load may go to")
            command.add_argument("--env", default="", help="names of variables that the run is given, e.g. a token's")
    return result


def _outside(plans: Sequence[str]) -> list[str]:
    inside = (ROOT / "plans").resolve()
    return [plan for plan in plans if not (Path(plan).exists() and Path(plan).resolve().is_relative_to(inside))]


def main(arguments: Sequence[str]) -> int:
    """Do what was asked; the result is the exit code."""
    command_line = parser()
    options, passed_on = command_line.parse_known_args(arguments)
    if passed_on and options.command != "run":
        command_line.error(f"unrecognized arguments: {' '.join(passed_on)}")
    if getattr(options, "workers", 0) < (options.command == "up"):
        command_line.error(f"--workers must be at least {int(options.command == 'up')}, got {options.workers}")
    if outside := _outside(getattr(options, "plans", [])):
        command_line.error(f"PLAN must be a file or folder below plans/, which is in the image; got {outside[0]}")
    # What only has to be the same on both sides of a private network is made up.
    os.environ.setdefault("POSTGRES_PASSWORD", secrets.token_hex(16))
    name = os.environ.get("COMPOSE_PROJECT_NAME", "proofload")
    try:
        if options.command == "run":
            return run(options, passed_on, name)
        return up(options, name) if options.command == "up" else down(options, name)
    except DockerError as error:
        print(f"compose.py: {error}", file=sys.stderr)
        return INVALID if options.command == "run" else USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
