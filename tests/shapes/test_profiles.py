"""The shapes that Locust sees: the classic profiles on their own, and a plan's driver in charge when there is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Moments lie in the middle of a level, or a little beside an edge: the process needs time between two calls.
EXPECTED: dict[str, dict[float, int | None]] = {
    "BaselineShape": {0: 10, 150: 10, 299: 10, 300.01: None},
    "RampShape": {0: 11, 149.9: 20, 299.9: 30, 449.9: 40, 599.9: 50, 600.01: None},
    "SustainedShape": {0: 50, 1799: 50, 1800.01: None},
    "SpikeShape": {0: 50, 59: 50, 74.9: 100, 91: 150, 209: 150, 241: 50, 299: 50, 300.01: None},
    "SoakShape": {0: 50, 14_399: 50, 14_400.01: None},
    "StressShape": {0: 50, 149: 50, 151: 100, 301: 150, 451: 200, 601: 250, 751: 300, 899: 300, 900.01: None},
    "PlanShape": {0: None},
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    asked = json.dumps({name: list(moments) for name, moments in EXPECTED.items()})
    command = [sys.executable, "-m", "tests.shapes.profile_process", asked]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize("name", EXPECTED)
def test_without_a_driver_a_shape_reads_its_rate_as_users_and_ends(told: dict[str, Any], name: str) -> None:
    ticks = [None if tick is None else tick[0] for tick in told[name]]
    assert ticks == list(EXPECTED[name].values())


def test_users_come_at_once_without_a_driver(told: dict[str, Any]) -> None:
    for name in EXPECTED:
        assert all(tick is None or tick[1] >= tick[0] for tick in told[name])


def test_every_profile_is_offered(told: dict[str, Any]) -> None:
    assert told["profiles"] == [name for name in EXPECTED if name != "PlanShape"]


def test_a_driver_is_told_the_phases_of_the_chosen_shape_and_none_for_the_plans_own(told: dict[str, Any]) -> None:
    assert told["bound"]["begun"] == [["spike"], None]


def test_a_driver_says_how_many_users_and_when_it_is_over(told: dict[str, Any]) -> None:
    assert told["bound"]["tick"] == [7, 7.0, ["User"]]
    assert told["bound end"] is None
