"""The leak test of the suite itself: its plans can be run, and what is wrong is said."""

from typing import Any

import pytest

from plans.schema import Plan
from selftest.leaks import LEAKS, Leak, plan_of, tell


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_every_leak_is_a_plan_with_a_sawtooth_and_what_leaks(leak: Leak) -> None:
    plan = Plan.model_validate(plan_of(leak))

    assert plan.phases[-1].duration == 180
    assert plan.faults[0].kind == "memory_sawtooth"
    assert [fault.params["mb_per_s"] for fault in plan.faults if fault.kind == "memory_leak"] == (
        [leak.mb_per_min / 60] if leak.mb_per_min else []
    )
    assert [fault.params["of"] for fault in plan.faults if fault.kind == "handle_leak"] == (
        [leak.handles] if leak.handles else []
    )


def verdict(trend_mb: float | None, leak: bool | None, growth: float, *leaking: str) -> dict[str, Any]:
    trend = None if trend_mb is None else trend_mb * 2**20
    values: dict[str, Any] = {"memory_trend_bytes_per_min": trend, "memory_leak": leak, "memory_growth": growth}
    values |= {name: name in leaking for name in ("file_leak", "connection_leak", "thread_leak")}
    return {
        "verdict": "PASS",
        "reasons": [],
        "phases": [{"metrics": {name: {"value": value} for name, value in values.items()}}],
    }


FIVE, FIFTY, NONE, FILES = LEAKS[2], LEAKS[3], LEAKS[0], LEAKS[4]


@pytest.mark.parametrize(
    ("leak", "found", "words"),
    [
        (FIVE, verdict(5.2, True, 0.15), []),
        (FIVE, verdict(4.0, True, 0.15), ["a trend of"]),
        (FIFTY, verdict(50, False, 0.9), ["memory_leak is False at a growth of 90%"]),
        (NONE, verdict(0.1, True, 0.01), ["memory_leak is True at a growth of 1%"]),
        (NONE, verdict(None, None, 0.1), ["a trend of None"]),
        (NONE, verdict(0, False, 0, "thread_leak"), ["thread_leak is True"]),
        (FILES, verdict(1, False, 0.02, "file_leak"), []),
        (FILES, verdict(1, False, 0.02, "connection_leak"), ["file_leak is False", "connection_leak is True"]),
        (NONE, verdict(0, False, 0) | {"verdict": "INVALID", "reasons": ["late"]}, ["late"]),
        (NONE, None, ["there is no verdict"]),
    ],
)
def test_what_is_wrong_is_said(leak: Leak, found: dict[str, Any] | None, words: list[str]) -> None:
    wrong = tell(leak, found).wrong

    assert len(wrong) == len(words), wrong
    assert all(word in text for word, text in zip(words, wrong, strict=True))
