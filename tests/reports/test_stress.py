"""Where a server breaks under rising load, how it degrades, and how long the overload is felt."""

from pathlib import Path
from typing import Any

import pytest

from reports.analysis import Analysis, State, Stress
from reports.exports import verdict_json
from reports.render import render
from samples.sample import Outcome, Sample
from tests.reports.builder import RunBuilder, failed, steady, target
from tests.reports.queues import arrivals, served

CAPACITY = 50.0
PHASES: list[dict[str, Any]] = [
    {"name": "before", "rate": 20, "duration": 30},
    {"name": "stress", "shape": "stress", "rate": {"from": 20, "to": 100, "steps": 5}, "duration": 100},
    {"name": "after", "rate": 20, "duration": 120},
]
PATTERNS = ("crashing", "collapsing", "rejecting", "queueing")
LIMIT = [{"phase": "stress", "metric": "latency_p95_ms", "below": 500}]


def analysis(folder: Path, samples: list[Sample], phases: Any = None, **plan: Any) -> Analysis:
    built = RunBuilder({"criteria": LIMIT}, phases=phases or PHASES, **plan).samples(samples)
    return built.analyze(folder)


def stress_of(made: Analysis) -> Stress:
    assert len(made.stress) == 1, made.stress
    return made.stress[0]


@pytest.mark.parametrize(
    ("server", "pattern"),
    [
        ({}, "queueing"),
        ({"limit": 5}, "rejecting"),
        ({"limit": 5, "status": 500}, "rejecting"),
        ({"thrash": 0.02}, "collapsing"),
        ({"timeout_s": 2.0}, "collapsing"),  # all the work goes into answers that nobody waits for any more
        ({"dies_at": 60}, "crashing"),
        ({"capacity": 400.0}, "none"),
    ],
)
def test_the_pattern_is_named_from_what_the_steps_show(server: dict[str, Any], pattern: str, tmp_path: Path) -> None:
    made = analysis(tmp_path, served(arrivals(PHASES, seed=len(pattern)), **({"capacity": CAPACITY} | server)))
    found = stress_of(made)

    assert found.pattern == pattern, found.evidence
    metrics = next(phase for phase in made.phases if phase.name == "stress").metrics
    named = {
        name for name in ("crashing", "collapsing", "rejecting", "queueing") if metrics[f"degradation_{name}"].value
    }
    assert named == ({pattern} - {"none"})
    words = [finding.what for finding in made.findings if finding.kind == "degradation"]
    assert [f"degraded by {pattern}" in text for text in words] == ([] if pattern == "none" else [True])


def test_waiting_that_breaks_no_limit_is_named_and_is_no_trouble(tmp_path: Path) -> None:
    mild = [{"phase": "stress", "metric": "latency_p95_ms", "below": 600_000}]
    samples = served(arrivals(PHASES, seed=1), capacity=CAPACITY)
    made = RunBuilder({"criteria": mild}, phases=PHASES).samples(samples).analyze(tmp_path)

    assert stress_of(made).pattern == "queueing"
    assert [finding for finding in made.findings if finding.kind == "degradation"] == []


def test_errors_at_every_load_are_no_pattern_of_overload(tmp_path: Path) -> None:
    samples = [
        failed(s.due_s, Outcome.HTTP_ERROR, "HTTP 500", phase=s.phase, status=500, latency_s=0.01) if n % 20 == 0 else s
        for n, s in enumerate(served(arrivals(PHASES), 400.0))
    ]
    assert stress_of(analysis(tmp_path, samples)).pattern == "none"


@pytest.mark.parametrize(("capacity", "broken"), [(30.0, 40.0), (50.0, 60.0), (70.0, 80.0)])
def test_the_breaking_point_is_the_first_step_in_which_a_limit_fails_most_of_the_time(
    capacity: float, broken: float, tmp_path: Path
) -> None:
    criteria = [*LIMIT, {"phase": "stress", "metric": "breaking_point_rps", "at_least": 50}]
    made = analysis(tmp_path, served(arrivals(PHASES), capacity), criteria=criteria)

    assert stress_of(made).breaking_point == broken
    assert made.criteria[1].measured.value == broken
    assert made.criteria[1].state is (State.PASS if broken >= 50 else State.FAIL)
    step = next(step for step in stress_of(made).steps if step.load == broken)
    assert step.broken > step.windows / 2
    assert step.limits[0] == "latency_p95_ms < 500"
    assert made.phases[1].metrics["breaking_point_users"].why == "the load was a rate, not users"


def test_a_limit_that_fails_in_half_of_the_windows_has_not_broken_the_step(tmp_path: Path) -> None:
    # Steps of 20 s: five windows of 4 s each; slow in 2 of them, then in 3.
    def samples(slow: int) -> list[Sample]:
        return [
            *steady(20, 0, 30, phase="before"),
            *steady(20, 30, 20, phase="stress"),
            *steady(40, 50, 4 * slow, 0.9, phase="stress"),
            *steady(40, 50 + 4 * slow, 20 - 4 * slow, phase="stress"),
            *steady(60, 70, 60, 0.9, phase="stress"),
        ]

    assert stress_of(analysis(tmp_path / "a", samples(2))).breaking_point == 60
    assert stress_of(analysis(tmp_path / "b", samples(3))).breaking_point == 40


