"""Chat sessions of an assistant: conversations that the server keeps, with tools, long ones among them."""

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, ClassVar

from locust import task

from clients import sse
from clients.http import Response
from data import prompts
from plans.hosts import EMBEDDED
from plans.mix import SessionMix, SessionOperations
from plans.run import QueryPlan
from samples.recorder import Attempt, Failure
from samples.sample import Outcome, Sample
from scenarios.base import ArrivingUser
from scenarios.evaluation_runs import content, expect
from scenarios.session import Session
from scenarios.session_tools import tool_call

_FACT_EVERY, _ASKED_AFTER = 10, 5
"""Of ten messages one tells a fact, and a later one asks for one that was told."""
_SHOWN = 10
_REFUSED = (429, 503)
"""Statuses of a server that has done nothing: the session is as it was."""
STAGES = (
    (10, "turns 1 to 10"),
    (90, "turns 11 to 90"),
    (100, "turns 91 to 100"),
    (490, "turns 101 to 490"),
    (500, "turns 491 to 500"),
    (990, "turns 501 to 990"),
    (1000, "turns 991 to 1000"),
)
"""Lengths of a conversation by which the messages of long sessions are named; the last of the stage each."""
_LAST_STAGE = "turns 1001 on"


class Conversation:
    """What one user knows of the session that it has open."""

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.turns = 0
        """Messages and tool calls."""
        self.messages = 0
        self.facts: dict[str, str] = {}
        """Code words that it was asked to remember, by what they are of."""
        self.last = ""
        """What was said last, the tool's results aside."""


