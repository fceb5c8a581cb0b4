"""Prompts are good and varied, mistakes in them are named, and answers get the grade that they earn."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import prompts
from data.prompts import KINDS, Prompt, PromptError, load, read
from data.quality import Expectation, grade, repetition
from target.answers import answer

BASELINE = prompts.FOLDER.parent / "baselines/performance_baseline.json"


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_has_prompts_that_are_graded_and_differ(kind: str) -> None:
    found = load(kind)
    assert len(found) >= 20
    assert len({prompt.text for prompt in found}) == len({prompt.id for prompt in found}) == len(found)
    assert all(prompt.expect is not None and prompt.expect.given() for prompt in found)
    assert all(prompt.id.startswith(f"{kind}-") for prompt in found)


def test_every_expectation_is_used_and_complex_prompts_are_longer() -> None:
    used = {key for prompt in load("mixed") if prompt.expect for key in prompt.expect.given()}
    assert used == {"contains_all", "contains_any", "regex", "exact", "min_words", "max_repetition"}
    length = {kind: sum(len(prompt.text) for prompt in load(kind)) / len(load(kind)) for kind in KINDS}
    assert length["simple"] < length["medium"] < length["complex"]


def test_mixed_is_all_of_them() -> None:
    assert load("mixed") == load("simple") + load("medium") + load("complex")


def test_a_class_is_read_once() -> None:
    assert load("simple") is load("simple")


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(PromptError, match="prompts must be one of simple, medium, complex, mixed, got 'hard'"):
        load("hard")


def read_text(folder: Path, content: object) -> tuple[Prompt, ...]:
    path = folder / "p.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must be a list of at least one prompt"),
        ({"a": 1}, "must be a list of at least one prompt, got dict"),
        (["x"], r"\[0\] must be a mapping, got 'x'"),
        ([{"text": "a"}], r"\[0\]\.id must be text that is not empty, got None"),
        ([{"id": "a", "text": " "}], r"\[0\]\.text must be text that is not empty, got ' '"),
        ([{"id": "a", "text": "b", "expct": {}}], r"\[0\]\.expct is not a known key; known are id, text, expect"),
        ([{"id": "a", "text": "b", "expect": {}}], r"\[0\]\.expect must be a mapping with at least one"),
        ([{"id": "a", "text": "b", "expect": {"regx": "a"}}], r"\[0\]\.expect\.regx is not a known key"),
        ([{"id": "a", "text": "b", "expect": {"regex": "("}}], r"\.regex must be a regular expression, got '\('"),
        ([{"id": "a", "text": "b", "expect": {"contains_all": "x"}}], r"contains_all must be a list of texts"),
        ([{"id": "a", "text": "b", "expect": {"min_words": 0}}], r"min_words must be a whole number >= 1, got 0"),
        ([{"id": "a", "text": "b", "expect": {"min_words": True}}], r"min_words must be a whole number >= 1"),
        ([{"id": "a", "text": "b", "expect": {"max_repetition": 2}}], r"max_repetition must be a number from 0 to 1"),
        ([{"id": "a", "text": "b"}, {"id": "a", "text": "c"}], r"\[1\]\.id must be unique, got 'a' again"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, content: object, expected: str) -> None:
    with pytest.raises(PromptError, match=expected):
        read_text(tmp_path, content)


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        read_text(
            tmp_path, [{"id": "", "text": ""}, {"id": "a", "text": "b", "expect": {"exact": 5, "min_words": "x"}}]
        )
    assert len(str(caught.value).splitlines()) == 4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"gone\.json: cannot be read: No such file"):
        read(tmp_path / "gone.json")


def test_a_prompt_needs_no_expectation(tmp_path: Path) -> None:
    assert read_text(tmp_path, [{"id": "a", "text": "b"}]) == (Prompt.of("a", "b"),)


def test_the_baseline_holds_the_documented_figures() -> None:
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    figures = [baseline[key] for key in ("latency_ms", "throughput_rps", "quality", "memory_gb", "cpu_cores")]
    assert figures == [2000, 50, 0.8, 90, 8]


HEALTHY = "Gravity pulls every apple towards the earth, and the earth towards every apple, if only by a little."


@pytest.mark.parametrize(
    ("expectation", "answer", "share"),
    [
        (Expectation(exact="42"), "42", 1.0),
        (Expectation(exact="42"), ' "42." \n', 1.0),
        (Expectation(exact="42"), "It is 42", 0.0),
        (Expectation(exact="OK"), "ok", 0.0),
        (Expectation(contains_all=("Paris", "France")), "paris is in FRANCE", 1.0),
        (Expectation(contains_all=("Paris", "France")), "Paris", 0.0),
        (Expectation(contains_any=("Paris", "Lyon")), "Lyon", 1.0),
        (Expectation(contains_any=("Paris", "Lyon")), "Nice", 0.0),
        (Expectation(regex=r"\b\d{4}\b"), "in 1984", 1.0),
        (Expectation(regex=r"\b\d{4}\b"), "in 84", 0.0),
        (Expectation(min_words=3), "one two three", 1.0),
        (Expectation(min_words=4), "one two three", 0.0),
        (Expectation(max_repetition=0.1), HEALTHY, 1.0),
        (Expectation(contains_any=("gravity",), min_words=50), HEALTHY, 0.5),
        (Expectation(contains_any=("gravity",), min_words=5, max_repetition=0.2, regex="moon"), HEALTHY, 0.75),
    ],
)
def test_a_grade_is_the_share_of_expectations_met(expectation: Expectation, answer: str, share: float) -> None:
    assert grade(expectation, answer) == share


@pytest.mark.parametrize("answer", ["", "   \n", "the cat sat on " * 20, "no " * 30])
def test_an_empty_or_looping_answer_is_worth_nothing(answer: str) -> None:
    assert grade(Expectation(contains_any=("the", "no", ""), min_words=1), answer) == 0.0


def test_a_repetition_that_was_asked_for_is_no_loop() -> None:
    assert grade(Expectation(exact="ha " * 30), "ha " * 30) == 1.0


def test_repetition_counts_runs_of_four_words_that_stood_before() -> None:
    assert repetition("a b c") == 0.0
    assert repetition("a b c d e f g") == 0.0
    # Runs: abcd, bcda, cdab, dabc, abcd: one of five stood before.
    assert repetition("a b c d A B C D") == pytest.approx(1 / 5)


@given(st.text(max_size=300), st.text(min_size=1, max_size=5), st.integers(1, 20), st.floats(0, 1))
def test_a_grade_is_between_0_and_1(answer: str, word: str, words: int, share: float) -> None:
    expectation = Expectation((word,), (word,), r"\w", word, words, share)
    assert 0 <= grade(expectation, answer) <= 1
    assert grade(expectation, answer) == grade(expectation, answer)


@pytest.mark.parametrize("words", [None, 34])
def test_the_embedded_platform_can_earn_full_marks_within_48_tokens(words: int | None) -> None:
    for prompt in load("mixed"):
        said = answer(prompt.text, seed=1)
        assert prompt.expect is not None
        assert grade(prompt.expect, " ".join(said.split()[:words]) if words else said) == 1.0, (prompt, said)
