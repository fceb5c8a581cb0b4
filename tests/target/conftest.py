from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.target.process import Target


@pytest.fixture(scope="session")
def shared() -> Iterator[Target]:
    """One server, a little faster than usual, for tests that leave nothing switched on."""
    target = Target("--seed-runs", "60", "--decode-base-ms", "4")
    yield target
    target.stop()


@pytest.fixture
def target(shared: Target) -> Iterator[Target]:
    """The shared server; faults are off before and after each test."""
    yield shared
    shared.ask("DELETE", "/faults")


@pytest.fixture
def start() -> Iterator[Callable[..., Target]]:
    """Starts servers with options of their own and stops them after the test."""
    started: list[Target] = []

    def one(*arguments: str) -> Target:
        started.append(Target(*arguments))
        return started[-1]

    yield one
    for target in started:
        target.stop()
