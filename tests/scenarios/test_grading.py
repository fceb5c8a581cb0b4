"""The defect of a complete answer, and that an answer which was asked for in that form has none."""

from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest

from data.prompts import Prompt
from data.quality import Expectation
from samples.answers import KeptAnswers
from samples.sample import Defect, Outcome, Protocol, Sample, TokenSource
from scenarios.dialects.base import Answer
from scenarios.grading import grade
from scenarios.session import Session

LOOP = "the cat sat on " * 20
PROMPT = Prompt.of("p", "Explain ice.", Expectation(contains_any=("ice",)))


def graded(prompt: Prompt = PROMPT, max_tokens: int = 64, unloaded: str | None = None, **answer: Any) -> Sample:
    session = SimpleNamespace(unloaded={} if unloaded is None else {prompt.id: unloaded}, answers=KeptAnswers())
    sample = Sample(0.0, 0.0, 1.0, Outcome.OK, "only", "ChatUser", "chat", Protocol.LLM)
    given = Answer(**({"text": "ice is water", "finish_reason": "stop"} | answer))
    grade(cast(Session, session), sample, prompt, given, max_tokens)
    assert len(session.answers.sample()) == 1
    return sample


@pytest.mark.parametrize(
    ("answer", "defect"),
    [
        ({}, None),
        ({"text": " \n "}, Defect.EMPTY),
        ({"text": LOOP + "ice"}, Defect.LOOPING),
        ({"text": "xkcd bcdfg hjklm npqrst vwxz bcdfgh ice"}, Defect.GARBLED),
        ({"text": "", "unseen": True}, None),
    ],
)
def test_the_defect_of_an_answer_and_a_grade_of_0_with_it(answer: dict[str, Any], defect: Defect | None) -> None:
    sample = graded(**answer)
    assert sample.defect == defect
    assert sample.quality == (1.0 if not answer else 0.0)


@pytest.mark.parametrize(
    ("tokens", "source", "reason", "defect"),
    [
        (64, TokenSource.USAGE, "length", None),
        (60, TokenSource.USAGE, "length", None),
        (30, TokenSource.USAGE, "length", Defect.TRUNCATED),
        (30, TokenSource.USAGE, "stop", None),
        (30, TokenSource.EVENTS, "length", None),
        (None, None, "length", None),
    ],
)
def test_an_end_by_length_before_the_length_is_a_truncation(
    tokens: int | None, source: TokenSource | None, reason: str, defect: Defect | None
) -> None:
    assert graded(output_tokens=tokens, token_source=source, finish_reason=reason).defect == defect


def test_what_was_asked_for_word_by_word_is_no_defect() -> None:
    sample = graded(Prompt.of("p", "Say it.", Expectation(exact=LOOP)), text=LOOP)
    assert sample.defect is None
    assert sample.quality == 1.0


def test_the_defects_of_a_wrong_answer_are_looked_for_also_where_a_text_was_asked_for_word_by_word() -> None:
    expect = Expectation(exact="ice", contains_any=("ice",))
    short: dict[str, Any] = {"output_tokens": 30, "token_source": TokenSource.USAGE, "finish_reason": "length"}
    assert graded(Prompt.of("p", "Say ice.", expect), text="ice is", **short).defect is Defect.TRUNCATED
    assert graded(Prompt.of("p", "Say ice.", expect), text="ice is").quality == 0.5


def test_a_long_answer_lets_others_take_their_turn_between_the_looks_at_it() -> None:
    turns = 0

    def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    job = gevent.spawn(other)
    gevent.sleep(0)
    graded(text="ice is water. ", unloaded="ice")
    assert turns == 1
    words = "".join(f"word{number} ice " for number in range(1000))
    assert graded(text=words, unloaded=words).quality == 1.0
    job.kill()
    assert turns >= 4


def test_an_answer_is_held_against_the_unloaded_one() -> None:
    assert graded(unloaded="ice is cold").similarity == pytest.approx(2 / 3)
    assert graded().similarity is None
