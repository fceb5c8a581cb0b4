"""An API by its OpenAPI document: other people's servers under load, a planted error, ids out of answers, nothing left.

The servers are Prism (npm) and Connexion (PyPI), installed under `build/apis` at the first run, and the embedded
platform, whose document FastAPI writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.execution.between import in_between
from tests.execution.harness import ROOT, Finished, certify, plan_file
from tests.services import binary, free_port, running
from tests.target.process import RUNS, Target

PETS = Path(__file__).parent / "pets.yaml"
PLACE = ROOT / "build" / "apis"
PRISM = "@stoplight/prism-cli@5"
CONNEXION = ("connexion[flask,mock,uvicorn]==3.3.0",)

pytestmark = pytest.mark.timeout(400)  # for the first run, which installs them


def installed(tool: Path, *commands: list[str]) -> Path:
    """Return a program, after installing it if it is not there."""
    if not tool.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
            if done.returncode != 0:
                pytest.skip(f"{tool.name} could not be installed: {done.stderr.strip()[-200:]}")
    return tool


def prism() -> list[object]:
    npm = binary("npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(PLACE), PRISM]
    return [installed(PLACE / "node_modules" / ".bin" / "prism", install), "mock", "--host", "127.0.0.1", PETS]


def connexion() -> list[object]:
    place = PLACE / "connexion"
    install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *CONNEXION]
    tool = installed(place / "bin" / "connexion", [sys.executable, "-m", "venv", str(place)], install)
    return [tool, "run", PETS, "--mock", "all", "--host", "127.0.0.1"]


@pytest.fixture(scope="module", params=[prism, connexion])
def others(request: pytest.FixtureRequest) -> Iterator[int]:
    make: Callable[[], list[object]] = request.param
    port = free_port()
    with running([*make(), "--port", port], port, cwd=ROOT):
        yield port


def loaded(folder: Path, host: str, spec: Path = PETS, **options: Any) -> Finished:
    return certify(
        plan_file(
            folder,
            target={"host": host},
            mix={"OpenApiUser": {"spec": str(spec)} | options},
            phases=[{"name": "only", "rate": 30, "duration": 2}],
        )
    )


def outcomes(run: Finished) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in run.samples:
        found.setdefault(row["name"], set()).add(row["outcome"])
    return found


def test_other_peoples_servers_are_driven_and_a_planted_500_is_found(tmp_path: Path, others: int) -> None:
    good = loaded(tmp_path, f"http://127.0.0.1:{others}")
    assert good.code == 0, good.out + good.err
    called = {"GET /pets", "POST /pets", "GET /pets/{petId}", "DELETE /pets/{petId}"}
    assert called <= set(outcomes(good))
    assert all(kinds == {"ok"} for kinds in outcomes(good).values()), outcomes(good)

    (tmp_path / "planted").mkdir()
    with in_between(others, "GET", "/pets/", 500) as url:
        bad = loaded(tmp_path / "planted", url)
    assert bad.code == 1, bad.out + bad.err
    wrong = {name for name, kinds in outcomes(bad).items() if kinds != {"ok"}}
    assert wrong == {"GET /pets/{petId}"}
    errors = {row["error"] for row in bad.samples if row["error"]}
    assert errors == {'HTTP 500: {"oops": true}'}


def test_ids_come_from_answers_and_what_was_created_is_removed(tmp_path: Path) -> None:
    target = Target("--seed-runs", "8")
    try:
        before = target.ask("GET", RUNS).json()
        spec = tmp_path / "openapi.json"
        spec.write_bytes(target.ask("GET", "/openapi.json").body)
        run = loaded(
            tmp_path,
            target.url,
            spec,
            include=["evaluation runs"],
            exclude=["* /api/v1/evaluations/runs/compare*"],
            weights={"POST *": 2, "DELETE *": 0.5},
        )
        after = target.ask("GET", RUNS).json()
    finally:
        target.stop()
    found = outcomes(run)
    assert {f"{method} {RUNS}/{{run_id}}" for method in ("GET", "PATCH", "DELETE")} <= set(found)
    assert f"GET {RUNS}/stats" in found
    assert all(kinds == {"ok"} for kinds in found.values()), Counter(
        (row["name"], row["error"]) for row in run.samples if row["error"]
    )
    created = sum(row["name"].startswith(f"POST {RUNS}") for row in run.samples)
    assert created > 5
    # Its own runs are gone, and those that were there before are as they were.
    assert json.dumps(after) == json.dumps(before)


def test_a_document_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    spec = tmp_path / "swagger.json"
    spec.write_text('{"swagger": "2.0", "paths": {}}', encoding="utf-8")
    run = loaded(tmp_path, "http://127.0.0.1:9", spec)
    assert run.code == 2
    assert "mix.OpenApiUser.spec" in run.out + run.err
    assert "must be an OpenAPI 3 document" in run.out + run.err

    run = loaded(tmp_path, "http://127.0.0.1:9", include=["GET /dogs"])
    assert run.code == 2
    assert "'GET /dogs' is no operation, operationId or tag; there are: GET /pets, POST /pets" in run.out + run.err
