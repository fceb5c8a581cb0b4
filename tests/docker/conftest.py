"""A Docker engine for the tests of this folder: `make docker-test`. They are no part of `make test`.

Images come under their pinned names. Where these are not at hand, and no registry can be asked, another version of the
same image stands in for them.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.engine import Checkout, docker, left_behind

ROOT = Path(__file__).resolve().parents[2]
_LONGEST_S = 600
_IMAGE = re.compile(r"\$\{([A-Z]+_IMAGE):-([^}]+)\}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a session waits for the image, which takes minutes to be built."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_LONGEST_S))


def _stand_ins() -> dict[str, str]:
    """Return settings for pinned images that are not here while another version is."""
    here = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    found = {}
    for variable, pinned in _IMAGE.findall((ROOT / "docker-compose.yml").read_text(encoding="utf-8")):
        other = [image for image in here if image.partition(":")[0] == pinned.partition(":")[0]]
        if pinned not in here and other and variable != "PROOFLOAD_IMAGE":
            found[variable] = other[0]
    return found


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A copy of what Docker needs, with plans of the tests' own in it; afterwards nothing of it may be left."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.fail("these tests need a Docker engine, and none answers")
    folder = tmp_path_factory.mktemp("checkout")
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    admitted = [rule[1:].strip("/") for rule in rules if rule.startswith("!") and "deploy" not in rule]
    for name in [*admitted, "deploy", "docker-compose.yml", ".dockerignore"]:
        place = folder / name
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, place)
    for plan in (Path(__file__).parent / "plans").glob("*.yaml"):
        shutil.copy2(plan, folder / "plans")
    name = f"proofload-test-{os.getpid()}"
    settings = {
        "COMPOSE_PROJECT_NAME": name,
        "PROOFLOAD_IMAGE": f"{name}:local",
        "BUILD_NETWORK": "host",
        "NOFILE": str(min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        "WEB_PORT": _free_port(),
        "PROMETHEUS_PORT": _free_port(),
        **_stand_ins(),
    }
    try:
        yield Checkout(folder, name, settings)
    finally:
        found = left_behind(name)
        Checkout(folder, name, settings).do("down", "--image")
    assert found == []
    assert docker("image", "ls", "--quiet", f"{name}:local") == ""
