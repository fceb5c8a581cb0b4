"""LLM inference: one question, one graded answer, on any endpoint that generates text."""

from contextlib import suppress
from typing import Any, ClassVar

from locust import task

from clients.errors import ClientError
from clients.http import Response
from data import images, prompts
from data.prompts import Message, Prompt
from plans.inputs import PromptSource
from plans.mix import ChatMix, GenerationMix
from samples.recorder import Failure
from samples.sample import Protocol, Sample
from scenarios import grading
from scenarios.answers import BrokenAnswer, fill, read
from scenarios.base import ArrivingUser
from scenarios.bodies import LENGTH, Template
from scenarios.dialects import DIALECTS
from scenarios.dialects.base import Answer, Dialect, Settings
from scenarios.questions import Questions
from scenarios.session import Session

CANARY = "canary"
_WARM_UP_S = 10.0
_SAY_NOTHING_OF_USAGE = frozenset({401, 403, 404, 408, 429, 502, 503, 504})
"""Statuses of a server that is not ready, or not for us, whatever is asked."""


class GeneratingUser(ArrivingUser):
    """What the users of text generating endpoints have in common. Requests are encoded before the load."""

    abstract = True
    protocol = Protocol.LLM
    reads_streams = True
    options: GenerationMix
    dialect: ClassVar[Dialect]
    templates: ClassVar[dict[bool, Template]]
    """The request, streamed and not."""
    tools: ClassVar[tuple[Message, ...]] = ()

    @classmethod
    def options_in(cls, session: Session) -> GenerationMix:
        """Return the plan's options of this scenario."""
        options = session.plan.mix.arriving()[cls.__name__]
        assert isinstance(options, GenerationMix)  # held by the plan's schema
        return options

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Choose the wire format, and encode what can be."""
        cls.dialect = DIALECTS[cls.options_in(session).endpoint]
        cls.encode(session, usage=True)

    @classmethod
    def encode(cls, session: Session, *, usage: bool) -> None:
        """Write the requests, but for their prompts. `usage`: streams ask for token counts."""
        cls.templates = cls.templates_at(session, cls.options_in(session).temperature, usage=usage)

    @classmethod
    def templates_at(cls, session: Session, temperature: float, *, usage: bool) -> dict[bool, Template]:
        """Return the request, streamed and not, at a temperature."""
        settings = Settings(session.plan.target.model, temperature, cls.tools, cls.extra_keys(session))
        return {stream: Template(cls.dialect.body(settings, stream=stream, usage=usage)) for stream in (False, True)}

    @classmethod
    def extra_keys(cls, session: Session) -> dict[str, Any]:
        """Return further keys of every request's body; with `ignore_eos` those for answers of the wanted length."""
        options = cls.options_in(session)
        source = getattr(options, "prompts", None)
        forced = isinstance(source, PromptSource) and source.ignore_eos
        return ({"ignore_eos": True, "min_tokens": LENGTH} if forced else {}) | options.extra

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Learn whether streams may be asked for token counts; a server that refuses is not asked again."""
        options = cls.options_in(session)
        if not (cls.dialect.usage_is_asked_for and options.streaming):
            return
        prompt = cls.dialect.prompt_json(Prompt.of("warm-up", "Hello"))
        with session.client() as client, suppress(ClientError):

            def ask() -> Response:
                body = cls.templates[True].filled(prompt, 1)
                return client.request("POST", options.path or cls.dialect.path, body, timeout=_WARM_UP_S, stream=True)

            refused = ask()
            if refused.status < 400 or refused.status in _SAY_NOTHING_OF_USAGE:
                return
            cls.encode(session, usage=False)
            if ask().status == 200:
                session.notes.append(
                    f"{cls.__name__}: the server refuses stream_options (HTTP {refused.status}), so streams are not "
                    "asked for token counts."
                )
            else:
                cls.encode(session, usage=True)

    def generate(self, sample: Sample, body: bytes, *, stream: bool) -> Answer:
        """Make a request and return its answer, with its times and counts in the sample. Raises Failure."""
        path = self.options.path or self.dialect.path
        response = self.exchange(sample, "POST", path, body, stream=stream)
        try:
            answer = read(response, self.dialect)
        except BrokenAnswer as error:
            sample.quality, sample.defect = 0.0, error.defect
            fill(sample, error.answer, response.sent)
            raise
        fill(sample, answer, response.sent)
        return answer

    def streams(self) -> bool:
        """Return whether the next request asks for a stream, by the plan's share of them."""
        return self.session.random(self.scenario).random() < self.options.streaming


class ChatUser(GeneratingUser):
    """Asks one question of the plan's prompts per arrival, and grades the answer."""

    options: ChatMix
    questions: ClassVar[Questions]
    canary_templates: ClassVar[dict[bool, Template]]
    pictures: ClassVar[list[bytes]]

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read the prompts and encode the requests."""
        super().prepare(session)
        options = cls.options_in(session)
        assert isinstance(options, ChatMix)  # held by the plan's schema
        cls.questions = Questions(session, cls.__name__, options.prompts)
        cls.pictures = [cls.dialect.picture(url) for url in images.data_urls(session.seed)] if options.images else []

    @classmethod
    def encode(cls, session: Session, *, usage: bool) -> None:
        """Write the canaries' requests too: at temperature 0, so that load alone can change the answers."""
        super().encode(session, usage=usage)
        cls.canary_templates = cls.templates_at(session, 0.0, usage=usage)

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Ask the canaries, one after the other: what the server says without load."""
        super().warm_up(session)
        options = cls.options_in(session)
        if not (isinstance(options, ChatMix) and options.canaries and session.leads):
            return
        with session.client() as client:
            for prompt in prompts.canaries():
                body = cls.canary_templates[True].filled(cls.dialect.prompt_json(prompt), options.max_tokens)
                path = options.path or cls.dialect.path
                try:
                    response = client.request("POST", path, body, timeout=options.timeout, stream=True)
                    if response.status == 200:
                        session.unloaded[prompt.id] = read(response, cls.dialect).text
                except ClientError:
                    return  # the load will find out; the precondition says that the canaries have no answers
                except Failure:
                    continue

    @task
    def ask(self) -> None:
        """One question, one answer."""
        options, dialect, stream = self.options, self.dialect, self.streams()
        name = f"{dialect.name} (stream)" if stream else dialect.name
        prompt, templates = self.questions.of(self._arrival), self.templates
        random = self.session.random("canaries")
        if options.canaries and random.random() < options.canaries:
            name, prompt, templates = CANARY, random.choice(prompts.canaries()), self.canary_templates
        length = prompt.output_tokens or options.max_tokens
        body = templates[stream].filled(self._prompt_json(prompt), length)
        with self.measure(name) as attempt:
            attempt.sample.prompt_id, attempt.sample.wanted_prompt_tokens = prompt.id, prompt.input_tokens
            attempt.sample.wanted_output_tokens = prompt.output_tokens
            try:
                answer = self.generate(attempt.sample, body, stream=stream)
            except BrokenAnswer as broken:
                grading.keep(self.session, attempt.sample, prompt, broken.answer)
                raise
            grading.grade(self.session, attempt.sample, prompt, answer, length)

    def _prompt_json(self, prompt: Prompt) -> bytes:
        """Return the question as this endpoint writes it, with its pictures when it is to have some."""
        if not self.options.images or prompt.chat_json is not None:
            return self.dialect.prompt_json(prompt)
        return self.dialect.illustrated(
            prompt, self.session.random("pictures").choices(self.pictures, k=self.options.images)
        )
