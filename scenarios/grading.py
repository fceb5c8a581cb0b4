"""What an answer is worth: its defect, its grade, how like the unloaded answer it is; and the worst are kept."""

import gevent

from data import quality
from data.prompts import Prompt
from samples.answers import KeptAnswer
from samples.sample import Defect, Sample, TokenSource
from scenarios.dialects.base import Answer
from scenarios.session import Session

_BY_LENGTH = "length"
_SHORT = 0.9
"""Below this share of the length that was asked for an answer was cut early: engines count the last tokens unlike."""
_LONG = 2000
"""Signs of a text above which one look at it takes a tenth of a millisecond or more."""


def grade(session: Session, sample: Sample, prompt: Prompt, answer: Answer, max_tokens: int) -> None:
    """Put what a complete answer is worth into its sample, and offer it to the kept ones."""
    expect = prompt.expect
    if expect is None or not quality.literal(expect, answer.text):
        sample.defect = _defect(answer, max_tokens)
    if expect is not None:
        _let_others_in(answer.text)
        sample.quality = 0.0 if sample.defect or not answer.text.strip() else quality.share_met(expect, answer.text)
    keep(session, sample, prompt, answer)


def keep(session: Session, sample: Sample, prompt: Prompt, answer: Answer) -> None:
    """Hold an answer against the unloaded one, when there is one, and offer it to the kept ones."""
    unloaded = session.unloaded.get(prompt.id)
    if unloaded is not None:
        _let_others_in(answer.text)
        sample.similarity = quality.similarity(answer.text, unloaded)
    worth = min([0.0 if sample.defect else 1.0, *(v for v in (sample.quality, sample.similarity) if v is not None)])
    session.answers.offer(worth, lambda: _kept(sample, prompt, answer, unloaded))


def _kept(sample: Sample, prompt: Prompt, answer: Answer, unloaded: str | None) -> KeptAnswer:
    expected = prompt.expect.words() if prompt.expect else ""
    before = f"as before the load: {unloaded}" if unloaded is not None else ""
    return KeptAnswer(
        t_s=sample.due_s,
        phase=sample.phase,
        scenario=sample.scenario,
        name=sample.name,
        prompt_id=prompt.id,
        prompt=prompt.text,
        answer=answer.text,
        expected="; ".join(text for text in (expected, before) if text),
        quality=sample.quality,
        similarity=sample.similarity,
        defect=sample.defect,
    )


def _let_others_in(text: str) -> None:
    """Let the event loop take its turn between two looks at a long text: other users' stamps must not wait for them."""
    if len(text) > _LONG:
        gevent.sleep(0)


def _defect(answer: Answer, max_tokens: int) -> Defect | None:
    """Return what is wrong with a complete answer by itself."""
    if not answer.unseen and not answer.text.strip():
        return Defect.EMPTY
    if quality.loops(answer.text):
        return Defect.LOOPING
    _let_others_in(answer.text)
    if quality.garbled(answer.text):
        return Defect.GARBLED
    counted = answer.output_tokens if answer.token_source is TokenSource.USAGE else None
    if answer.finish_reason == _BY_LENGTH and counted is not None and counted < _SHORT * max_tokens:
        return Defect.TRUNCATED
    return None