class Opened:
    """The sessions that a class of users has opened and not removed."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.unanswered = 0
        """Sessions asked for without a usable answer: they may exist, and nobody knows their ids."""


class _SessionUser(ArrivingUser):
    """What the users of chat sessions have in common: one session each, its operations, its end."""

    abstract = True
    options: SessionMix
    operations: ClassVar[SessionOperations] = SessionOperations()
    turns: ClassVar[int] = 20
    streaming: ClassVar[float] = 0.3
    opened: ClassVar[Opened]
    texts: ClassVar[list[str]]

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read what is talked about."""
        cls.opened = Opened()
        cls.texts = [prompt.text for kind in ("simple", "medium") for prompt in prompts.load(kind)]

    @classmethod
    def wind_up(cls, session: Session) -> list[QueryPlan]:
        """Remove the sessions that are still open; the embedded platform is thrown away whole."""
        options = session.plan.mix.arriving()[cls.__name__]
        assert isinstance(options, SessionMix)  # held by the plan's schema
        opened, said = cls.opened, []
        if options.clean and session.plan.target.host != EMBEDDED:
            left = session.remove([f"{options.path}/{one}" for one in opened.ids], options.clean_within)
            opened.ids.clear()
            said += [f"{left} sessions that the load opened could not be removed"] if left else []
            said += (
                [f"{opened.unanswered} sessions were asked for without a usable answer"] if opened.unanswered else []
            )
        session.notes += [f"{cls.__name__}: {sentence}" for sentence in said]
        return []

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        weights = (self.options.operations or self.operations).model_dump()
        self._names, self._weights = list(weights), list(itertools.accumulate(weights.values()))
        self._random: Random = self.session.random(self.scenario)
        self._most_turns = self.options.turns or self.turns
        given = self.options.streaming
        self._streaming = self.streaming if given is None else given
        self._conversation: Conversation | None = None

    @task
    def operate(self) -> None:
        """Do one thing in this user's session, chosen by the weights; the last turn of a session ends it."""
        name = self._random.choices(self._names, cum_weights=self._weights)[0]
        action: Callable[[Attempt, Conversation], None] = getattr(self, f"_{name}")
        with self.measure(name) as attempt:
            conversation = self._opened(attempt.sample)
            action(attempt, conversation)
        sample = attempt.sample
        if sample.outcome is not Outcome.OK:
            if sample.status not in _REFUSED:
                # What the server made of it is not known: this session goes no further, and is removed at the end.
                self._conversation = None
        elif conversation.turns >= self._most_turns:
            self._end(conversation)

    def _opened(self, sample: Sample) -> Conversation:
        """Return this user's session; without one, open it first, as an extra request."""
        if self._conversation is None:
            with self.measure("create session") as extra:
                self._conversation = self._create(extra.sample)
            # What follows starts late because of this request, and not because the load generator is slow.
            sample.waited = True
            if self._conversation is None:
                tried = extra.sample
                sample.sent_s = tried.sent_s
                raise Failure(tried.outcome, f"there is no session: {tried.error}", tried.status)
        return self._conversation

    def _create(self, sample: Sample) -> Conversation:
        options, body = self.options, {"title": f"load, {self.scenario}"}
        wanted: dict[str, Any] = body | {
            key: value
            for key, value in (("context_limit", options.context_limit), ("idle_s", options.expires))
            if value
        }
        self.opened.unanswered += 1
        try:
            answer = self.exchange(sample, "POST", options.path, json.dumps(wanted).encode(), expected=(201,))
        except Failure as failure:
            self.opened.unanswered -= failure.outcome is Outcome.HTTP_ERROR  # refused: there is no session
            raise
        session_id = content(answer).get("id")
        expect(isinstance(session_id, str) and bool(session_id), "the answer has no id of a session")
        assert isinstance(session_id, str)
        self.opened.unanswered -= 1
        self.opened.ids.add(session_id)
        return Conversation(session_id)

    def _end(self, conversation: Conversation) -> None:
        """Compact the session when the plan says so, and remove it: extra requests."""
        self._conversation = None
        if self.options.compact is not None:
            with self.measure(f"compact {self.options.compact} messages") as extra:
                self._compact(extra.sample, conversation, self.options.compact)
        with self.measure("delete session") as extra:
            self.exchange(extra.sample, "DELETE", self._path(conversation), expected=(200, 204))
            self.opened.ids.discard(conversation.id)

    # -- operations -------------------------------------------------------------------------------------------

    def _message(self, attempt: Attempt, conversation: Conversation) -> None:
        said, wanted, fact = self._next(conversation)
        stream = self._random.random() < self._streaming
        attempt.sample.name = self.name_of_message(conversation.turns + 1) + (" (stream)" if stream else "")
        body = json.dumps({"content": said, "stream": stream}).encode()
        response = self.exchange(attempt.sample, "POST", f"{self._path(conversation)}/messages", body, stream=stream)
        answer = _streamed(response) if stream else content(response)
        reply = answer.get("content")
        expect(isinstance(reply, str) and bool(reply.strip()), "the reply is empty")
        assert isinstance(reply, str)
        if answer.get("compaction"):
            attempt.sample.name += " (with compaction)"
        expect(wanted in reply, f"the reply does not have what was to be remembered ({wanted})")
        conversation.turns += 1
        conversation.facts |= fact
        self._grown(conversation, answer, by=2, compacted=bool(answer.get("compaction")))
        conversation.last = reply

    def name_of_message(self, turn: int) -> str:
        """Return the name under which the message of a turn is measured."""
        return "message"

    def _next(self, conversation: Conversation) -> tuple[str, str, dict[str, str]]:
        """Return what is said next, what the reply must have in it, and the fact that it tells."""
        place, facts = (conversation.turns + 1) % _FACT_EVERY, conversation.facts
        if place == 1 or not facts:
            thing, word = f"parcel-{len(facts) + 1}", f"{self._random.getrandbits(40):010x}"
            return f"Remember that the code word of {thing} is {word}.", "", {thing: word}
        if place == 1 + _ASKED_AFTER:
            thing, word = self._random.choice(list(facts.items()))
            return f"What is the code word of {thing}?", word, {}
        return self._random.choice(self.texts), "", {}

    def _tool(self, attempt: Attempt, conversation: Conversation) -> None:
        call = tool_call(self._random, conversation.facts)
        attempt.sample.name = f"tool {call.tool}"
        body = json.dumps({"arguments": call.arguments}).encode()
        answer = content(self.exchange(attempt.sample, "POST", f"{self._path(conversation)}/tools/{call.tool}", body))
        right = False
        with suppress(TypeError, AttributeError):  # a result of another kind is a wrong one
            right = call.right(answer.get("result"))
        expect(right, f"the result of {call.tool} is wrong")
        conversation.turns += 1
        self._grown(conversation, answer, by=1, compacted=False)

    def _history(self, attempt: Attempt, conversation: Conversation) -> None:
        answer = content(self.exchange(attempt.sample, "GET", f"{self._path(conversation)}?messages={_SHOWN}"))
        messages = answer.get("messages")
        expect(isinstance(messages, list) and len(messages) <= _SHOWN, "the session has no list of its last messages")
        assert isinstance(messages, list)
        self._grown(conversation, answer, by=0, compacted=False)
        replies = [one.get("content") for one in messages if isinstance(one, dict) and one.get("role") == "assistant"]
        expect(not replies or replies[-1] == conversation.last, "the last reply in the session is another one")

    def _list(self, attempt: Attempt, _: Conversation) -> None:
        answer = content(self.exchange(attempt.sample, "GET", f"{self.options.path}?limit=20"))
        items = answer.get("items")
        expect(isinstance(items, list) and len(items) <= 20, "the answer has no list of sessions")

    def _compact(self, sample: Sample, conversation: Conversation, messages: int) -> None:
        keep = max(conversation.messages - messages, 0)
        body = json.dumps({"keep": keep}).encode()
        answer = content(self.exchange(sample, "POST", f"{self._path(conversation)}/compact", body))
        size = answer.get("context")
        left = size.get("messages") if isinstance(size, dict) else None
        expect(isinstance(left, int) and left < conversation.messages, "the session has not become shorter")

    def _grown(self, conversation: Conversation, answer: dict[str, Any], *, by: int, compacted: bool) -> None:
        """Check the length of the context: each message is kept, and none of another session."""
        size = answer.get("context")
        messages = size.get("messages") if isinstance(size, dict) else None
        expect(isinstance(messages, int), "the answer does not say how many messages the session has")
        assert isinstance(messages, int)
        if not compacted:
            wanted = conversation.messages + by
            expect(messages == wanted, f"the session has {messages} messages where there must be {wanted}")
        conversation.messages = messages

    def _path(self, conversation: Conversation) -> str:
        return f"{self.options.path}/{conversation.id}"


