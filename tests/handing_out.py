"""Which tests go to one process together, and which go first, when `make test` runs them in several.

pytest-xdist's own groups (`--dist loadgroup`) do not work with pytest 9.2, which keeps the name of a test where
pytest-xdist does not look for it; and all that the process which hands tests out is told of them is their names, in
the order of the collection. So the order says it: tests of one module that follow one another are one piece of work.
Of the runs, which wait most, each is a piece of its own, unless they share what their module sets up.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
RUNS = "tests/execution/"
_LONGEST = (
    "tests/selftest/",
    "tests/calibration/",
    "tests/deploy/",
    "tests/reports/",
    "tests/target/",
    "tests/test_docs",
)
"""Where a module takes long after the runs: begun last, one of them would keep the others waiting."""


class InPieces(LoadScopeScheduling):  # type: ignore[misc]
    """Hands tests out piece by piece, in their order."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._pieces: dict[str, str] = {}

    def schedule(self) -> None:
        """Begin, as soon as every process has told which tests there are."""
        if not self._pieces:
            self._pieces = pieces(next(iter(self.registered_collections.values())))
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._pieces[nodeid]


def pieces(names: Iterable[str]) -> dict[str, str]:
    """Return the name of the piece of work that each of the tests, in their order, belongs to."""
    found = {}
    for number, (module, tests) in enumerate(groupby(names, key=module_of)):
        for name in tests:
            found[name] = name if module.startswith(RUNS) and not shares(module) else f"{number} {module}"
    return found


def place(name: str) -> tuple[int, ...]:
    """Return the key that puts tests in order: long pieces first, so that all processes end at the same time."""
    module = module_of(name)
    if module.startswith(RUNS):
        return (0, not shares(module))
    return (1, next((number for number, start in enumerate(_LONGEST) if module.startswith(start)), len(_LONGEST)))


def module_of(name: str) -> str:
    """Return the path of a test's module."""
    return name.partition("::")[0]


@cache
def shares(module: str) -> bool:
    """Return whether a module sets something up once for several of its tests."""
    return 'scope="module"' in (TESTS.parent / module).read_text(encoding="utf-8")
