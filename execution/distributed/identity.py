"""Are master and worker the same program with the same files? Digests say so."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import SecretStr

from execution.options import ROOT, existing
from plans.schema import Plan

_CODE = ("clients", "data", "execution", "monitoring", "plans", "samples", "scenarios", "shapes")
_KINDS = {".py", ".json", ".txt", ".csv", ".jsonl"}
_PACKAGES = ("locust", "gevent", "numpy", "pyarrow")
_FILES = frozenset({"file", "spec", "tokenizer", "queries", "prompts"})
"""Keys of a plan under which files stand."""


def code() -> str:
    """Return a digest of the program and of the packages that decide what it does."""
    digest = hashlib.sha256()
    folders = [ROOT / name for name in _CODE]
    # Plans are sent, so those of a worker say nothing.
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in _KINDS]
    for path in sorted([*files, ROOT / "locustfile.py"]):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    for name in _PACKAGES:
        digest.update(f"{name} {version(name)}\0".encode())
    return digest.hexdigest()


def files_of(plan: Plan) -> dict[str, str]:
    """Return a digest of each file that a plan names, by its path."""
    return {file: found for file in sorted(set(_named(plan.model_dump()))) if (found := digest_of(file))}


def digest_of(file: str) -> str | None:
    """Return the digest of a file; None when it cannot be read here."""
    try:
        return hashlib.sha256(existing(file).read_bytes()).hexdigest()
    except OSError:
        return None


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            if key in _FILES and isinstance(below, str):
                yield below
            elif key != "extra":
                yield from _named(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _named(below)


def variables_of(plan: Plan) -> tuple[str, ...]:
    """Return the environment variables that users of a plan need and that are set here."""
    accounts = plan.target.accounts
    names = (plan.target.api_key_env, accounts.password_env if accounts else None)
    return tuple(name for name in names if name and os.environ.get(name))


def revealed(plan: Plan) -> str:
    """Return a plan as JSON with its secrets, for those who make the load; it must be kept nowhere."""

    def plain(value: object) -> object:
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        raise TypeError(f"a plan holds no {type(value).__name__}")

    return json.dumps(plan.model_dump(by_alias=True, exclude_none=True), default=plain)


def problems(files: Mapping[str, str], variables: tuple[str, ...]) -> list[str]:
    """Return what this machine lacks of what the master has, in words."""
    found = [f"{file} is not the master's" for file, digest in files.items() if digest_of(file) != digest]
    return found + [f"the environment variable {name} is not set" for name in variables if not os.environ.get(name)]
