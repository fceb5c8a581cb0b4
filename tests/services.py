"""Real servers for tests, each private to its test: PostgreSQL, Redis and Prometheus from the Debian packages."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def running(
    command: Sequence[object], port: int, stop: signal.Signals = signal.SIGTERM, **popen: object
) -> Iterator[None]:
    """Start a server, wait until it accepts connections, and end it by its own id."""
    server = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **popen,  # type: ignore[call-overload]
    )
    try:
        until(lambda: accepts(port))
        yield
    finally:
        server.send_signal(stop)
        server.wait(PATIENCE_S)


@contextmanager
def postgresql(password: str | None = None) -> Iterator[str]:
    """Yield the URL of a PostgreSQL server, without the password that it asks for when there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/initdb")
    # PostgreSQL refuses to run as root; there its own account is used.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    secret = folder / "password"
    secret.write_text(f"{password or 'unused'}\n")
    if user is not None:
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
    binaries, data, port = found[-1].parent, folder / "data", free_port()
    way = "scram-sha-256" if password else "trust"
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "tester",
        "-A",
        way,
        "--pwfile",
        secret,
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    command = [binaries / "postgres", "-D", data, "-p", port, "-k", folder, "-h", "127.0.0.1", "-F"]
    try:
        with running(command, port, signal.SIGQUIT, user=user, cwd=folder):
            # It accepts connections, and refuses them, while it is still starting up.
            ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            until(lambda: subprocess.run(ready, check=False).returncode == 0)
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


@contextmanager
def redis(folder: Path, password: str | None = None) -> Iterator[str]:
    """Yield the URL of a Redis server."""
    port = free_port()
    command = [binary("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with running([*command, *(["--requirepass", password] if password else [])], port):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def prometheus(folder: Path, *watched: str) -> Iterator[str]:
    """Yield the URL of a Prometheus server that scrapes `/metrics` of these places (host:port) every second."""
    port, config = free_port(), folder / "prometheus.yml"
    places = ", ".join(f"'{place}'" for place in watched)
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: watched, static_configs: [{{targets: [{places}]}}]}}]\n"
    )
    command = [
        binary("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, port):
        until(lambda: _is_ready(f"http://127.0.0.1:{port}/-/ready"))  # it listens some time before it answers queries
        yield f"http://127.0.0.1:{port}"


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status) == 200
    except OSError:
        return False
