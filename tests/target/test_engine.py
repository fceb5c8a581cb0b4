from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.target.process import CHAT, Answer, Target, chat_body, eventually, together

pytestmark = pytest.mark.alone

SLOW = ("--decode-per-seq-ms", "0", "--prefill-us-per-token", "0")


def gaps(target: Target, tokens: int) -> tuple[float, float]:
    """Seconds to the first token, and from it to the end, of one stream."""
    connection = target.connect()
    begin = time.monotonic()
    connection.request("POST", CHAT, body(tokens), {"content-type": "application/json"})
    response = connection.getresponse()
    response.fp.peek(1)
    first = time.monotonic()
    response.read()
    end = time.monotonic()
    connection.close()
    return first - begin, end - first


def body(tokens: int, stream: str = "true") -> str:
    message = '{"role": "user", "content": "go on"}'
    return f'{{"model": "m", "messages": [{message}], "max_tokens": {tokens}, "ignore_eos": true, "stream": {stream}}}'


@pytest.fixture(scope="module")
def single() -> Iterator[Target]:
    """One slot, 10 ms per token, whatever the prompt."""
    target = Target(*SLOW, "--slots", "1", "--decode-base-ms", "10")
    yield target
    target.stop()


def test_tokens_come_at_the_pace_of_the_steps_without_drift(single: Target) -> None:
    first, rest = gaps(single, 61)
    assert 0.009 < first < 0.060
    # Sixty steps of 10 ms; sleeping for a step after each would add a part of a millisecond sixty times.
    assert 0.595 < rest < 0.630


def test_prefill_takes_time_by_prompt_token(start: Callable[..., Target]) -> None:
    target = start("--prefill-us-per-token", "1000")
    begin = time.monotonic()
    target.chat("word " * 200, max_tokens=1)
    assert 0.2 < time.monotonic() - begin < 0.4


def test_throughput_saturates_where_the_formula_says(start: Callable[..., Target]) -> None:
    slots, base_ms, per_seq_ms, tokens, prefill_us = 8, 4.0, 0.5, 10, 100
    target = start(
        *("--slots", str(slots), "--decode-base-ms", str(base_ms), "--decode-per-seq-ms", str(per_seq_ms)),
        *("--prefill-us-per-token", str(prefill_us), "--queue-limit", "1000"),
    )
    request = chat_body("go on", max_tokens=tokens, ignore_eos=True)
    prompt_tokens = target.ask("POST", CHAT, request).json()["usage"]["prompt_tokens"]
    done: list[float] = []

    def client(_number: int) -> None:
        for _ in range(6):
            assert target.ask("POST", CHAT, request).status == 200
            done.append(time.monotonic())

    together(24, client)
    done.sort()
    # From the middle of the run: at its ends the slots are not all taken.
    middle = done[24:-24]
    measured = (len(middle) - 1) / (middle[-1] - middle[0])
    step_ms = base_ms + per_seq_ms * slots
    capacity = 1e3 / (tokens * step_ms / slots + prefill_us * prompt_tokens / 1e3)
    assert 0.85 * capacity < measured < 1.1 * capacity


def test_a_full_queue_gets_429_with_the_time_to_retry(start: Callable[..., Target]) -> None:
    target = start(*SLOW, "--slots", "2", "--queue-limit", "3", "--decode-base-ms", "20")
    answers: list[Answer] = []
    request = chat_body("go on", max_tokens=15, ignore_eos=True)
    together(12, lambda _: answers.append(target.ask("POST", CHAT, request)))
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 12 - 5
    assert sum(answer.status == 200 for answer in answers) == 5
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].json()["error"]["code"] == "queue_full"
    assert target.metric("engine_requests_rejected_total") == 7


def test_latency_rises_with_the_batch(start: Callable[..., Target]) -> None:
    target = start("--decode-base-ms", "2", "--decode-per-seq-ms", "2", "--prefill-us-per-token", "0")
    alone = sum(gaps(target, 20))
    crowd: list[float] = []
    together(8, lambda _: crowd.append(sum(gaps(target, 20))))
    # (2 + 2*8) / (2 + 2*1) = 4.5 times as long.
    assert 3.0 < max(crowd) / alone < 6.5


def test_a_client_that_leaves_frees_its_slot(single: Target) -> None:
    for stream in ("true", "false"):
        raw = body(2000, stream).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        with socket.create_connection((single.host, single.port)) as leaver:
            leaver.sendall(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
            assert eventually(lambda: single.metric("engine_requests_running") == 1)
        assert eventually(lambda: single.metric("engine_requests_running") == 0, timeout_s=0.5)
    assert single.chat("What is 1 + 1?").status == 200


def test_a_queued_request_hears_nothing_before_its_turn(single: Target) -> None:
    firsts: list[float] = []
    together(2, lambda _: firsts.append(gaps(single, 30)[0]))
    firsts.sort()
    assert firsts[0] < 0.1
    assert 0.25 < firsts[1] < 0.5
