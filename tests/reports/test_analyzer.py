"""From a folder to an Analysis: the parts together, and folders in which something is wrong."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plans.run import Ending
from plans.schema import Plan
from reports.analysis import Analysis, Verdict
from reports.analyzer import analyze
from samples.journal import Event, EventKind
from samples.sample import LatencySource, Outcome, Protocol, TokenSource
from tests.reports.builder import PLAN, RunBuilder, failed, request, steady, write_batches

TWO = [{"name": "first", "rate": 10, "duration": 30}, {"name": "second", "rate": 20, "duration": 30}]


def test_an_analysis_has_every_part(tmp_path: Path) -> None:
    builder = RunBuilder(phases=TWO, criteria=[{"metric": "success_rate", "phase": "second", "at_least": 0.9}])
    builder.samples([*steady(10, 0, 30, phase="first"), *steady(20, 30, 30, phase="second")])
    builder.events([Event(30.0, EventKind.PHASE, "second begins"), Event(0.0, EventKind.PHASE, "first begins")])
    analysis = builder.analyze(tmp_path)

    assert analysis.verdict is Verdict.PASS
    assert [(p.name, p.load, p.start_s, p.end_s) for p in analysis.phases] == [
        ("first", "10 RPS", 0, 30),
        ("second", "20 RPS", 30, 60),
    ]
    assert analysis.total.accounting.scheduled == 900
    assert analysis.total.metrics["throughput_rps"].value == pytest.approx(15)
    assert [event.text for event in analysis.events] == ["first begins", "second begins"]
    assert analysis.samples == 900
    assert analysis.length_s == pytest.approx(60.05)


def test_accounting_names_every_outcome(tmp_path: Path) -> None:
    samples = [request(0.0), failed(1.0, Outcome.CUT), failed(2.0, Outcome.DROPPED)]
    accounting = RunBuilder().samples(samples).analyze(tmp_path).phases[0].accounting

    assert set(accounting.outcomes) == {outcome.value for outcome in Outcome}
    assert accounting.scheduled == sum(accounting.outcomes.values()) == 3
    assert accounting.outcomes["cut"] == accounting.outcomes["dropped"] == 1


def test_scenarios_and_their_requests_are_tables_over_the_whole_run(tmp_path: Path) -> None:
    samples = [
        *steady(5, 0, 30, 0.1, phase="first"),
        *steady(5, 0, 30, 0.3, phase="first", scenario="ReadOnlyUser", name="list"),
        *steady(10, 30, 30, 0.5, phase="second", scenario="ReadOnlyUser", name="get"),
        *steady(10, 30, 30, 0.1, phase="second", protocol=Protocol.LLM),
    ]
    mix: dict[str, Any] = {"ChatUser": {}, "ReadOnlyUser": {}}
    analysis = RunBuilder(phases=TWO, mix=mix, criteria=[]).samples(samples).analyze(tmp_path)

    assert [(s.scenario, s.name, s.accounting.scheduled) for s in analysis.scenarios] == [
        ("ChatUser", None, 450),
        ("ReadOnlyUser", None, 450),
    ]
    assert analysis.scenarios[1].metrics["throughput_rps"].value == pytest.approx(450 / 60)
    assert [(r.scenario, r.name, r.accounting.scheduled) for r in analysis.requests] == [
        ("ChatUser", "chat", 450),
        ("ReadOnlyUser", "get", 300),
        ("ReadOnlyUser", "list", 150),
    ]
    assert analysis.requests[1].metrics["latency_p95_ms"].value == pytest.approx(500)


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        ({"rate": 50}, "50 RPS"),
        ({"users": 20}, "20 users"),
        ({"shape": "ramp", "rate": {"from": 10, "to": 50}}, "10 → 50 RPS"),
        ({"shape": "steps", "users": {"from": 10, "to": 50, "steps": 5}}, "10 → 50 users in 5 steps"),
        ({"shape": "spike", "rate": {"base": 10, "peak": 100}}, "10 → 100 → 10 RPS"),
        ({"shape": "sine", "rate": {"mean": 50, "amplitude": 20}, "period": "5m"}, "50 ± 20 RPS every 5m"),
    ],
)
def test_a_load_reads_as_people_write_it(phase: dict[str, Any], text: str) -> None:
    plan = Plan.model_validate(PLAN | {"phases": [{"name": "p", "duration": 600} | phase], "criteria": []})

    assert plan.phases[0].load_text == text


def test_notes_say_what_a_reader_must_know(tmp_path: Path) -> None:
    samples = [
        *steady(10, 0, 30, protocol=Protocol.LLM, token_source=TokenSource.EVENTS, events=2, output_tokens=2),
        request(1.0, protocol=Protocol.WEBSOCKET, iteration=False, message_type="x", latency_source=LatencySource.ECHO),
    ]
    builder = RunBuilder().samples(samples).record(time_scale=0.02, rate_scale=0.5, notes=["said by the run"])
    notes = " ".join(builder.analyze(tmp_path).notes)

    for part in ("said by the run", "Rehearsal", "no certificate", "scaled by 0.5", "counted events", "echoed"):
        assert part in notes


def test_messages_that_arrive_before_they_were_sent_show_clocks_that_are_not_shared(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "protocol": Protocol.WEBSOCKET, "iteration": False, "message_type": "x",
        "latency_source": LatencySource.SHARED_CLOCK,
    }  # fmt: skip
    analysis = RunBuilder().samples([*steady(10, 0, 30), *steady(1, 0, 30, -0.2, **fields)]).analyze(tmp_path)

    assert any("before they were sent" in note for note in analysis.notes)


# -- folders in which something is wrong: always an analysis, never a traceback, never a pass -----------------------


def not_passed(analysis: Analysis) -> Analysis:
    assert analysis.verdict is not Verdict.PASS
    assert analysis.reasons
    return analysis


def whole(tmp_path: Path) -> Path:
    return RunBuilder().samples(steady(10, 0, 30)).write(tmp_path)


def test_no_samples_files(tmp_path: Path) -> None:
    (whole(tmp_path) / "samples-0.arrow").unlink()

    assert "nothing was measured" in not_passed(analyze(tmp_path)).reasons[0]


@pytest.mark.parametrize("size", [0, 1, 100, 4000, -1])
def test_a_truncated_samples_file(tmp_path: Path, size: int) -> None:
    path = whole(tmp_path) / "samples-0.arrow"
    path.write_bytes(path.read_bytes()[:size])

    not_passed(analyze(tmp_path))


def test_flipped_bytes_anywhere_in_a_samples_file(tmp_path: Path) -> None:
    path = tmp_path / "samples-0.arrow"
    whole(tmp_path)
    write_batches(path, steady(10, 0, 30), size=50)
    data = path.read_bytes()
    for seed in range(40):
        rng = random.Random(seed)
        broken = bytearray(data)
        for _ in range(20):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        analyze(tmp_path)


def test_missing_resources(tmp_path: Path) -> None:
    (whole(tmp_path) / "resources-0.arrow").unlink()

    assert "no readings" in not_passed(analyze(tmp_path)).reasons[0]


def test_a_truncated_resources_file(tmp_path: Path) -> None:
    path = whole(tmp_path) / "resources-0.arrow"
    path.write_bytes(path.read_bytes()[:300])

    not_passed(analyze(tmp_path))


def test_unknown_phase_names_everywhere(tmp_path: Path) -> None:
    not_passed(RunBuilder().samples(steady(10, 0, 30, phase="nowhere")).analyze(tmp_path))


def test_phases_in_the_record_that_the_plan_does_not_have(tmp_path: Path) -> None:
    analysis = RunBuilder().samples(steady(10, 0, 30)).phase("sustained", name="renamed").analyze(tmp_path)

    assert not_passed(analysis).phases[0].load == ""


def test_a_phase_without_length(tmp_path: Path) -> None:
    analysis = RunBuilder().samples([request(0.0)]).phase("sustained", end_s=0.0).analyze(tmp_path)

    assert analysis.phases[0].metrics["throughput_rps"].value is None
    assert analysis.phases[0].metrics["latency_p95_ms"].value == pytest.approx(100)


def test_one_sample(tmp_path: Path) -> None:
    analysis = RunBuilder().samples([request(0.0)]).analyze(tmp_path)

    assert analysis.phases[0].metrics["latency_p999_ms"].value == pytest.approx(100)
    assert analysis.phases[0].metrics["latency_p999_ms"].interval is None


@pytest.mark.parametrize("outcome", [Outcome.DROPPED, Outcome.CUT, Outcome.CONNECT_ERROR, Outcome.TIMEOUT])
def test_nothing_but_failures(tmp_path: Path, outcome: Outcome) -> None:
    analysis = RunBuilder().samples([failed(n / 10, outcome) for n in range(300)]).analyze(tmp_path)

    assert not_passed(analysis).total.metrics["throughput_rps"].value == 0


def test_only_pushed_messages(tmp_path: Path) -> None:
    pushed = steady(10, 0, 30, protocol=Protocol.WEBSOCKET, iteration=False, message_type="x", scenario="WebSocketUser")

    not_passed(RunBuilder().samples(pushed).analyze(tmp_path))


@pytest.mark.parametrize("ending", list(Ending))
def test_a_record_without_phases_and_processes(tmp_path: Path, ending: Ending) -> None:
    builder = RunBuilder().samples(steady(10, 0, 30)).record(ending=ending, phases=[], processes=[])

    assert [phase.name for phase in not_passed(builder.analyze(tmp_path)).phases] == ["sustained"]


def test_a_sample_without_times(tmp_path: Path) -> None:
    nowhere = request(0.0)
    nowhere.due_s = None  # type: ignore[assignment]
    nowhere.iteration = False
    analysis = RunBuilder().samples([*steady(10, 0, 30), nowhere]).analyze(tmp_path)

    assert any("1 samples have no time" in reason for reason in not_passed(analysis).reasons)


def test_lines_that_are_no_events(tmp_path: Path) -> None:
    (whole(tmp_path) / "events.jsonl").write_text('{"t_s": 1, "kind": "unheard of", "text": "x"}\n[1, 2]\n')

    assert analyze(tmp_path).verdict is Verdict.PASS


def test_the_analysis_needs_neither_locust_nor_gevent() -> None:
    code = "import sys, reports.analyzer; assert not {'locust', 'gevent'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)
