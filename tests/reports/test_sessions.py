"""Figures of servers that keep sessions, and of load that grows from phase to phase."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from reports.analysis import Analysis
from samples.sample import Reading
from tests.reports.builder import RunBuilder, request, steady, target

REST = [Reading(-0.5, "target", "rss_bytes", 100e6)]


def open_sessions(*values: float) -> list[Reading]:
    return [Reading(float(second), "server", "sessions_open", value) for second, value in enumerate(values)]


def of(folder: Path, *sources: list[Reading]) -> Any:
    builder = RunBuilder().samples([request(0)])
    for source in sources:
        builder.readings(source)
    return builder.analyze(folder).phases[0].metrics


def test_memory_per_session_is_all_growth_shared_among_the_most_sessions(tmp_path: Path) -> None:
    random = Random(1)
    grown = [random.uniform(0, 80e6) for _ in range(29)] + [90e6]
    memory = target("rss_bytes", [100e6 + one for one in grown])
    sessions = open_sessions(*[random.randint(0, 29) for _ in range(29)], 30)
    found = of(tmp_path, REST, memory, sessions)
    assert found["sessions_max"].value == 30
    assert found["memory_per_session_bytes"].value == pytest.approx(90e6 / 30)


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        ([REST, target("rss_bytes", [1e8] * 30)], "there are no readings of the server's sessions_open"),
        ([REST, open_sessions(*[3] * 30)], "there are no readings of the target's rss_bytes"),
        ([target("rss_bytes", [1e8] * 30), open_sessions(*[3] * 30)], "no reading of the target's rss_bytes before"),
        ([REST, target("rss_bytes", [1e8] * 30), open_sessions(*[0] * 30)], "the server had no session"),
        ([REST, target("rss_bytes", [1e8] * 30), open_sessions(*[3] * 9)], "have a hole of"),
    ],
)
def test_without_the_readings_memory_per_session_is_not_known(
    tmp_path: Path, sources: list[list[Reading]], why: str
) -> None:
    found = of(tmp_path, *sources)["memory_per_session_bytes"]
    assert found.value is None
    assert why in found.why


def rising(folder: Path, *rates: float, closed: tuple[bool, ...] = ()) -> Analysis:
    """Phases of 10 s, each with its throughput."""
    kinds = closed or (True,) * len(rates)
    phases = [
        {"name": f"p{number}", "duration": "10s", ("users" if kind else "rate"): 1} for number, kind in enumerate(kinds)
    ]
    builder = RunBuilder(phases=phases, criteria=[])
    for number, rate in enumerate(rates):
        builder.samples(steady(rate, number * 10, 10, phase=f"p{number}"))
    return builder.analyze(folder)


def test_degradation_is_against_the_best_throughput_so_far(tmp_path: Path) -> None:
    found = [phase.metrics["throughput_degradation"] for phase in rising(tmp_path, 10, 40, 30, 50, 5).phases]
    assert [one.value for one in found] == [None, 0, pytest.approx(0.25), 0, pytest.approx(0.9)]
    assert "no phase of its kind comes before it" in str(found[0].why)


def test_degradation_compares_phases_of_one_kind(tmp_path: Path) -> None:
    found = rising(tmp_path, 50, 20, 10, 40, closed=(False, True, True, False)).phases
    values = [phase.metrics["throughput_degradation"].value for phase in found]
    assert values == [None, None, pytest.approx(0.5), pytest.approx(0.2)]


def test_degradation_over_the_whole_run_is_not_known(tmp_path: Path) -> None:
    found = rising(tmp_path, 10, 5)
    assert found.total.metrics["throughput_degradation"].value is None
