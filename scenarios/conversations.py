"""Conversations: every turn carries all that was said before, the model's own answers among it."""

import json
from typing import ClassVar

from locust import task

from data.prompts import Prompt
from plans.mix import ConversationMix
from samples.sample import Outcome
from scenarios import grading
from scenarios.inference import GeneratingUser
from scenarios.questions import Questions
from scenarios.session import Session

_STAGES = ((1, "turn 1"), (9, "turns 2 to 9"), (99, "turns 10 to 99"), (999, "turns 100 to 999"))
_LAST_STAGE = "turns 1000 on"


class ConversationUser(GeneratingUser):
    """One turn per arrival. A conversation ends after the plan's turns, or with a turn that failed."""

    options: ConversationMix
    questions: ClassVar[Questions]

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        self._said: list[bytes] = []
        """What was said, as it stands in a request: never encoded a second time."""
        self._turns = 0
        self._script: list[str] = []

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read the prompts and encode the requests."""
        super().prepare(session)
        options = cls.options_in(session)
        assert isinstance(options, ConversationMix)  # held by the plan's schema
        cls.questions = Questions(session, cls.__name__, options.prompts)

    @task
    def say(self) -> None:
        """The next turn of this user's conversation, or the first of a new one."""
        options, stream, prompt = self.options, self.streams(), self._next()
        self._said.append(self.dialect.prompt_json(prompt)[1:-1])  # the items without the list around them
        self._turns += 1
        length = prompt.output_tokens or options.max_tokens
        body = self.templates[stream].filled(b"[" + b", ".join(self._said) + b"]", length)
        with self.measure(_stage(self._turns)) as attempt:
            attempt.sample.prompt_id = prompt.id
            answer = self.generate(attempt.sample, body, stream=stream)
            grading.grade(self.session, attempt.sample, prompt, answer, length)
            self._said.append(json.dumps({"role": "assistant", "content": answer.text}).encode())
        over = self._turns >= options.turns or (prompt.turns and not self._script)
        if over or attempt.sample.outcome is not Outcome.OK:
            self._said, self._turns, self._script = [], 0, []

    def _next(self) -> Prompt:
        """Return what the user says next: the next turn of a recorded conversation, or the arrival's prompt."""
        if self._script:
            return Prompt.of("turn", self._script.pop(0), turns=("",))
        prompt = self.questions.of(self._arrival)
        if prompt.turns and not self._turns:
            self._script = list(prompt.turns)
            return Prompt.of(prompt.id, self._script.pop(0), turns=prompt.turns)
        return prompt


def _stage(turn: int) -> str:
    """Return the name under which a turn is measured: long conversations are slower, and the report should show it."""
    return next((name for last, name in _STAGES if turn <= last), _LAST_STAGE)
