"""The running totals that Prometheus is shown."""

import pytest

from samples.sample import LatencySource, Outcome, Sample
from samples.segments import SAMPLE_SCHEMA, encode
from samples.totals import BUCKETS_S, MOST_NAMES, OTHER, Totals
from tests.reports.builder import failed, request


def take(totals: Totals, samples: list[Sample]) -> None:
    totals.take(encode(samples, SAMPLE_SCHEMA))


def test_requests_are_counted_by_scenario_name_and_outcome_over_all_batches() -> None:
    totals = Totals()
    take(totals, [request(0), request(1, name="other"), failed(2, Outcome.TIMEOUT)])
    take(totals, [request(3), failed(4, Outcome.DROPPED, name="(not sent)")])

    assert totals.outcomes == {
        ("ChatUser", "chat", "ok"): 2,
        ("ChatUser", "other", "ok"): 1,
        ("ChatUser", "chat", "timeout"): 1,
        ("ChatUser", "(not sent)", "dropped"): 1,
    }
    assert totals.answered == 3


def test_latency_counts_from_the_due_time_and_over_responses_only() -> None:
    totals = Totals()
    take(totals, [request(0, 0.0625, lag_s=0.03125), request(1, 99), failed(2, Outcome.TIMEOUT, latency_s=30)])
    take(totals, [failed(3, Outcome.HTTP_ERROR, latency_s=0.001)])
    found = totals.latency["ChatUser", "chat"]

    by_bound = dict(zip([*BUCKETS_S, None], found.counts.tolist(), strict=True))
    assert {bound: count for bound, count in by_bound.items() if count} == {0.1: 1, None: 1, 0.001: 1}
    assert found.sum_s == pytest.approx(0.0625 + 99 + 0.001)


def test_lag_is_of_those_that_found_a_user() -> None:
    totals = Totals()
    take(totals, [request(0, lag_s=0.02), request(0, lag_s=5, waited=True), failed(0, Outcome.DROPPED)])

    assert totals.lag.sum_s == pytest.approx(0.02)
    assert totals.lag.counts.sum() == 1


def test_pushed_messages_are_nobodys_requests() -> None:
    totals = Totals()
    echo = LatencySource.ECHO
    take(totals, [request(0, 0.25, name="message", message_type="update", iteration=False, latency_source=echo)])

    assert totals.outcomes == {}
    assert totals.latency == {}
    assert totals.messages["ChatUser", "message"].sum_s == pytest.approx(0.25)


def test_names_that_never_end_share_one() -> None:
    totals = Totals()
    take(totals, [request(n / 100, name=f"GET /{n}") for n in range(MOST_NAMES + 300)])
    take(totals, [request(9, name="GET /0")])

    assert len(totals.outcomes) == len(totals.latency) == MOST_NAMES + 1
    assert totals.outcomes["ChatUser", OTHER, "ok"] == 300
    assert totals.outcomes["ChatUser", "GET /0", "ok"] == 2
