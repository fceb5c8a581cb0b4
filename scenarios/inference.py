"""LLM inference: chat completions of an OpenAI-compatible server."""

import json
from functools import lru_cache
from itertools import pairwise

from locust import task

from clients.http import Response
from data import prompts, quality
from plans.mix import ChatMix
from samples.sample import Protocol, Sample
from scenarios.answers import Answer, TruncatedStream, read_stream, read_whole
from scenarios.base import ArrivingUser
from scenarios.session import Session

_LONGEST_GAP_US = 2**31 - 1
"""What the column holds: 36 minutes."""


@lru_cache(maxsize=4096)
def request_body(text: str, model: str, options: ChatMix, stream: bool) -> bytes:
    """Return the encoded request; cached, so that nothing is built twice in the load path."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


class ChatUser(ArrivingUser):
    """Asks one question of the plan's class of prompts per arrival, and grades the answer."""

    protocol = Protocol.LLM

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read the prompts and encode the requests."""
        options = session.plan.mix.ChatUser
        assert options is not None  # only the classes of the mix are prepared
        for prompt in prompts.load(options.prompts):
            for stream in (False, True):
                request_body(prompt.text, session.plan.target.model, options, stream)

    @property
    def options(self) -> ChatMix:
        """The plan's options of this scenario."""
        options = self.session.plan.mix.ChatUser
        assert options is not None  # Locust spawns only the classes of the mix
        return options

    @task
    def ask(self) -> None:
        """One question, one answer."""
        options, random = self.options, self.session.random(self.scenario)
        prompt = random.choice(prompts.load(options.prompts))
        stream = random.random() < options.streaming
        body = request_body(prompt.text, self.session.plan.target.model, options, stream)
        with self.measure("chat (stream)" if stream else "chat") as attempt:
            sample = attempt.sample
            sample.prompt_id = prompt.id
            response = self.exchange(sample, "POST", options.path, body, stream=stream)
            answer = self._read(sample, response)
            if prompt.expect is not None:
                sample.quality = quality.grade(prompt.expect, answer.text)

    def _read(self, sample: Sample, response: Response) -> Answer:
        """Return the answer, with its times and counts put into the sample."""
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            answer = read_whole(response)
        else:
            try:
                answer = read_stream(response)
            except TruncatedStream as error:
                sample.quality = 0.0
                fill(sample, error.answer, response.sent)
                raise
        fill(sample, answer, response.sent)
        return answer


def fill(sample: Sample, answer: Answer, sent: float) -> None:
    """Put an answer's times and counts into its sample; `sent` is `time.monotonic()` seconds."""
    sample.finish_reason = answer.finish_reason
    sample.prompt_tokens, sample.output_tokens = answer.prompt_tokens, answer.output_tokens
    sample.token_source = answer.token_source
    stamps = answer.content_at
    if stamps:
        sample.events = len(stamps)
        sample.ttft_s = stamps[0] - sent
        sample.icl_us = [min(round((b - a) * 1e6), _LONGEST_GAP_US) for a, b in pairwise(stamps)]
    if answer.visible_at is not None:
        sample.ttfo_s = answer.visible_at - sent
