"""A run that goes on is judged by the formulas of its report, up to the moment that is settled."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from plans.assessment import TOO_EARLY
from plans.run import Ending
from reports import live
from reports.analysis import State
from reports.live import Assessor
from samples.sample import Outcome, Protocol, Sample
from tests.execution.harness import ROOT
from tests.reports.builder import RunBuilder, failed, request, steady, target

METRICS = {
    "success_rate": 0.9,
    "throughput_rps": 9.0,
    "offered_rps": 9.0,
    "goodput_rps": 9.0,
    "availability": 0.9,
    "latency_mean_ms": 300,
    "latency_p50_ms": 300,
    "latency_p95_ms": 300,
    "latency_p99_ms": 300,
    "adj_p90_ms": 300,
    "lag_p99_ms": 300,
    "ttft_due_p95_ms": 300,
    "icl_p99_ms": 300,
    "output_tokens_per_s": 300,
    "stability_score": 0.5,
    "cpu_cores_mean": 1.0,
}
PHASES = [{"name": "first", "rate": 10, "duration": "40s"}, {"name": "second", "rate": 20, "duration": "40s"}]


def plan(**keys: Any) -> dict[str, Any]:
    criteria = [
        {"metric": metric, "phase": phase, "at_least": limit}
        for metric, limit in METRICS.items()
        for phase in ("first", "second", None)
    ]
    return {"phases": PHASES, "criteria": criteria} | keys


def traffic(seed: int) -> list[Sample]:
    """Return a lively run: streams, failures, and latencies of up to several seconds, in the order of their ends."""
    random, made = Random(seed), []
    for index in range(40 * 10 + 40 * 20):
        due = index / 10 if index < 400 else 40 + (index - 400) / 20
        phase = "first" if index < 400 else "second"
        if random.random() < 0.05:
            made.append(failed(due, random.choice([Outcome.TIMEOUT, Outcome.HTTP_ERROR]), phase=phase))
            continue
        latency = random.lognormvariate(-1.5, 1.2)
        stream = {
            "protocol": Protocol.LLM,
            "ttft_s": latency / 3,
            "events": 4,
            "output_tokens": 4,
            "icl_us": [random.randint(1, 300_000) for _ in range(3)],
        }
        made.append(request(due, latency, lag_s=0.001, phase=phase, **stream))
    return sorted(made, key=lambda sample: sample.done_s)


def going_on(folder: Path, samples: list[Sample], **keys: Any) -> Path:
    """Write a run that has not ended: nobody has told it its phases yet."""
    builder = RunBuilder(plan(**keys)).samples(samples).readings(target("cpu_cores", [0.5, 1.5] * 40))
    return builder.record(ending=Ending.RUNNING, phases=[], ended_s=None).write(folder)


@pytest.mark.parametrize(("seed", "settled"), [(1, 23.4), (2, 40.05), (3, 61.7)])
def test_live_values_are_those_of_a_report_over_what_is_settled(tmp_path: Path, seed: int, settled: float) -> None:
    samples = traffic(seed)
    folder = going_on(tmp_path / "live", [s for s in samples if s.due_s < settled or s.done_s < settled + 0.4])
    found = Assessor(folder).assess(settled)

    whole = RunBuilder(plan()).samples([s for s in samples if s.due_s < settled])
    whole.readings(target("cpu_cores", [0.5, 1.5] * 40))
    whole.phase("first", end_s=min(settled, 40.0)).phase("second", end_s=max(settled, 40.0), reached=settled > 40)
    analysis = whole.analyze(tmp_path / "whole")
    assert len(found.criteria) == len(analysis.criteria) == 3 * len(METRICS)
    compared = 0
    for one, reported in zip(found.criteria, analysis.criteria, strict=True):
        if one.state == TOO_EARLY:
            continue
        compared += 1
        assert one.value == pytest.approx(reported.measured.value, rel=1e-12), one
        assert (one.state, one.reason) == (reported.state.value, reported.reason)
    assert compared >= 2 * len(METRICS)
    assert found.problem is None
    assert found.settled_s == settled


def test_an_answer_that_is_awaited_makes_no_figure_better(tmp_path: Path) -> None:
    """The quick answers of the last seconds are there, the slow ones are not: they are not judged yet."""
    slow = [request(due / 10, 4.0, phase="first") for due in range(0, 200, 2)]
    quick = [request(due / 10, 0.01, phase="first") for due in range(1, 200, 2)]
    answered = [sample for sample in [*slow, *quick] if sample.done_s < 20]
    folder = going_on(tmp_path, answered, criteria=[{"metric": "latency_p50_ms", "phase": "first", "below": 3000}])
    settled = 16.0  # the oldest that is awaited was due then

    assert Assessor(folder).assess(20.0).criteria[0].state == State.PASS  # what a naive look would say
    half = Assessor(folder).assess(settled).criteria[0]
    assert "160 samples" in half.reason


def test_a_phase_is_judged_when_it_has_gone_on_for_a_while_and_is_final_when_it_is_over(tmp_path: Path) -> None:
    samples = [*steady(10, 0, 40, phase="first"), *steady(20, 40, 20, 0.9, phase="second")]
    limits = [
        {"metric": "latency_p95_ms", "phase": "first", "below": 500},
        {"metric": "latency_p95_ms", "phase": "second", "below": 500},
        {"metric": "latency_p95_ms", "phase": "second", "below": 600, "severity": "warn"},
        {"metric": "recovery_s", "phase": "second", "below": 10},
        {"metric": "ws_missing", "at_most": 0},
        {"metric": "cpu_cores_max", "phase": "first", "below": 9},
    ]
    folder = going_on(tmp_path, samples, criteria=limits)
    assessor = Assessor(folder)

    def states(settled: float) -> list[tuple[str, bool]]:
        return [(one.state, one.final) for one in assessor.assess(settled).criteria]

    later = (TOO_EARLY, False)
    assert states(2.0) == [later, later, later, later, later, later]
    assert states(39.0)[:2] == [("pass", False), later]
    assert states(42.0)[:2] == [("pass", True), later]
    assert states(42.0)[5] == ("pass", False)  # the last readings of the phase may not be on disk yet
    assert states(59.0) == [("pass", True), ("fail", False), ("warn", False), later, ("no_data", False), ("pass", True)]
    reasons = [one.reason for one in Assessor(folder).assess(2.0).criteria]
    assert reasons[:2] == ["judged from 4 s on", "its phase has not begun"]
    assert assessor.assess(59.0).criteria[3].reason == "known at the end"


def test_a_dead_server_fails_a_limit_on_its_times_and_silence_does_not(tmp_path: Path) -> None:
    dead = [failed(index / 10, Outcome.CONNECT_ERROR, phase="first") for index in range(200)]
    limit = [{"metric": "latency_p95_ms", "phase": "first", "below": 500}]
    broken = Assessor(going_on(tmp_path / "dead", dead, criteria=limit)).assess(20.0).criteria[0]
    silent = Assessor(going_on(tmp_path / "silent", [], criteria=limit)).assess(20.0).criteria[0]

    assert (broken.state, broken.measured, broken.value) == ("fail", "∞", None)
    assert silent.state == "no_data"


def test_more_samples_than_can_be_read_again_and_again_are_left_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_SAMPLES", 50)
    assessor = Assessor(going_on(tmp_path, steady(10, 0, 10, phase="first")))
    first, second = assessor.assess(10.0), assessor.assess(10.0)

    assert first.problem is None
    assert second.problem == "there are more than 50 samples: the report will judge them"
    assert second.criteria == ()


def test_the_process_answers_each_line_with_one_and_ends_with_its_input(tmp_path: Path) -> None:
    folder = going_on(tmp_path, steady(10, 0, 30, phase="first"))
    command = [sys.executable, "-m", "reports.live", str(folder), "--exit-with-parent"]
    asked = '{"settled_s": 10.0}\n{"settled_s": 20.0}\n'
    done = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, check=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]

    assert [answer["settled_s"] for answer in answers] == [10.0, 20.0]
    assert [answer["phases"][0]["figures"]["throughput_rps"] for answer in answers] == ["10.0 RPS", "10.0 RPS"]
    assert {check["name"] for check in answers[0]["health"]} >= {"start lag p99", "generator CPU"}
    (cpu,) = [one for one in answers[0]["resources"] if one["label"] == "target CPU"]
    assert (cpu["text"], cpu["source"], cpu["metric"], cpu["value"]) == ("1.50 cores", "target", "cpu_cores", 1.5)
    assert answers[0]["criteria"][0]["limit"] == "≥ 90.0 %"

    none = subprocess.run(
        [*command[:3], str(tmp_path / "none")], cwd=ROOT, input=asked, capture_output=True, text=True, check=False
    )
    assert (none.returncode, none.stdout) == (2, "")
    assert "is no run" in none.stderr
