"""Samples for the tests: one with every field filled, and one with the fewest."""

from __future__ import annotations

from dataclasses import fields

from samples.sample import Defect, LatencySource, Outcome, Protocol, Sample, TokenSource


def bare(due: float = 1.0, **more: object) -> Sample:
    sample = Sample(due, None, due + 0.1, Outcome.OK, "p", "ChatUser", "chat", Protocol.LLM)
    for name, value in more.items():
        assert name in {field.name for field in fields(Sample)}
        setattr(sample, name, value)
    return sample


def full() -> Sample:
    return Sample(
        due_s=1.25,
        sent_s=1.5,
        done_s=2.75,
        outcome=Outcome.HTTP_ERROR,
        phase="sustained",
        scenario="ChatUser",
        name="chat (stream)",
        protocol=Protocol.LLM,
        worker="3",
        arrival=17,
        iteration=True,
        waited=True,
        status=503,
        error="HTTP 503: zu voll – 满 😀",
        bytes_in=2**40,
        connect_ms=1.125,
        ttft_s=0.2,
        ttfo_s=0.25,
        prompt_tokens=12,
        output_tokens=50,
        token_source=TokenSource.USAGE,
        events=3,
        icl_us=[20_000, 0, 2**31 - 1],
        quality=0.75,
        similarity=0.5,
        defect=Defect.LOOPING,
        prompt_id="simple-1",
        finish_reason="stop",
        message_type="run_update",
        sequence=4,
        connection=9,
        latency_source=LatencySource.SHARED_CLOCK,
        pool_wait_ms=0.5,
        rows=100,
        dns_ms=0.25,
        tls_ms=0.5,
        retried=True,
        wanted_prompt_tokens=11,
        wanted_output_tokens=64,
    )
