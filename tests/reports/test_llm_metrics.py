"""The LLM metrics from recorded streams, byte by byte with their stamps, against values worked out by hand.

A stream goes the whole way that it goes in a run: read by its wire format, put into a sample, written to disk, read by
the analyzer. Seconds below are the client's monotonic clock; the run began at 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.http import Response
from reports.analysis import Analysis
from samples.sample import Protocol, Sample
from scenarios.answers import fill, read
from scenarios.dialects import DIALECTS
from tests.reports.builder import RunBuilder, request

PHASE_S = 30.0


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return f"data: {json.dumps({'choices': choices} | more)}\n\n".encode()


def counts(prompt: int, output: int) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": output}}


def recorded(due: float, sent: float, done: float, pieces: list[tuple[float, bytes]], endpoint: str = "chat") -> Sample:
    """What a user makes of a stream that arrived in these pieces."""
    response = Response(status=200, headers={"content-type": "text/event-stream"}, chunks=pieces)
    sample = request(due, done - due, lag_s=sent - due, protocol=Protocol.LLM, name="chat (stream)")
    fill(sample, read(response, DIALECTS[endpoint]), sent)
    return sample


REASONED = [
    (10.15, event({"role": "assistant", "content": None})),
    (10.20, event({"reasoning_content": "Hm"})),
    (10.25, event({"reasoning_content": ", well"})),
    (10.40, event({"content": "It"})),
    (10.45, event({"content": " is"})),
    (10.75, event({"content": " 42"})),
    (10.76, event(finish="stop") + event(**counts(8, 5)) + b"data: [DONE]\n\n"),
]
"""Due 9.9, sent 10.0, done 10.8: five tokens in five events, two of them reasoning, and a stall before the last."""

BUNDLED = [
    (20.1, event({"content": "one two three four"})),
    (20.3, event({"content": " five six seven eight"})),
    (20.5, event({"content": " nine ten eleven twelve"})),
    (20.6, event(finish="stop", **counts(30, 12))),
]
"""Due and sent 20.0, done 20.6: twelve tokens in three events of four."""

UNCOUNTED = [(25.1, event({"content": "a"})), (25.2, event({"content": "b"})), (25.3, event(finish="stop"))]
ONE_TOKEN = [(28.05, event({"content": "42"})), (28.06, event(finish="stop", **counts(9, 1)))]

TYPED = [
    (10.20, b'event: response.reasoning_text.delta\ndata: {"delta": "Hm"}\n\n'),
    (10.25, b'event: response.reasoning_text.delta\ndata: {"delta": ", well"}\n\n'),
    (10.40, b'event: response.output_text.delta\ndata: {"delta": "It"}\n\n'),
    (10.45, b'event: response.output_text.delta\ndata: {"delta": " is"}\n\n'),
    (10.75, b'event: response.output_text.delta\ndata: {"delta": " 42"}\n\n'),
    (
        10.76,
        b'event: response.completed\ndata: {"response": {"status": "completed", "usage": '
        b'{"input_tokens": 8, "output_tokens": 5}}}\n\n',
    ),
]
"""The same answer as REASONED, as the Responses API streams it."""


def reasoned() -> Sample:
    return recorded(9.9, 10.0, 10.8, REASONED)


def bundled() -> Sample:
    return recorded(20.0, 20.0, 20.6, BUNDLED)


def analysis(folder: Path, *samples: Sample, **plan: Any) -> Analysis:
    return RunBuilder(**plan).samples(samples).analyze(folder)


def value(found: Analysis, metric: str) -> float | None:
    measured = found.phases[0].metrics[metric].value
    assert not isinstance(measured, bool)
    return measured


OF_ONE = {
    "ttft_p50_ms": 200.0,  # 10.20 - 10.00
    "ttft_due_p50_ms": 300.0,  # 10.20 - 9.90
    "ttfo_p50_ms": 400.0,  # 10.40 - 10.00
    "icl_mean_ms": 137.5,  # (50 + 150 + 50 + 300) / 4
    "icl_p50_ms": 50.0,  # the second of 50, 50, 150, 300
    "icl_max_ms": 300.0,
    "icl_max_p50_ms": 300.0,  # 10.75 - 10.45
    "tpot_p50_ms": 137.5,  # (10.75 - 10.20) / (5 - 1)
    "norm_tpot_p50_ms": 180.0,  # (10.80 - 9.90) / 5
    "latency_p50_ms": 900.0,  # 10.80 - 9.90
    "service_p50_ms": 800.0,  # 10.80 - 10.00
    "lag_p50_ms": 100.0,  # 10.00 - 9.90
    "output_tokens_per_s": 5 / PHASE_S,
    "input_tokens_per_s": 8 / PHASE_S,
    "tokens_per_event": 1.0,
}


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(reasoned, id="chat"),
        pytest.param(lambda: recorded(9.9, 10.0, 10.8, TYPED, "responses"), id="responses"),
    ],
)
def test_every_figure_of_one_stream(tmp_path: Path, sample: Any) -> None:
    found = analysis(tmp_path, sample())
    assert {metric: value(found, metric) for metric in OF_ONE} == pytest.approx(OF_ONE)


def test_every_figure_of_a_stream_with_four_tokens_in_an_event(tmp_path: Path) -> None:
    found = analysis(tmp_path, bundled())
    wanted = {
        "ttft_p50_ms": 100.0,
        "ttfo_p50_ms": 100.0,
        "icl_p50_ms": 200.0,  # between events, and not between tokens
        "tpot_p50_ms": 50.0,  # (20.5 - 20.1) / (12 - 4)
        "norm_tpot_p50_ms": 50.0,  # 600 / 12
        "tokens_per_event": 4.0,
        "output_tokens_per_s": 12 / PHASE_S,
        "input_tokens_per_s": 30 / PHASE_S,
    }
    assert {metric: value(found, metric) for metric in wanted} == pytest.approx(wanted)
    assert any(note.startswith("Events carry 4.00 tokens on average") for note in found.notes)


def test_figures_of_several_streams_are_pooled_and_not_averaged_twice(tmp_path: Path) -> None:
    found = analysis(tmp_path, reasoned(), bundled())
    wanted = {
        "icl_mean_ms": (50 + 150 + 50 + 300 + 200 + 200) / 6,
        "icl_p95_ms": 300.0,
        "icl_max_mean_ms": (300 + 200) / 2,
        "tpot_mean_ms": (137.5 + 50) / 2,
        "output_tokens_per_s": 17 / PHASE_S,
        "tokens_per_event": 17 / 8,
    }
    assert {metric: value(found, metric) for metric in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("limits", "good"),
    [
        ({"ttft_ms": 150}, 1),  # 200 and 100
        ({"ttft_ms": 200}, 2),
        ({"ttft_due_ms": 250}, 1),  # 300 and 100
        ({"tpot_ms": 100}, 1),  # 137.5 and 50
        ({"latency_ms": 700}, 1),  # 900 and 600
        ({"service_ms": 800}, 2),  # 800 and 600
        ({"ttft_ms": 200, "tpot_ms": 40}, 0),
    ],
)
def test_goodput_counts_what_is_inside_every_limit(tmp_path: Path, limits: dict[str, float], good: int) -> None:
    found = analysis(tmp_path, reasoned(), bundled(), limits=limits)
    assert value(found, "goodput_rps") == pytest.approx(good / PHASE_S)


def test_without_usage_tokens_are_counted_events_and_the_report_says_so(tmp_path: Path) -> None:
    found = analysis(tmp_path, recorded(25.0, 25.0, 25.3, UNCOUNTED))
    assert value(found, "output_tokens_per_s") == pytest.approx(2 / PHASE_S)
    assert value(found, "input_tokens_per_s") is None
    assert value(found, "tokens_per_event") is None  # one by construction: it would say nothing
    assert "Some token counts are counted events, because the server reported no usage." in found.notes


def test_one_token_has_a_first_and_no_time_per_further_one(tmp_path: Path) -> None:
    found = analysis(tmp_path, recorded(28.0, 28.0, 28.06, ONE_TOKEN))
    assert value(found, "ttft_p50_ms") == pytest.approx(50)
    assert value(found, "norm_tpot_p50_ms") == pytest.approx(60)
    assert (value(found, "tpot_p50_ms"), value(found, "icl_p50_ms")) == (None, None)
    assert "Token counts come from the server's usage." in found.notes