@pytest.mark.parametrize(("at_least", "state"), [(90, State.PASS), (100, State.PASS), (101, State.NO_DATA)])
def test_a_server_that_never_broke_is_known_to_bear_the_highest_step_and_no_more(
    at_least: float, state: State, tmp_path: Path
) -> None:
    criteria = [*LIMIT, {"phase": "stress", "metric": "breaking_point_rps", "at_least": at_least}]
    made = analysis(tmp_path, served(arrivals(PHASES), 400.0), criteria=criteria)

    assert made.criteria[1].state is state
    assert "no limit broke up to 100 RPS" in made.criteria[1].reason
    assert stress_of(made).breaking_point is None
    assert "&gt; 100 RPS" in render(made)


def test_phases_of_users_that_rise_are_steps_of_the_whole_run(tmp_path: Path) -> None:
    users = [{"name": f"u{n}", "users": n, "duration": 30} for n in (10, 100, 500)]
    samples = [
        *steady(20, 0, 30, 0.05, phase="u10"),
        *steady(50, 30, 30, 0.2, phase="u100"),
        *steady(50, 60, 30, 2.0, phase="u500"),
    ]
    criteria = [{"metric": "latency_p95_ms", "below": 1000}, {"metric": "breaking_point_users", "at_least": 200}]
    made = analysis(tmp_path, samples, users, criteria=criteria)

    assert made.criteria[1].measured.value == 500
    assert stress_of(made).phase is None
    assert stress_of(made).pattern == "queueing"


def test_load_that_does_not_rise_has_no_pattern_and_no_breaking_point(tmp_path: Path) -> None:
    phases = [{"name": "only", "rate": 20, "duration": 30}]
    criteria = [{"phase": "only", "metric": "degradation_collapsing", "is": False}]
    made = analysis(tmp_path, steady(20, 0, 30, phase="only"), phases, criteria=criteria)

    assert made.stress == []
    assert made.criteria[0].state is State.NO_DATA
    assert "the load did not rise" in made.criteria[0].reason


# -- recovery -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_s", "expected"), [(0, 0), (4, 5), (19, 20), (59, 60)])
def test_each_aspect_recovers_in_its_own_time(after_s: float, expected: float, tmp_path: Path) -> None:
    """Latency after `after_s`, errors at once, memory ten seconds later than latency."""
    samples = [
        *steady(20, 0, 30, 0.05, phase="before"),
        *steady(60, 30, 100, 2.0, phase="stress"),
        *steady(20, 130, after_s, 1.0, phase="after"),
        *steady(20, 130 + after_s, 120 - after_s, 0.05, phase="after"),
    ]
    memory = [1e8] * 30 + [4e8] * round(100 + after_s + 10) + [1.05e8] * 120
    built = RunBuilder({"criteria": LIMIT}, phases=PHASES).samples(samples).readings(target("rss_bytes", memory))
    made = built.analyze(tmp_path)
    after = made.phases[2].metrics

    assert after["latency_recovery_s"].value == after["recovery_s"].value == expected
    assert after["error_recovery_s"].value == 0
    assert after["memory_recovery_s"].value == pytest.approx(after_s + 10, abs=5)
    found = stress_of(made).recovery
    assert found is not None
    assert (found.phase, found.overload_end_s) == ("after", 130)
    assert found.times["latency"].value == expected


def test_errors_that_stay_are_told_apart_from_latency_that_has_recovered(tmp_path: Path) -> None:
    samples = [
        *steady(20, 0, 30, 0.05, phase="before"),
        *steady(60, 30, 100, 2.0, phase="stress"),
        *(
            failed(130 + n / 20, Outcome.HTTP_ERROR, phase="after", status=500, latency_s=0.01)
            if n % 10 == 0
            else steady(20, 130 + n / 20, 0.05, 0.05, phase="after")[0]
            for n in range(2400)
        ),
    ]
    after = analysis(tmp_path, samples).phases[2].metrics

    assert after["latency_recovery_s"].value == 0
    assert after["error_recovery_s"].unbounded
    assert after["recovery_s"].unbounded
    assert after["memory_recovery_s"].why == (
        "there were no readings of the target's memory before the overload to compare with"
    )


def test_every_form_of_the_report_tells_of_the_stress(tmp_path: Path) -> None:
    made = analysis(tmp_path, served(arrivals(PHASES), CAPACITY))
    text = verdict_json(made).decode()
    page = render(made)

    assert '"pattern": "queueing"' in text
    assert '"breaking_point": 60' in text
    assert "stress: queueing, broke at 60 RPS" in page
    assert "latency_p95_ms &lt; 500" in page
    assert "The overload ended at 2:10" in page
