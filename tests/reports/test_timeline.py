"""The curves: exact, on one axis, and with their peaks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.analysis import Series, Timeline
from samples.sample import LatencySource, Outcome, Protocol, Reading, TokenSource
from tests.reports.builder import RunBuilder, failed, request, steady, target


def curve(series: list[Series], key: str) -> list[float | None]:
    return next(one for one in series if one.key == key).values


def drawn(tmp_path: Path, builder: RunBuilder) -> Timeline:
    timeline = builder.analyze(tmp_path).timeline
    groups = (timeline.load, timeline.latency, timeline.in_flight, timeline.failures, timeline.llm)
    for series in (*groups, timeline.websocket, timeline.resources):
        assert all(len(one.values) == timeline.points for one in series)
    return timeline


def test_load_is_per_second_offered_when_due_and_answered_when_done(tmp_path: Path) -> None:
    samples = [
        *steady(4, 0, 1, latency_s=2.0),
        failed(5.0, Outcome.TIMEOUT, latency_s=3.5),
        failed(6.0, Outcome.DROPPED, latency_s=1.0),
        failed(6.0, Outcome.HTTP_ERROR, latency_s=0.1),
    ]
    timeline = drawn(tmp_path, RunBuilder().samples(samples))

    assert (timeline.start_s, timeline.step_s, timeline.points) == (0.0, 1.0, 31)
    assert curve(timeline.load, "offered")[:8] == [4, 0, 0, 0, 0, 1, 2, 0]
    assert curve(timeline.load, "achieved")[:8] == [0, 0, 4, 0, 0, 0, 1, 0]
    assert curve(timeline.load, "failed")[5:9] == [0, 1, 0, 1]
    assert curve(timeline.load, "dropped")[6] == 1
    assert {series.key for series in timeline.failures} == {"timeout", "dropped", "http_error"}


def test_latency_is_by_due_time_and_a_second_without_answers_is_a_gap(tmp_path: Path) -> None:
    samples = [*(request(n / 20, (n + 1) / 100) for n in range(20)), request(2.0, 9.0), failed(3.0, Outcome.TIMEOUT)]
    timeline = drawn(tmp_path, RunBuilder().samples(samples))

    assert curve(timeline.latency, "p50")[:4] == [pytest.approx(100), None, pytest.approx(9000), None]
    assert curve(timeline.latency, "p95")[0] == pytest.approx(190)
    assert curve(timeline.latency, "max")[0] == pytest.approx(200)


def test_in_flight_is_the_highest_number_at_one_time_in_each_step(tmp_path: Path) -> None:
    samples = [
        request(0.1, 0.1),
        request(0.2, 0.1),  # begins as the one before ends: one in flight, not two
        request(1.0, 4.5),
        request(1.1, 0.2),
        request(1.2, 0.2),
        request(3.0, 2.0, lag_s=1.2),  # waits, then is sent at 4.2
        failed(3.0, Outcome.DROPPED),
    ]
    timeline = drawn(tmp_path, RunBuilder().samples(samples))

    assert curve(timeline.in_flight, "in_flight")[:7] == [1, 3, 1, 1, 2, 2, 0]


def test_in_flight_matches_a_count_at_every_event_of_a_random_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    samples = [request(float(t), float(rng.exponential(2))) for t in rng.uniform(0, 30, 300)]
    timeline = drawn(tmp_path, RunBuilder().samples(samples))

    moments = sorted({s.due_s for s in samples} | {float(n) for n in range(timeline.points)})
    level = {t: sum(s.due_s <= t < s.done_s for s in samples) for t in moments}
    expected = [max(level[t] for t in moments if n <= t < n + 1) for n in range(timeline.points)]
    assert curve(timeline.in_flight, "in_flight") == expected


def test_a_long_run_has_at_most_1500_points_and_keeps_its_peaks(tmp_path: Path) -> None:
    phases = [{"name": "sustained", "rate": 0.1, "duration": 14_400}]
    readings = target("cpu_cores", [8.0 if n == 7205 else 1.0 for n in range(14_400)])
    samples = [*steady(0.1, 0, 14_400), request(7201.0, 60.0)]
    timeline = drawn(tmp_path, RunBuilder(phases=phases).samples(samples).readings(readings))

    assert timeline.step_s == 10
    assert timeline.points == 1441
    assert curve(timeline.latency, "max")[720] == pytest.approx(60_000)
    assert curve(timeline.resources, "target.cpu_cores")[720] == pytest.approx(1.7)
    assert curve(timeline.resources, "target.cpu_cores.max")[720] == 8


def test_resources_are_one_curve_per_worker_when_there_are_several(tmp_path: Path) -> None:
    readings = [
        *target("rss_bytes", [5.0, 6.0], start_s=2.5),
        Reading(1.2, "host", "load_1m", 3.0),
        Reading(1.8, "host", "load_1m", 5.0),
    ]
    builder = RunBuilder().samples([*steady(5, 0, 30), *steady(5, 0, 30, worker="1")]).readings(readings)
    timeline = drawn(tmp_path, builder)

    keys = {series.key for series in timeline.resources}
    assert {"generator.cpu_cores.0", "generator.cpu_cores.1", "target.rss_bytes", "host.load_1m"} <= keys
    assert curve(timeline.resources, "target.rss_bytes")[1:5] == [None, 5, 6, None]
    assert curve(timeline.resources, "host.load_1m")[1] == 4
    assert {s.key: s.unit for s in timeline.resources}["target.rss_bytes"] == "bytes"


def test_streams_have_curves_of_their_own(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"protocol": Protocol.LLM, "token_source": TokenSource.USAGE, "events": 3}
    samples = [
        request(0.0, 1.5, lag_s=0.1, ttft_s=0.2, output_tokens=30, icl_us=[10_000, 20_000], **fields),
        request(0.5, 1.0, ttft_s=0.5, output_tokens=10, icl_us=[30_000, 40_000], **fields),
        request(2.0, 0.5, protocol=Protocol.LLM),
    ]
    timeline = drawn(tmp_path, RunBuilder().samples(samples))

    assert curve(timeline.llm, "ttft_due_p95")[:3] == [pytest.approx(500), None, None]
    assert curve(timeline.llm, "icl_p95")[:3] == [40, None, None]
    assert curve(timeline.llm, "output_tokens_per_s")[:3] == [0, 40, 0]


def test_websocket_messages_have_curves_of_their_own(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "protocol": Protocol.WEBSOCKET, "iteration": False, "message_type": "progress",
        "latency_source": LatencySource.SHARED_CLOCK,
    }  # fmt: skip
    samples = [request(n / 4, 0.02, connection=n % 2, sequence=n, **fields) for n in range(8)]
    timeline = drawn(tmp_path, RunBuilder().samples(samples))

    assert curve(timeline.websocket, "messages")[:3] == [4, 4, 0]
    assert curve(timeline.websocket, "connections")[:3] == [2, 2, 0]
    assert curve(timeline.websocket, "message_latency_p95")[:3] == [pytest.approx(20), pytest.approx(20), None]
    assert timeline.load == timeline.latency == timeline.llm == []


def test_a_stamp_from_before_the_run_does_not_move_the_axis(tmp_path: Path) -> None:
    stray = request(-3600.0, 3600.5, protocol=Protocol.WEBSOCKET, iteration=False, message_type="progress")
    timeline = drawn(tmp_path, RunBuilder().samples([*steady(10, 0, 30), stray]))

    assert timeline.start_s == 0
    assert timeline.points == 31
