"""What a chat user measures is what the server did, within milliseconds.

A real `ChatUser` of Locust in one process, a server that paces its bytes against the monotonic clock in another.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from samples.sample import Outcome, Protocol, Sample
from samples.segments import SAMPLE_SCHEMA, SegmentWriter
from tests.clients.servers import LAST_CHUNK, Script, chunk
from tests.scenarios.streams import DONE, FINISH, SSE, Run, event, sized, usage

pytestmark = pytest.mark.alone

FIRST_S, GAP_S, EVENTS = 0.2, 0.02, 50


def paced(size: int, tokens_per_event: int) -> Script:
    """The first event 200 ms after the request, 50 events 20 ms apart, and the end at once after the last."""
    script = Script()
    for number in range(EVENTS):
        head = SSE if number == 0 else b""
        content = sized("x" * tokens_per_event, size)
        assert len(content) == size
        tail = chunk(FINISH) + chunk(usage(EVENTS * tokens_per_event)) + chunk(DONE) + LAST_CHUNK
        script.at(FIRST_S + number * GAP_S).send(head + chunk(content) + (tail if number == EVENTS - 1 else b""))
    return script


def off(samples: list[dict[str, Any]], tokens: int) -> list[str]:
    """What is not within the bounds: ttft 5 ms, gaps 2 ms, latency 10 ms, time per token 1 %, in medians."""
    ttft = statistics.median(sample["ttft_s"] for sample in samples) * 1000
    gap = statistics.median(gap for sample in samples for gap in sample["icl_us"]) / 1000
    service = statistics.median(sample["done_s"] - sample["sent_s"] for sample in samples) * 1000
    latency = statistics.median(sample["done_s"] - sample["due_s"] for sample in samples) * 1000
    tpot = statistics.median(map(time_per_token_ms, samples))
    wanted = {
        "ttft": (ttft, 200, 5),
        "gap": (gap, 20, 2),
        "service": (service, 1180, 10),
        "latency": (latency, 1180, 10),
        "tpot": (tpot, 20 / tokens, 0.2 / tokens),
    }
    return [f"{name} {value:.3f} ms" for name, (value, want, margin) in wanted.items() if abs(value - want) > margin]


def time_per_token_ms(sample: dict[str, Any]) -> float:
    """The metric's formula: (last content event - first) / (tokens - tokens in the first event)."""
    tokens, events = sample["output_tokens"], sample["events"]
    return float(sum(sample["icl_us"]) / 1000 / (tokens - tokens / events))


@pytest.mark.parametrize(("size", "tokens"), [(40, 1), (200, 1), (40, 4), (200, 4)])
def test_a_paced_stream_is_measured_as_it_was_sent(run: Run, size: int, tokens: int) -> None:
    (sample,) = run(paced(size, tokens))
    assert sample["outcome"] == "ok"
    assert (sample["events"], len(sample["icl_us"])) == (EVENTS, EVENTS - 1)
    assert sample["output_tokens"] == EVENTS * tokens
    assert (sample["prompt_tokens"], sample["token_source"], sample["status"]) == (9, "usage", 200)
    assert sample["ttfo_s"] == sample["ttft_s"]
    assert off([sample], tokens) == []


def test_a_stall_in_the_stream_shows_in_its_longest_gap(run: Run) -> None:
    script = Script().send(SSE)
    for moment in (0.1, 0.12, 0.14, 0.39, 0.41):
        script.at(moment).send(chunk(event("x")))
    (sample,) = run(script.send(chunk(FINISH + DONE) + LAST_CHUNK))
    assert 240_000 <= max(sample["icl_us"]) < 300_000
    assert sample["icl_us"].index(max(sample["icl_us"])) == 2


def test_the_wait_for_a_busy_user_is_in_the_latency_and_not_in_the_service_time(run: Run) -> None:
    # One user, ten arrivals/s, answers that take 0.2 s: each arrival waits 0.1 s longer than the one before it.
    script = Script().at(0.2).send(SSE + chunk(event("x") + FINISH + DONE) + LAST_CHUNK)
    samples = run(script, count=5, rate=10.0)
    latencies = [sample["done_s"] - sample["due_s"] for sample in samples]
    service = [sample["done_s"] - sample["sent_s"] for sample in samples]
    assert latencies == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6], abs=0.09)
    assert service == pytest.approx([0.2] * 5, abs=0.09)
    assert [sample["waited"] for sample in samples] == [False, True, True, True, True]


def test_reasoning_counts_for_the_first_token_and_not_for_the_first_visible_one(run: Run) -> None:
    thought = b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'
    script = Script().send(SSE).at(0.1).send(chunk(thought)).at(0.25).send(chunk(event("x")))
    (sample,) = run(script.send(chunk(FINISH + DONE) + LAST_CHUNK))
    assert 0.095 <= sample["ttft_s"] < 0.2
    assert 0.245 <= sample["ttfo_s"] < 0.4


def test_what_a_user_measures_is_what_a_report_reads(run: Run, tmp_path: Path) -> None:
    """The time per token, as `reports` works it out from the samples on disk."""
    from reports.families import tpot_ms  # noqa: PLC0415 - pandas takes a second to import
    from reports.frames import load_frames  # noqa: PLC0415

    script = Script().send(SSE)
    for number in range(11):
        script.at(0.03 * number).send(chunk(sized("four", 200)))
    (told,) = run(script.send(chunk(FINISH + usage(44) + DONE) + LAST_CHUNK))
    sample = Sample(**told)
    sample.outcome, sample.protocol = Outcome(sample.outcome), Protocol(sample.protocol)
    SegmentWriter(tmp_path / "samples-0.arrow", SAMPLE_SCHEMA).append([sample])
    (tpot,) = tpot_ms(load_frames(tmp_path).samples)
    assert tpot == pytest.approx(time_per_token_ms(told))
    assert tpot == pytest.approx(30 / 4, rel=0.2)
