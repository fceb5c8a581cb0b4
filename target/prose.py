"""Fluent, deterministic text about the words of a prompt, and its cutting into tokens.

Sentences are put together from parts, so that even a long answer does not repeat a sentence: graders of
answers count repetition as a sign of a broken model. The first sentence names every key word, so that a short
answer is on its topic.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from functools import lru_cache

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_WORD = re.compile(r"[^\W\d_][\w'’-]*|\d+", re.UNICODE)

_SMALL_WORDS = """
a about above after again all also am an and any are as at be because been before being below between both
but by can could did do does doing down during each few for from further give had has have having he her
here hers him his how i if in into is it its itself just let like list main make me more most my no nor not
now of off on once one only or other our out over own please same she short should so some such tell than
that the their them then there these they this those through to too two under until up use using very was we
were what when where which while who why will with words would write you your explain summarise summarize
describe discuss define compare sentence sentences paragraph word simple simply terms briefly brief detail
detailed three four five example examples following provide create generate answer question help need want
key
"""
STOP_WORDS = frozenset(_SMALL_WORDS.split())
SUBJECTS = (
    "the idea", "a careful reader", "the usual approach", "the first step", "a good design",
    "the historical record", "a small experiment", "the underlying mechanism", "everyday practice",
    "the most common mistake", "a clear example", "the broader picture", "an expert in the field",
    "the available evidence", "a practical team", "the next question", "a simple model",
    "the limiting factor", "a closer look", "the strongest argument",
)  # fmt: skip
VERBS = (
    "depends on", "grows out of", "is shaped by", "rests upon", "gains from", "is limited by",
    "becomes clear through", "is often compared with", "takes shape around", "leads back to",
    "can be measured by", "is tested against", "balances", "reveals", "explains", "connects with",
    "starts from", "makes use of", "is refined by", "points towards",
)  # fmt: skip
OBJECTS = (
    "steady observation", "a few well chosen rules", "the cost of each choice",
    "patterns that return over time", "limited resources", "exchange between many parts",
    "careful measurement", "the setting in which it is used", "long experience", "small improvements",
    "the needs of people", "competing demands", "an honest account of risk", "shared standards",
    "the flow of energy and information", "earlier discoveries", "open discussion",
    "several layers of structure", "the quality of the data", "a balance of speed and care",
)  # fmt: skip
OPENINGS = (
    "In practice,", "At the same time,", "For this reason,", "More precisely,", "By contrast,", "Over time,",
    "Seen from outside,", "In most cases,", "As a result,", "To begin with,", "Under closer study,",
    "In addition,", "Where it matters,", "On a larger scale,", "In the end,",
)  # fmt: skip
FIRST = (
    "The subject of {topic} can be understood as a set of related ideas that build on each other.",
    "The study of {topic} shows how several parts work together to produce a clear result.",
    "The question of {topic} is best approached through its purpose, its parts and its limits.",
    "The field of {topic} brings together theory and practice in a way that rewards close attention.",
)


def key_words(prompt: str) -> list[str]:
    """The words of `prompt` that carry its topic, in order, each once, at most twelve."""
    found: dict[str, str] = {}
    for word in _WORD.findall(prompt):
        if word.lower() not in STOP_WORDS and len(word) > 1:
            found.setdefault(word.lower(), word)
    return list(found.values())[:12]


def about(prompt: str, seed: int, sentences: int = 9) -> str:
    """A paragraph of `sentences` sentences on the topic of `prompt`."""
    return " ".join(_sentences(prompt, seed, sentences))


def _sentences(prompt: str, seed: int, count: int) -> Iterator[str]:
    rng = _random(prompt, seed)
    words = key_words(prompt) or ["this topic"]
    topic = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    yield rng.choice(FIRST).format(topic=topic)
    first = [rng.randrange(20) for _ in range(4)]
    for number in range(count - 1):
        # Steps without a common factor with 20 go through each list; the carry keeps the rounds apart, so
        # that no sentence comes back within an answer.
        subject = SUBJECTS[(first[0] + 7 * number) % len(SUBJECTS)]
        verb = VERBS[(first[1] + 3 * number + number // 20) % len(VERBS)]
        obj = OBJECTS[(first[2] + 11 * number + number // 400) % len(OBJECTS)]
        word = words[number % len(words)]
        opening = OPENINGS[(first[3] + number) % len(OPENINGS)]
        yield f"{opening} {subject} behind {word} {verb} {obj}."


@lru_cache(maxsize=1024)
def tokens_of(text: str) -> tuple[str, ...]:
    """Cut `text` into tokens, about one per word or sign; joined they are `text` again."""
    return tuple(_TOKEN.findall(text))


def lengthened(tokens: tuple[str, ...], prompt: str, seed: int, count: int) -> tuple[str, ...]:
    """`tokens`, continued with text about `prompt` up to `count` tokens (`ignore_eos`, `min_tokens`)."""
    more = tokens_of(" " + about(prompt, seed + 1, sentences=count // 8 + 2))
    while len(tokens) < count:
        tokens = (tokens + more)[:count]
    return tokens


def garbled(tokens: tuple[str, ...], prompt: str, seed: int) -> tuple[str, ...]:
    """The same number of tokens and letters, without any meaning (fault `garble`)."""
    rng = _random(prompt, seed)
    letters = "bcdfghjklmnpqrstvwxz"
    return tuple("".join(sign if sign.isspace() else rng.choice(letters) for sign in token) for token in tokens)


def looping(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """The same number of tokens, the first few of them again and again (fault `loop`)."""
    phrase = tokens[:4] or ("the",)
    # A first token has no space before it; without one the repeats would run together.
    again = (phrase[0] if phrase[0][0].isspace() else " " + phrase[0], *phrase[1:])
    repeated = phrase + again * (len(tokens) // len(again) + 4)
    return repeated[: max(len(tokens), 4 * len(phrase))]


def _random(prompt: str, seed: int) -> random.Random:
    digest = hashlib.blake2b(f"{seed}:{prompt}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))