def _streamed(response: Response) -> dict[str, Any]:
    """Return a streamed reply as one that came whole. Raises Failure when it broke off."""
    pieces: list[str] = []
    for event in sse.parse(response.chunks):
        try:
            said = json.loads(event.data)
            if "done" in said:
                return dict(said["done"]) | {"content": "".join(pieces)}
            pieces.append(said["delta"])
        except (ValueError, TypeError, LookupError):
            raise Failure(Outcome.BAD_CONTENT, "an event of the stream is neither a piece nor the end") from None
    raise Failure(Outcome.BAD_CONTENT, "the stream broke off before its end")


class SessionUser(_SessionUser):
    """A person at work: messages, a tool now and then, a look back; some replies are streamed."""


class SessionStressUser(_SessionUser):
    """Opens and removes sessions fast: three messages each, none streamed."""

    operations = SessionOperations(message=1, tool=0, history=0, list=0)
    turns, streaming = 3, 0.0


class LongSessionUser(_SessionUser):
    """Fills the server's memory: long conversations, whose messages are named by their length."""

    operations = SessionOperations(message=1, tool=0, history=0, list=0)
    turns, streaming = 1000, 0.0

    def name_of_message(self, turn: int) -> str:
        """Return a name by the stage of the conversation: what its length costs is to be seen."""
        return f"message ({next((name for last, name in STAGES if turn <= last), _LAST_STAGE)})"


class SessionToolUser(_SessionUser):
    """Calls tools; a message in between gives them something to find."""

    operations = SessionOperations(message=0.1, tool=0.9, history=0, list=0)
    turns, streaming = 50, 0.0
