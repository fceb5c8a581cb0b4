"""The live tallies: what the console shows while a run goes on, and what Locust's own statistics hear."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.samples.live_process"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_before_anything_completed_there_are_no_figures(told: dict[str, Any]) -> None:
    times = dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "max_ms", "lag_p99_ms"))
    nothing = {"answered": 0, "rps": 0.0, "failures": 0, "completed": 0} | times
    assert told["nothing"] == [nothing | {"length_s": 0.001}, nothing | {"length_s": 3.0}]


def test_the_rate_is_that_of_the_last_five_seconds(told: dict[str, Any]) -> None:
    # 10 completions/s from 0 to 20 s; a run younger than five seconds is taken over its age.
    assert [one["rps"] for one in told["steady"]] == pytest.approx([10, 10, 10, 2, 0])
    assert [one["completed"] for one in told["steady"]] == [10, 50, 200, 200, 200]
    assert [one["p95_ms"] for one in told["steady"]] == [*[pytest.approx(20)] * 4, None]


def test_p95_is_exact_by_nearest_rank(told: dict[str, Any]) -> None:
    for count, (snapshot,) in zip((1, 2, 19, 20, 21, 100, 101), told["p95"], strict=True):
        values = np.arange(1, count + 1)
        assert snapshot["p95_ms"] == pytest.approx(np.percentile(values, 95, method="inverted_cdf"))


@pytest.mark.parametrize(("place", "length"), [(0, 5.0), (1, 30.0)])
def test_windows_are_exact_and_of_the_length_that_was_asked_for(
    told: dict[str, Any], place: int, length: float
) -> None:
    found = told["windows"]["told"][place]
    rows = [row for row in told["windows"]["rows"] if row[2] >= 60.0 - length]
    latency = [(done - due) * 1000 for due, _, done, outcome in rows if outcome in {"ok", "http_error", "bad_content"}]
    lag = [(sent - due) * 1000 for due, sent, _, _ in rows if sent is not None]

    assert (found["length_s"], found["answered"]) == (length, len(latency))
    assert found["rps"] == pytest.approx(len(latency) / length)
    for name, share in (("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99), ("max_ms", 100)):
        assert found[name] == pytest.approx(np.percentile(latency, share, method="inverted_cdf"))
    assert found["lag_p99_ms"] == pytest.approx(np.percentile(lag, 99, method="inverted_cdf"))


def test_only_answers_count_in_the_rate_and_all_but_ok_are_failures(told: dict[str, Any]) -> None:
    (snapshot,) = told["outcomes"]
    assert snapshot["rps"] == pytest.approx(3 / 2)  # ok, http_error and bad_content in 2 s
    assert (snapshot["completed"], snapshot["failures"]) == (7, 6)


def test_messages_that_are_pushed_are_no_requests_but_can_fail(told: dict[str, Any]) -> None:
    (snapshot,) = told["websocket"]
    assert (snapshot["completed"], snapshot["failures"], snapshot["rps"]) == (0, 1, 0)


def test_locust_hears_each_request_with_its_latency_from_the_intended_start(told: dict[str, Any]) -> None:
    good, bad = told["fired"]
    assert (good["request_type"], good["name"], good["response_length"]) == ("llm", "chat", 70)
    assert good["response_time"] == pytest.approx(250)
    assert good["exception"] == "None"
    assert bad["exception"] == "http_error: HTTP 503"
    assert bad["context"] == {"phase": "p", "scenario": "ChatUser", "outcome": "http_error"}
    assert told["totals"] == {"requests": 2, "failures": 1}


def test_a_server_that_numbers_its_errors_does_not_fill_the_memory(told: dict[str, Any]) -> None:
    assert 500 <= told["error_entries"] <= 510
