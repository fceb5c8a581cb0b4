"""Failures that differ only in ids and numbers are one group."""

from pathlib import Path

import pytest

from reports.errors import normalised
from samples.sample import Outcome
from tests.reports.builder import RunBuilder, failed, steady


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no answer within 30 s", "no answer within {n} s"),
        ("run 1b4e28ba-2fa1-11d2-883f-0016d3cca427 is gone", "run {uuid} is gone"),
        ("no run 'run-17'", "no run '{id}'"),
        ("'status' is missing", "'status' is missing"),
        ("HTTP 503: queue of 64 is full", "HTTP 503: queue of {n} is full"),
        ("at 0x7ffe12 of deadbeef01", "at {hex} of {hex}"),
        ("1,024.5 ms", "{n} ms"),
        ("", ""),
    ],
)
def test_ids_and_numbers_are_replaced_and_words_and_statuses_stay(text: str, expected: str) -> None:
    assert normalised(text) == expected


def test_like_failures_meet_with_their_times_and_an_example(tmp_path: Path) -> None:
    samples = [
        *steady(10, 0, 20),
        *(failed(20 + n, Outcome.HTTP_ERROR, f"HTTP 503: run {n} is busy", status=503) for n in range(5)),
        failed(26.0, Outcome.HTTP_ERROR, "HTTP 500: run 7 is busy", status=500),
        failed(27.0, Outcome.HTTP_ERROR, "HTTP 503: run 7 is busy", status=503, name="other"),
        failed(28.0, Outcome.CUT, None),  # type: ignore[arg-type]
    ]
    largest, *others = RunBuilder().samples(samples).analyze(tmp_path).errors

    assert (largest.outcome, largest.status, largest.count) == ("http_error", 503, 5)
    assert (largest.first_s, largest.last_s) == (20.0, 24.0)
    assert largest.text == "HTTP 503: run {n} is busy"
    assert largest.example == "HTTP 503: run 0 is busy"
    assert [(group.outcome, group.name, group.text, group.count) for group in others] == [
        ("http_error", "chat", "HTTP 500: run {n} is busy", 1),
        ("http_error", "other", "HTTP 503: run {n} is busy", 1),
        ("cut", "chat", "", 1),
    ]


def test_at_most_fifty_groups_are_listed_and_the_rest_is_counted(tmp_path: Path) -> None:
    samples = [failed(n / 10, Outcome.BAD_CONTENT, f"wrong word {chr(97 + n % 26) * (n // 26 + 1)}") for n in range(60)]
    analysis = RunBuilder().samples([*samples, samples[37]]).analyze(tmp_path)

    assert len(analysis.errors) == 50
    assert analysis.errors[0].count == 2
    assert any("60 kinds of failure" in note for note in analysis.notes)
