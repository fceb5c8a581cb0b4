"""The leak test of the suite itself: its plans can be run, and what is wrong is said."""

from typing import Any

import pytest

from plans.schema import Plan
from selftest.leaks import RATES, plan_of, tell


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_is_a_plan_with_a_sawtooth_and_its_leak(rate: float) -> None:
    plan = Plan.model_validate(plan_of(rate))

    assert plan.phases[-1].duration == 180
    rates = [fault.params["mb_per_s"] for fault in plan.faults if fault.kind == "memory_leak"]
    assert rates == ([rate / 60] if rate else [])
    assert plan.faults[0].kind == "memory_sawtooth"


def verdict(trend_mb: float | None, leak: bool | None, growth: float) -> dict[str, Any]:
    trend = None if trend_mb is None else trend_mb * 2**20
    values = {"memory_trend_bytes_per_min": trend, "memory_leak": leak, "memory_growth": growth}
    metrics = {name: {"value": value} for name, value in values.items()}
    return {"verdict": "PASS", "reasons": [], "phases": [{"metrics": metrics}]}


@pytest.mark.parametrize(
    ("rate", "found", "words"),
    [
        (5.0, verdict(5.2, True, 0.15), []),
        (5.0, verdict(4.0, True, 0.15), ["a trend of"]),
        (50.0, verdict(50, False, 0.9), ["memory_leak is False at a growth of 90%"]),
        (0.0, verdict(0.1, True, 0.01), ["memory_leak is True at a growth of 1%"]),
        (0.0, verdict(None, None, 0.1), ["a trend of None"]),
        (0.0, verdict(0, False, 0) | {"verdict": "INVALID", "reasons": ["late"]}, ["late"]),
        (0.0, None, ["there is no verdict"]),
    ],
)
def test_what_is_wrong_is_said(rate: float, found: dict[str, Any] | None, words: list[str]) -> None:
    wrong = tell(rate, 1, found).wrong

    assert len(wrong) == len(words)
    assert all(word in text for word, text in zip(words, wrong, strict=True))
