"""The performance score and graceful degradation, each against a value worked out by hand."""

from pathlib import Path
from typing import Any

import pytest

from plans.schema import Plan
from reports.analysis import Analysis, Measured
from reports.render import render
from samples.sample import Outcome, Protocol, Sample
from tests.reports.builder import RunBuilder, failed, request, steady, target

LIMITS: list[dict[str, Any]] = [
    {"metric": "latency_mean_ms", "phase": "sustained", "below": 500},
    {"metric": "throughput_rps", "phase": "sustained", "at_least": 10},
    {"metric": "stability_score", "phase": "sustained", "above": 0.5},
    {"metric": "memory_max_bytes", "at_most": 1000},
    {"metric": "quality_mean", "phase": "sustained", "at_least": 0.8},
    {"metric": "performance_score", "at_least": 0.95},
]


def scored(tmp_path: Path, samples: list[Sample], memory: float = 900, criteria: Any = None) -> Analysis:
    builder = RunBuilder(criteria=LIMITS if criteria is None else criteria).samples(samples)
    return builder.readings(target("rss_bytes", [memory] * 31)).analyze(tmp_path)


def load(quality: float = 1.0, latency_s: float = 0.1) -> list[Sample]:
    return steady(10, 0, 30, latency_s, quality=quality, protocol=Protocol.LLM)


def score(analysis: Analysis) -> Measured:
    return analysis.total.metrics["performance_score"]


def test_the_score_of_a_run_in_which_all_holds_is_that_of_its_answers(tmp_path: Path) -> None:
    assert score(scored(tmp_path / "a", load(quality=1.0))).value == pytest.approx(1.0)
    # 0.25 + 0.25 + 0.20 + 0.15 + 0.15 x 0.8
    found = scored(tmp_path / "b", load(quality=0.8))
    assert score(found).value == pytest.approx(0.97)
    assert found.criteria[-1].state.value == "pass"


def test_a_broken_limit_halves_its_part(tmp_path: Path) -> None:
    # 0.25 x 0.5 for latency; every window breaks the limit on mean latency too, so stability is 0.
    slow = scored(tmp_path / "slow", load(latency_s=0.6))
    assert {part.name: part.value for part in slow.score} == {
        "latency": 0.5, "throughput": 1.0, "stability": 0.0, "resources": 1.0, "quality": 1.0,
    }  # fmt: skip
    assert score(slow).value == pytest.approx(0.125 + 0.25 + 0 + 0.15 + 0.15)
    large = scored(tmp_path / "large", load(), memory=1100)
    assert score(large).value == pytest.approx(1 - 0.075)
    assert large.criteria[-1].state.value == "fail"


def test_the_lowest_window_share_and_mean_count(tmp_path: Path) -> None:
    # The second of three windows is slow: 2/3 of 0.20; its mean over the phase stays inside.
    samples = [*steady(10, 0, 10, quality=1.0), *steady(10, 10, 10, 0.7, quality=0.5), *steady(10, 20, 10, quality=1.0)]
    found = scored(tmp_path, samples)
    assert score(found).value == pytest.approx(0.25 + 0.25 + 0.2 * 2 / 3 + 0.15 + 0.15 * 2.5 / 3)


def test_a_part_without_a_limit_or_data_leaves_no_score_and_no_pass(tmp_path: Path) -> None:
    without = scored(tmp_path / "a", load(), criteria=[c for c in LIMITS if c["metric"] != "throughput_rps"])
    assert score(without).value is None
    assert "throughput: the plan has no limit on it" in str(score(without).why)
    unread = RunBuilder(criteria=LIMITS).samples(load()).analyze(tmp_path / "b")
    assert "resources" in str(score(unread).why)
    assert unread.verdict.value == "INVALID"


def test_the_page_shows_the_parts(tmp_path: Path) -> None:
    page = render(scored(tmp_path, load(quality=0.9)))
    assert "1 of 1 limits hold" in page
    assert "stability_score in sustained" in page


def test_a_score_of_a_phase_is_refused_in_the_plan() -> None:
    plan = {"id": "t", "title": "t", "mix": {"ChatUser": {}}, "phases": [{"name": "a", "rate": 1, "duration": 1}]}
    with pytest.raises(ValueError, match="figure of the whole run"):
        Plan.model_validate(plan | {"criteria": [{"metric": "performance_score", "phase": "a", "at_least": 1}]})


PHASES = [
    {"name": "before", "rate": 10, "duration": "20s"},
    {"name": "stress", "shape": "stress", "rate": {"from": 20, "to": 40, "steps": 2}, "duration": "24s"},
    {"name": "after", "rate": 10, "duration": "20s"},
]


def stressed(tmp_path: Path, stress: list[Sample], after_s: float = 0.1, phases: Any = None) -> Measured:
    samples = [*steady(10, 0, 20, phase="before"), *stress, *steady(10, 44, 20, after_s, phase="after")]
    analysis = RunBuilder(phases=phases or PHASES, criteria=[], limits={"latency_ms": 1000}).samples(samples)
    return analysis.analyze(tmp_path).phases[1].metrics["graceful_degradation"]


def overload(good: float, kind: Outcome = Outcome.HTTP_ERROR, status: int | None = 429) -> list[Sample]:
    """20 and then 40 arrivals/s; of the latter `good` are answered well, and the others fail."""
    first = steady(20, 20, 12, 0.2, phase="stress")
    due = [32 + index / 40 for index in range(480)]
    well = {index for index in range(480) if (index * good) % 40 < good}
    return first + [
        request(at, 0.2, phase="stress") if index in well else failed(at, kind, phase="stress", status=status)
        for index, at in enumerate(due)
    ]


def test_refusals_with_the_same_goodput_and_a_recovery_are_graceful(tmp_path: Path) -> None:
    assert stressed(tmp_path, overload(good=20)).value is True


@pytest.mark.parametrize(
    ("stress", "after_s"),
    [
        pytest.param(overload(good=10), 0.1, id="half the goodput is lost"),
        pytest.param(overload(20, Outcome.TIMEOUT, None), 0.1, id="timeouts"),
        pytest.param(overload(20, Outcome.HTTP_ERROR, 500), 0.1, id="errors"),
        pytest.param(overload(20), 0.9, id="no recovery"),
        pytest.param(
            [*steady(20, 20, 12, 0.2, phase="stress"), *steady(40, 32, 12, 1.5, phase="stress")], 0.1, id="too late"
        ),
    ],
)
def test_what_breaks_is_not_graceful(tmp_path: Path, stress: list[Sample], after_s: float) -> None:
    assert stressed(tmp_path, stress, after_s).value is False


def test_without_a_phase_after_it_nothing_is_known(tmp_path: Path) -> None:
    found = stressed(tmp_path, overload(20), phases=PHASES[:2])
    assert found.value is None
    assert "no phase follows" in str(found.why)
