"""Each formula of the catalogue against a value worked out by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plans.metrics import METRICS
from reports.analysis import Analysis, Measured
from reports.metrics import FORMULAS
from samples.sample import LatencySource, Outcome, Protocol, Sample, TokenSource
from tests.reports.builder import RunBuilder, failed, request, steady


def measured(
    tmp_path: Path, samples: list[Sample], metric: str, phase: str | None = "sustained", **plan: Any
) -> Measured:
    analysis = RunBuilder(**plan).samples(samples).analyze(tmp_path)
    return of(analysis, metric, phase)


def of(analysis: Analysis, metric: str, phase: str | None = "sustained") -> Measured:
    if phase is None:
        return analysis.total.metrics[metric]
    return next(result for result in analysis.phases if result.name == phase).metrics[metric]


def llm(due_s: float, **fields: Any) -> Sample:
    values: dict[str, Any] = {"ttft_s": 0.2, "events": 1, "output_tokens": 1, "token_source": TokenSource.USAGE}
    return request(due_s, 1.0, protocol=Protocol.LLM, **(values | fields))


def message(due_s: float, sequence: int | None, kind: str = "progress", connection: int = 1, **fields: Any) -> Sample:
    values: dict[str, Any] = {
        "protocol": Protocol.WEBSOCKET,
        "scenario": "WebSocketUser",
        "name": kind,
        "message_type": kind,
        "iteration": False,
        "sequence": sequence,
        "connection": connection,
        "latency_source": LatencySource.SHARED_CLOCK,
    }
    return request(due_s, **({"latency_s": 0.01} | values | fields))


def connect(due_s: float, connect_ms: float | None = 5.0, **fields: Any) -> Sample:
    values = {"name": "connect", "connect_ms": connect_ms, "message_type": None, "latency_source": None}
    return message(due_s, None, **(values | fields))


def test_the_metrics_that_are_computed_are_exactly_the_catalogue(tmp_path: Path) -> None:
    assert set(FORMULAS) == set(METRICS)
    analysis = RunBuilder().samples(steady(10, 0, 30)).analyze(tmp_path)
    parts = [*analysis.phases, analysis.total]
    groups = [*analysis.scenarios, *analysis.requests]
    for metrics in (*(part.metrics for part in parts), *(group.metrics for group in groups)):
        assert list(metrics) == list(METRICS)


def test_every_missing_value_says_why(tmp_path: Path) -> None:
    analysis = RunBuilder().samples(steady(10, 0, 30)).analyze(tmp_path)
    missing = {name: m for name, m in analysis.phases[0].metrics.items() if m.value is None}

    assert {"ttft_p95_ms", "ws_connect_max_ms", "memory_growth", "recovery_s"} <= set(missing)
    assert all(m.why for m in missing.values())


def test_latency_counts_from_due_service_from_sent_and_lag_between(tmp_path: Path) -> None:
    samples = [request(float(n), latency_s=0.5, lag_s=0.2) for n in range(10)]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    assert of(analysis, "latency_p50_ms").value == pytest.approx(500)
    assert of(analysis, "service_p50_ms").value == pytest.approx(300)
    assert of(analysis, "lag_p50_ms").value == pytest.approx(200)
    assert of(analysis, "latency_p50_ms").samples == 10


def test_percentiles_mean_and_maximum_are_those_of_the_raw_values(tmp_path: Path) -> None:
    latency = np.random.default_rng(5).lognormal(0, 1, 2500)
    samples = [request(n / 100, latency_s=float(value)) for n, value in enumerate(latency)]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    raw = np.array([(s.done_s - s.due_s) * 1000 for s in samples])
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
        assert of(analysis, f"latency_{name}_ms").value == np.quantile(raw, share, method="inverted_cdf")
    assert of(analysis, "latency_mean_ms").value == pytest.approx(raw.mean())
    assert of(analysis, "latency_max_ms").value == raw.max()
    low, high = of(analysis, "latency_p95_ms").interval or (math.nan, math.nan)
    assert low < np.quantile(raw, 0.95) < high


def test_latency_is_over_responses_and_a_refusal_is_a_response(tmp_path: Path) -> None:
    samples = [
        request(0.0, 0.1),
        failed(1.0, Outcome.HTTP_ERROR, latency_s=0.3, status=503),
        failed(2.0, Outcome.BAD_CONTENT, latency_s=0.2),
        failed(3.0, Outcome.TIMEOUT, latency_s=30.0),
        failed(4.0, Outcome.DROPPED, latency_s=10.0),
    ]
    found = measured(tmp_path, samples, "latency_max_ms")

    assert found.value == pytest.approx(300)
    assert found.samples == 3


def test_coordinated_omission_a_stall_is_seen_by_every_caller_who_came_during_it(tmp_path: Path) -> None:
    """50 RPS for 30 s, and nothing is answered for 5 s: 250 callers wait 5.01 s down to 0.03 s.

    The 95th percentile is rank 1425 of 1500, the 76th slowest: 5.01 - 75 x 0.02 s. A generator that stamps the
    sending, which a blocked user could not do, sees 10 ms throughout.
    """
    times = [n / 50 for n in range(1500)]
    free = [15.0 if 10 <= t < 15 else t for t in times]
    samples = [
        request(t, latency_s=begin - t + 0.01, lag_s=begin - t, waited=begin > t)
        for t, begin in zip(times, free, strict=True)
    ]
    analysis = (
        RunBuilder(phases=[{"name": "sustained", "rate": 50, "duration": "30s"}]).samples(samples).analyze(tmp_path)
    )

    assert of(analysis, "latency_p95_ms").value == pytest.approx(3510)
    assert of(analysis, "latency_max_ms").value == pytest.approx(5010)
    assert of(analysis, "service_p95_ms").value == pytest.approx(10)
    assert of(analysis, "throughput_rps").value == pytest.approx(50)


def test_rates_are_over_the_planned_length_of_the_phase(tmp_path: Path) -> None:
    samples = [
        *steady(10, 0, 27),
        *(failed(27 + n / 10, Outcome.HTTP_ERROR) for n in range(20)),
        *(failed(29 + n / 10, Outcome.TIMEOUT) for n in range(10)),
    ]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    assert of(analysis, "offered_rps").value == pytest.approx(10)
    assert of(analysis, "throughput_rps").value == pytest.approx(290 / 30)
    assert of(analysis, "goodput_rps").value == pytest.approx(9)
    assert of(analysis, "success_rate").value == pytest.approx(0.9)
    assert of(analysis, "error_rate").value == pytest.approx(0.1)
    assert of(analysis, "scheduled").value == 300
    assert of(analysis, "dropped").value == 0


def test_success_is_over_what_was_scheduled_and_not_over_what_was_written(tmp_path: Path) -> None:
    analysis = RunBuilder().samples(steady(10, 0, 20)).phase("sustained", scheduled={"ChatUser": 300}).analyze(tmp_path)

    assert of(analysis, "success_rate").value == pytest.approx(2 / 3)
    assert analysis.phases[0].accounting.lost == 100


def test_a_phase_that_was_cut_short_has_the_length_that_it_ran(tmp_path: Path) -> None:
    analysis = RunBuilder().samples(steady(10, 0, 12)).phase("sustained", end_s=12.0).analyze(tmp_path)

    assert of(analysis, "throughput_rps").value == pytest.approx(10)


def test_extra_attempts_of_an_iteration_are_in_no_rate_of_the_phase_but_in_their_names_table(tmp_path: Path) -> None:
    extra = [request(n / 10, 2.0, iteration=False, name="extra") for n in range(300)]
    analysis = RunBuilder().samples([*steady(10, 0, 30), *extra]).analyze(tmp_path)

    assert of(analysis, "throughput_rps").value == pytest.approx(10)
    assert of(analysis, "latency_max_ms").value == pytest.approx(100)
    names = {group.name: group for group in analysis.requests}
    assert names["extra"].metrics["latency_p50_ms"].value == pytest.approx(2000)
    assert names["extra"].accounting.scheduled == 300
    assert analysis.health[0].passed


def test_a_request_outside_any_limit_is_no_goodput_and_a_time_it_does_not_have_breaks_none(tmp_path: Path) -> None:
    samples = [
        request(0.0, 0.4),
        request(1.0, 0.6),
        request(2.0, 0.4, lag_s=0.05),
        llm(3.0, done_s=3.4, ttft_s=0.1, events=3, output_tokens=3, icl_us=[20_000, 20_000]),
        llm(4.0, done_s=4.4, ttft_s=0.3),
        llm(5.0, done_s=5.4, ttft_s=0.1, events=3, output_tokens=3, icl_us=[40_000, 80_000]),
        failed(6.0, Outcome.HTTP_ERROR, latency_s=0.1),
    ]
    limits = {"latency_ms": 500, "ttft_due_ms": 200, "tpot_ms": 50}
    found = measured(tmp_path, samples, "goodput_rps", limits=limits)

    assert found.value == pytest.approx(3 / 30)


def test_availability_is_the_share_of_seconds_with_arrivals_that_had_an_answer(tmp_path: Path) -> None:
    samples = [
        request(0.1),
        failed(0.2, Outcome.TIMEOUT),
        failed(1.5, Outcome.CONNECT_ERROR),
        failed(1.7, Outcome.CONNECT_ERROR),
        request(4.0),
        request(5.0),
    ]
    found = measured(tmp_path, samples, "availability")

    assert found.value == pytest.approx(3 / 4)
    assert found.samples == 4


def test_adjusted_percentiles_count_failures_as_infinite(tmp_path: Path) -> None:
    samples = [
        *(request(n / 10, (n + 1) / 1000) for n in range(94)),
        *(failed(10 + n, Outcome.TIMEOUT) for n in range(6)),
    ]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    assert of(analysis, "adj_p90_ms").value == pytest.approx(90)
    beyond = of(analysis, "adj_p95_ms")
    assert beyond.value is None
    assert beyond.unbounded
    assert beyond.why == "p95 falls among the 6 failures of 100 requests"
    assert of(analysis, "latency_p95_ms").value == pytest.approx(90)  # of the 94 that were answered


def test_without_any_response_latency_is_beyond_every_limit_and_without_requests_unknown(tmp_path: Path) -> None:
    dead = measured(tmp_path / "a", [failed(float(n), Outcome.CONNECT_ERROR) for n in range(9)], "latency_p95_ms")
    idle = measured(tmp_path / "b", [connect(0.0)], "latency_p95_ms")

    assert dead.unbounded
    assert dead.why == "none of 9 requests got a response (9 ended as connect_error)"
    assert not idle.unbounded
    assert idle.why == "there were no requests"


def test_times_of_a_stream_by_hand(tmp_path: Path) -> None:
    samples = [
        llm(
            0.0, sent_s=0.1, ttft_s=0.2, ttfo_s=0.3, events=5, output_tokens=10, icl_us=[10_000, 20_000, 30_000, 40_000]
        ),
        llm(1.0, sent_s=1.0, ttft_s=0.4, ttfo_s=0.4, events=2, output_tokens=2, icl_us=[50_000]),
    ]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    assert of(analysis, "ttft_max_ms").value == pytest.approx(400)
    assert of(analysis, "ttft_due_p50_ms").value == pytest.approx(300)
    assert of(analysis, "ttfo_p50_ms").value == pytest.approx(300)
    assert of(analysis, "icl_p50_ms").value == pytest.approx(30)
    assert of(analysis, "icl_mean_ms").value == pytest.approx(30)
    assert of(analysis, "icl_p50_ms").samples == 5
    assert of(analysis, "icl_max_p50_ms").value == pytest.approx(40)
    # (100 ms) / (10 - 10/5) tokens and (50 ms) / (2 - 1) tokens
    assert of(analysis, "tpot_p50_ms").value == pytest.approx(12.5)
    assert of(analysis, "tpot_max_ms").value == pytest.approx(50)
    # latency 1 s over 10 tokens, and 1 s over 2 tokens
    assert of(analysis, "norm_tpot_p50_ms").value == pytest.approx(100)
    assert of(analysis, "norm_tpot_max_ms").value == pytest.approx(500)
    assert of(analysis, "tokens_per_event").value == pytest.approx(12 / 7)
    assert any("1.71 tokens" in note for note in analysis.notes)


def test_one_token_has_no_time_per_output_token(tmp_path: Path) -> None:
    found = measured(tmp_path, [llm(0.0, events=1, output_tokens=1)], "tpot_p50_ms")

    assert found.value is None
    assert found.why == "no answer had two content events and a token count above 1"


def test_tokens_per_second_are_over_the_phase_and_failures_have_none(tmp_path: Path) -> None:
    samples = [
        llm(0.0, output_tokens=40, prompt_tokens=100),
        llm(1.0, output_tokens=20, prompt_tokens=50),
        llm(2.0, outcome=Outcome.TIMEOUT, output_tokens=None),
    ]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    assert of(analysis, "output_tokens_per_s").value == pytest.approx(2)
    assert of(analysis, "input_tokens_per_s").value == pytest.approx(5)


def test_counted_events_say_nothing_about_tokens_per_event(tmp_path: Path) -> None:
    sample = llm(0.0, events=5, output_tokens=5, token_source=TokenSource.EVENTS)

    assert measured(tmp_path, [sample], "tokens_per_event").value is None


def test_quality_is_the_mean_over_graded_answers(tmp_path: Path) -> None:
    samples = [llm(0.0, quality=1.0), llm(1.0, quality=0.5), llm(2.0)]
    found = measured(tmp_path, samples, "quality_mean")

    assert found.value == pytest.approx(0.75)
    assert found.samples == 2


def test_websocket_messages_are_no_requests(tmp_path: Path) -> None:
    analysis = (
        RunBuilder()
        .samples([request(0.0, 0.1), *(message(n / 10, n, latency_s=3.0) for n in range(50))])
        .analyze(tmp_path)
    )

    assert of(analysis, "latency_max_ms").value == pytest.approx(100)
    assert of(analysis, "message_latency_p50_ms").value == pytest.approx(3000)
    assert of(analysis, "throughput_rps").value == pytest.approx(1 / 30)
    pushed = next(group for group in analysis.requests if group.name == "progress")
    assert pushed.accounting.scheduled == 50
    assert pushed.metrics["latency_p50_ms"].value is None
    assert pushed.metrics["message_latency_p50_ms"].value == pytest.approx(3000)


def test_connects_are_counted_and_timed_apart(tmp_path: Path) -> None:
    samples = [
        connect(0.0, 4.0),
        connect(0.1, 8.0),
        connect(0.2, None, outcome=Outcome.CONNECT_ERROR),
        connect(0.3, 6.0),
    ]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)

    assert of(analysis, "ws_success_rate").value == pytest.approx(3 / 4)
    assert of(analysis, "ws_connect_p50_ms").value == pytest.approx(6)


def test_delivery_counts_distinct_numbers_after_the_acknowledged_base_per_connection(tmp_path: Path) -> None:
    samples = [
        # base 10, of 11..15 one is missing and one came twice
        message(0.0, 10, "subscribed", connection=1),
        *(message(1 + n / 10, s, connection=1) for n, s in enumerate((11, 12, 12, 14, 15))),
        # the same numbers on another connection are other messages; the first after the base was lost
        message(0.0, 0, "subscribed", connection=2),
        *(message(1 + n / 10, s, connection=2) for n, s in enumerate((2, 3))),
        # and on another worker, subscribed before this window
        *(message(1 + n / 10, s, connection=1, worker="1") for n, s in enumerate((100, 101))),
    ]
    phases = [{"name": "sustained", "rate": 10, "duration": 5}]
    found = measured(tmp_path, samples, "delivery_rate", phases=phases)

    assert found.value == pytest.approx((4 + 2 + 2) / (5 + 3 + 2))
    assert found.samples == 10


def test_what_is_lost_between_two_phases_is_missing_in_the_later_one(tmp_path: Path) -> None:
    phases = [{"name": "first", "rate": 10, "duration": 5}, {"name": "sustained", "rate": 10, "duration": 5}]
    samples = [
        message(0.0, 0, "subscribed"),
        *(message(n, n, phase="first") for n in (1, 2, 3, 4)),
        # 5 and 6 were lost around the border; 4 comes once more, and 9 after 10
        *(message(5 + n / 2, s, phase="sustained") for n, s in enumerate((7, 4, 8, 10, 9))),
    ]
    samples[0].phase = "first"
    analysis = RunBuilder(phases=phases).samples(samples).analyze(tmp_path)

    counts = ("ws_missing", "ws_gaps", "ws_duplicates", "ws_reordered")
    assert of(analysis, "delivery_rate", "first").value == 1
    assert [of(analysis, name, "first").value for name in counts] == [0, 0, 0, 0]
    assert of(analysis, "delivery_rate").value == pytest.approx(4 / 6)
    assert [of(analysis, name).value for name in counts] == [2, 1, 1, 1]
    assert of(analysis, "delivery_rate", None).value == pytest.approx(8 / 10)
    assert [of(analysis, name, None).value for name in counts] == [2, 1, 1, 1]


def test_a_single_type_of_message_has_no_delivery_of_its_own(tmp_path: Path) -> None:
    analysis = RunBuilder().samples([message(1, 1), message(2, 2, "other")]).analyze(tmp_path)

    group = next(group for group in analysis.requests if group.name == "other")
    assert group.metrics["delivery_rate"].value is None
    assert "not over one name" in (group.metrics["delivery_rate"].why or "")


def test_delivery_is_unknown_when_a_held_connection_fell_silent(tmp_path: Path) -> None:
    phases = [{"name": "sustained", "rate": 10, "duration": 30}]
    heard = [message(0.0, 0, "subscribed"), *(message(n / 2, n, "progress") for n in range(1, 20))]
    found = measured(tmp_path / "a", heard, "delivery_rate", phases=phases)
    assert found.value is None
    assert "1 held connections received nothing any more" in (found.why or "")

    lost = message(10.0, 0, connection=1)
    lost.name, lost.message_type, lost.sequence, lost.outcome = "connection lost", None, None, Outcome.CONNECT_ERROR
    assert measured(tmp_path / "b", [*heard, lost], "delivery_rate", phases=phases).value == 1
    assert measured(tmp_path / "c", [*heard, lost], "ws_connections_lost", phases=phases).value == 1


@pytest.mark.parametrize("gone", [{"left_s": 10.0}, {"away": [{"from_s": 10.0}]}])
def test_a_connection_ends_with_its_worker(tmp_path: Path, gone: dict[str, Any]) -> None:
    phases = [{"name": "sustained", "rate": 10, "duration": 30}]
    heard = [message(0.0, 0, "subscribed"), *(message(n / 2, n, "progress") for n in range(1, 20))]
    run = RunBuilder(phases=phases).samples(heard).process("0", **gone)
    assert of(run.analyze(tmp_path / "a"), "delivery_rate").value == 1

    silent = [one for one in heard if one.done_s < 3]
    run = RunBuilder(phases=phases).samples(silent).process("0", **gone)
    found = of(run.analyze(tmp_path / "b"), "delivery_rate")
    assert found.value is None, "it had been silent before that"


def test_an_unstamped_message_has_no_latency(tmp_path: Path) -> None:
    found = measured(tmp_path, [message(0.0, 1, latency_source=None)], "message_latency_p50_ms")

    assert found.value is None


def test_a_phase_that_was_not_reached_has_no_metrics(tmp_path: Path) -> None:
    phases = [{"name": "sustained", "rate": 10, "duration": 30}, {"name": "later", "rate": 10, "duration": 30}]
    analysis = RunBuilder(phases=phases).samples(steady(10, 0, 30)).phase("later", reached=False).analyze(tmp_path)

    assert {m.why for m in analysis.phases[1].metrics.values()} == {"the phase was not reached"}
    assert analysis.total.end_s == 30
