"""Lengths follow their law, texts have their lengths, and no two begin alike but where they should."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from data import lengths
from data.conversations import read
from data.lengths import LengthError, draw, resample
from data.prompts import Prompt, PromptError
from data.synthetic import Recorded, Synthetic
from data.text import CHARS_PER_TOKEN, Corpus, TextError
from data.traces.trace import Row, Trace

# -- lengths ----------------------------------------------------------------------------------------------------------


def chance(drawn: array[int], law: Any) -> float:
    """The chance of whole numbers that are at least as far from the rounded law, by chi square over its deciles."""
    values = np.asarray(drawn)
    edges = np.unique(np.round(law.ppf(np.linspace(0.05, 0.95, 19)))) + 0.5
    wanted = np.diff(np.concatenate([[0.0], law.cdf(edges), [1.0]])) * len(values)
    seen = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return float(stats.chisquare(seen, wanted).pvalue)


def lognormal(mean: float, std: float) -> Any:
    sigma = np.sqrt(np.log1p((std / mean) ** 2))
    return stats.lognorm(sigma, scale=mean / np.sqrt(1 + (std / mean) ** 2))


LAWS: dict[str, tuple[dict[str, float], Any]] = {
    "normal": ({"mean": 500.0, "std": 80.0}, stats.norm(500, 80)),
    "lognormal": ({"mean": 800.0, "std": 600.0}, lognormal(800, 600)),
    "uniform": ({"least": 100, "most": 299}, stats.uniform(99.5, 200)),
    "normal, cut": ({"mean": 100.0, "std": 50.0, "least": 60, "most": 200}, stats.truncnorm(-0.81, 2.01, 100, 50)),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lengths_follow_their_law(name: str, seed: int) -> None:
    keys, law = LAWS[name]

    def drawn(seed: int) -> array[int]:
        return draw(Random(seed), name.split(",", maxsplit=1)[0], **keys)  # type: ignore[arg-type]

    assert len(drawn(seed)) == lengths.DRAWN
    assert chance(drawn(seed), law) > 1e-4
    assert drawn(seed) == drawn(seed) != drawn(seed + 1)


def test_fixed_lengths_and_bounds_that_leave_nothing() -> None:
    assert set(draw(Random(1), "fixed", value=7)) == {7}
    with pytest.raises(LengthError, match="hold next to nothing of the distribution: 5000 to 10000000 tokens"):
        draw(Random(1), "normal", mean=10, std=1, least=5000)


def test_lengths_of_a_file_come_as_often_as_they_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "lengths.txt"
    path.write_text("5\n\n5\n 9\n5\n", encoding="utf-8")
    counts = Counter(resample(Random(1), path, count=40_000))
    assert set(counts) == {5, 9}
    assert counts[5] / 40_000 == pytest.approx(0.75, abs=0.01)
    path.write_text("5\n1.5\n", encoding="utf-8")
    with pytest.raises(LengthError, match=r"lengths\.txt: line 2: must be a whole number .*, got '1\.5'"):
        resample(Random(1), path)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(LengthError, match="at least one length"):
        resample(Random(1), path)


# -- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 5, 100, 5000, 400_000])
def test_a_text_has_the_characters_of_its_tokens(tokens: int) -> None:
    text = Corpus(1, 4.0).about(123, tokens).decode()
    assert len(text) == 4 * tokens
    assert json.loads(f'"{text}"') == text


def test_by_default_a_token_is_a_word() -> None:
    texts = [Corpus(1).about(number, 300).decode() for number in range(50)]
    assert sum(len(text.split()) for text in texts) / 50 == pytest.approx(300, rel=0.02)
    assert 5.5 < CHARS_PER_TOKEN < 7


def test_a_tokenizer_counts_its_own_tokens(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = [Corpus(5).about(number, 2000).decode() for number in range(30)]
    model.train_from_iterator(text, tokenizers.trainers.BpeTrainer(vocab_size=300, show_progress=False))
    model.save(str(tmp_path / "tokenizer.json"))
    corpus = Corpus(1, tokenizer=tmp_path / "tokenizer.json")
    counted = [len(model.encode(corpus.about(number, 1000).decode()).ids) for number in range(20)]
    words = len(corpus.about(1, 1000).split())
    assert words < 700  # this small model cuts words into pieces: a guess by characters would be far off
    assert np.mean(counted) == pytest.approx(1000, rel=0.03)


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "t.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TextError, match=r"t\.json: is not a tokenizer\.json"):
        Corpus(1, tokenizer=tmp_path / "t.json")


def test_synthetic_prompts_differ_from_their_first_words_on_and_repeat_with_the_seed() -> None:
    made = Synthetic(Corpus(1), array("i", [50, 60]), array("i", [7, 8]))
    prompts = [made[place] for place in range(5000)]
    assert len({prompt.text[:40] for prompt in prompts}) == 5000
    assert {prompt.input_tokens for prompt in prompts} == {50, 60}
    assert {prompt.output_tokens for prompt in prompts} == {7, 8}
    again = Synthetic(Corpus(1), array("i", [50, 60]), array("i", [7, 8]))
    assert again[4321] == prompts[4321]
    assert Synthetic(Corpus(2), array("i", [50]))[4321].text[60:] != prompts[4321].text[60:]


def test_prefixes_are_shared_and_come_on_top() -> None:
    made = Synthetic(Corpus(1, 5.0), array("i", [20]), None, prefixes=3, prefix_tokens=100)
    begins = Counter(made[place].text[:500] for place in range(3000))
    assert len(begins) == 3
    assert all(900 < count < 1100 for count in begins.values())
    assert made[0].input_tokens == 120
    assert len(made[0].text) == 601  # 500 of the prefix, a blank, 100
    assert made[0].output_tokens is None


def test_equal_blocks_of_a_recording_are_equal_texts_and_others_are_not() -> None:
    trace = Trace()
    for row in (Row(0, 1100, 5, [0, 1, 2]), Row(1, 1536, 0, [0, 1, 3]), Row(2, 700, 9, [4, 1])):
        trace.add(row)
    first, second, third = (Recorded(Corpus(1, 4.0), trace)[row] for row in range(3))
    assert first.text[: 2 * 2049] == second.text[: 2 * 2049]
    assert first.text[2 * 2049 : 2 * 2049 + 40] != second.text[2 * 2049 : 2 * 2049 + 40]
    assert first.text[:40] != third.text[:40]
    assert [p.input_tokens for p in (first, second, third)] == [1100, 1536, 700]
    assert [p.output_tokens for p in (first, second, third)] == [5, None, 9]
    assert [round(len(p.text) / 4) for p in (first, second, third)] == pytest.approx([1100, 1536, 700], abs=2)
    assert [p.id for p in (first, third)] == ["row 1", "row 3"]


# -- conversations ----------------------------------------------------------------------------------------------------

SHAREGPT = [
    {"id": "a", "conversations": [
        {"from": "system", "value": "Be brief."}, {"from": "human", "value": "One?"}, {"from": "gpt", "value": "1"},
        {"from": "human", "value": "Two?"}, {"from": "gpt", "value": "2"},
    ]},
    {"id": "b", "conversations": [{"from": "gpt", "value": "nobody asked"}]},
    {"conversations": [{"from": "user", "value": 'Say "é"'}]},
]  # fmt: skip


def conversations(folder: Path, content: object, form: str = "sharegpt", whole: bool = False) -> tuple[Prompt, ...]:
    path = folder / "file"
    lines = content if isinstance(content, str) else json.dumps(content)
    path.write_text(lines, encoding="utf-8")
    return read(path, form, whole=whole)


def said(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in prompt.messages]


def test_sharegpt_gives_first_questions_or_whole_conversations(tmp_path: Path) -> None:
    first = conversations(tmp_path, SHAREGPT)
    assert [prompt.id for prompt in first] == ["a", "2"]
    assert said(first[0]) == [("system", "Be brief."), ("user", "One?")]
    assert (first[0].turns, first[1].text) == (("One?", "Two?"), 'Say "é"')
    whole = conversations(tmp_path, SHAREGPT, whole=True)
    assert said(whole[0])[1:] == [("user", "One?"), ("assistant", "1"), ("user", "Two?")]
    assert whole[0].text == "Two?"


def test_messages_are_read_from_chats_and_from_batches(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "Why?"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url"}]}]
    lines = [
        {"messages": ask, "expect": {"exact": "Because"}},
        {"custom_id": "x", "body": {"messages": parts, "max_completion_tokens": 9}},
    ]
    chat, batch = conversations(tmp_path, "\n".join(map(json.dumps, lines)) + "\n\n", "messages")
    assert (said(chat), chat.id, chat.output_tokens) == ([("user", "Why?")], "line 1", None)
    assert chat.expect is not None
    assert chat.expect.exact == "Because"
    assert (batch.messages, batch.id, batch.output_tokens) == (parts, "x", 9)


@pytest.mark.parametrize(
    ("form", "content", "wanted"),
    [
        ("sharegpt", "{", "is not valid JSON"),
        ("sharegpt", {}, "must be a list of conversations, got dict"),
        ("sharegpt", [{}], r"\[0\]\.conversations must be a list, got nothing"),
        ("sharegpt", [{"conversations": [{"from": "me"}]}], r"\[0\]\.conversations\[0\]\.from must be one of human, "),
        ("sharegpt", [{"conversations": [{"from": "gpt"}]}], r"conversations\[0\]\.value must be text, got nothing"),
        ("sharegpt", SHAREGPT[1:2], "at least one conversation in which a user says something"),
        ("messages", '{"messages": []}\n{', "line 2: is not valid JSON"),
        ("messages", "[]", r"line 1: must be a JSON object, got \[\]"),
        ("messages", '{"body": {}}', r"line 1: body\.messages must be a list, got nothing"),
        (
            "messages",
            '{"messages": [{"role": "me"}]}',
            r"line 1: messages\[0\]\.role must be one of .* got 'me'",
        ),
        ("messages", '{"messages": [], "max_tokens": 0}', "line 1: max_tokens must be a whole number >= 1, got 0"),
        ("messages", '{"messages": [], "expect": {"exakt": 1}}', r"line 1: \.expect\.exakt is not a known key"),
    ],
)
def test_a_mistake_in_a_conversation_is_named(tmp_path: Path, form: str, content: object, wanted: str) -> None:
    with pytest.raises(PromptError, match=wanted):
        conversations(tmp_path, content, form)
