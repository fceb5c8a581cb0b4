"""Tool calls: a question that needs a tool, the call that the model makes of it, and the result handed back."""

import json
from typing import ClassVar

from locust import task

from data import tools
from data.prompts import Message, Prompt
from data.tools import Task
from plans.mix import ToolMix
from samples.recorder import Failure
from samples.sample import Outcome
from scenarios.dialects.base import Answer, ToolCall
from scenarios.dialects.translation import items_of
from scenarios.inference import GeneratingUser
from scenarios.session import Session


class ToolUser(GeneratingUser):
    """Asks what only a tool can tell, checks the call, and hands the tool's result back when the plan says so."""

    options: ToolMix
    tools: ClassVar[tuple[Message, ...]] = tools.DEFINITIONS
    questions: ClassVar[dict[str, bytes]]
    """What is asked, encoded, by the task's id."""

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Encode the questions and the requests."""
        super().prepare(session)
        tools.checks()
        cls.questions = {job.id: cls.dialect.prompt_json(Prompt.of(job.id, job.question)) for job in tools.TASKS}

    @task
    def ask(self) -> None:
        """A question that has to become a call, and its second half."""
        job: Task = self.session.random(self.scenario).choice(tools.TASKS)
        stream = self.streams()
        kind = " (stream)" if stream else ""
        question, template, length = self.questions[job.id], self.templates[stream], self.options.max_tokens
        call = None
        with self.measure(f"tool call{kind}") as attempt:
            attempt.sample.prompt_id = job.id
            answer = self.generate(attempt.sample, template.filled(question, length), stream=stream)
            call = _checked(answer)
            attempt.sample.quality = job.grade_call(call.name, json.loads(call.arguments)) if call else 0.0
        if call is None or not self.options.results:
            return
        said = json.dumps(self._items(_result(call, job))).encode()
        both = question[:-1] + b", " + said[1:]  # one list out of two
        with self.measure(f"tool result{kind}") as attempt:
            attempt.sample.prompt_id = job.id
            answer = self.generate(attempt.sample, template.filled(both, length), stream=stream)
            attempt.sample.quality = job.grade_answer(answer.text)

    def _items(self, messages: list[Message]) -> list[Message]:
        """Return messages as this endpoint writes them."""
        return items_of(messages) if self.dialect.name == "responses" else messages


def _checked(answer: Answer) -> ToolCall | None:
    """Return the call; None when the model said something instead. Raises Failure for a call that cannot be made."""
    call = next(iter(answer.calls.values()), None)
    if call is None:
        return None
    problem = tools.problem_of(call.name, call.arguments)
    if problem is not None:
        raise Failure(Outcome.BAD_CONTENT, f"tool call: {problem}")
    return call


def _result(call: ToolCall, job: Task) -> list[Message]:
    """Return the model's call and the tool's answer as the messages that follow the question."""
    function = {"name": call.name, "arguments": call.arguments}
    called = {"id": call.id, "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": call.id, "content": job.result},
    ]
