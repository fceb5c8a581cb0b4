"""Quality, consistency and defects of answers, each against a value worked out by hand."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plans.metrics import METRICS
from reports.analysis import Analysis, Measured
from reports.exports import verdict_json
from reports.render import render
from samples.answers import KeptAnswer, KeptAnswers, read_answers
from samples.sample import Defect, Outcome, Protocol, Sample
from tests.reports.builder import RunBuilder, request

LLM: dict[str, Any] = {"protocol": Protocol.LLM}


def answers(grades: Sequence[float | None], step_s: float = 1.0, **fields: Any) -> list[Sample]:
    return [request(index * step_s, quality=grade, **(LLM | fields)) for index, grade in enumerate(grades)]


def run(tmp_path: Path, samples: list[Sample], length_s: int = 90, **plan: Any) -> Analysis:
    values: dict[str, Any] = {"phases": [{"name": "sustained", "rate": 1, "duration": length_s}]}
    return RunBuilder(**(values | plan)).samples(samples).analyze(tmp_path)


def measured(analysis: Analysis, metric: str) -> Measured:
    return analysis.phases[0].metrics[metric]


def test_stability_is_the_share_of_30_second_windows_at_the_plans_threshold(tmp_path: Path) -> None:
    # Means of the windows: 0.85, 0.7 and 0.8.
    grades = [1.0, 0.7] * 15 + [0.7] * 30 + [0.8] * 30
    limit = {"metric": "quality_mean", "phase": "sustained"}

    found = run(tmp_path / "a", answers(grades), criteria=[limit | {"at_least": 0.8}])
    assert measured(found, "quality_stability").value == pytest.approx(2 / 3)
    assert measured(found, "quality_stability").samples == 3
    found = run(tmp_path / "b", answers(grades), criteria=[limit | {"at_least": 0.7}])
    assert measured(found, "quality_stability").value == 1.0
    found = run(tmp_path / "c", answers(grades), criteria=[limit | {"phase": None, "at_least": 0.82}])
    assert measured(found, "quality_stability").value == pytest.approx(1 / 3)
    found = run(tmp_path / "d", answers(grades))
    assert measured(found, "quality_stability").value == pytest.approx(2 / 3), "0.8 where the plan has no limit"


def test_windows_without_graded_answers_and_the_rest_of_a_phase_do_not_count(tmp_path: Path) -> None:
    grades: list[float | None] = [1.0] * 30 + [None] * 30 + [0.0] * 10
    assert measured(run(tmp_path, answers(grades), 70), "quality_stability") == Measured(
        1.0, 1, None, measured(run(tmp_path, answers(grades), 70), "quality_stability").interval
    )


def test_stability_of_a_short_phase_is_unknown(tmp_path: Path) -> None:
    found = measured(run(tmp_path, answers([1.0] * 20), 20), "quality_stability")
    assert found.value is None
    assert found.why is not None
    assert "shorter than a window of 30 s" in found.why


def test_consistency_is_the_mean_similarity_of_the_canaries(tmp_path: Path) -> None:
    samples = [
        *answers([1.0] * 10),
        *(request(20 + index, name="canary", similarity=alike, **LLM) for index, alike in enumerate([1.0, 0.5, 0.75])),
        request(30, name="canary", outcome=Outcome.TIMEOUT, error="late", **LLM),
    ]
    found = measured(run(tmp_path, samples), "consistency_score")
    assert found.value == pytest.approx(0.75)
    assert found.samples == 3


@pytest.mark.parametrize(
    ("mix", "why"),
    [({"ChatUser": {}}, "asks no canaries"), ({"ChatUser": {"canaries": 0.1}}, "no canary was answered both before")],
)
def test_consistency_without_canaries_says_which_is_missing(tmp_path: Path, mix: dict[str, Any], why: str) -> None:
    found = measured(run(tmp_path, answers([1.0] * 10), mix=mix), "consistency_score")
    assert found.value is None
    assert found.why is not None
    assert why in found.why


def test_defects_are_shares_of_the_answers_received_each_by_name(tmp_path: Path) -> None:
    bad = [Defect.LOOPING, Defect.LOOPING, Defect.GARBLED, None, None, None, None]
    samples = [request(index, defect=defect, **LLM) for index, defect in enumerate(bad)]
    broken = {"outcome": Outcome.BAD_CONTENT, "error": "it broke", **LLM}
    samples += [request(10, defect=Defect.EMPTY, **broken), request(11, defect=Defect.TRUNCATED, **broken)]
    # 9 answers; a refusal, a timeout and a page are none.
    samples += [
        request(12, outcome=Outcome.HTTP_ERROR, status=500, error="HTTP 500", **LLM),
        request(13, outcome=Outcome.TIMEOUT, error="late", **LLM),
        request(14, protocol=Protocol.HTTP),
    ]
    found = run(tmp_path, samples)
    assert {name: measured(found, f"{name}_rate").value for name in ("looping", "garbled", "empty", "truncated")} == {
        "looping": pytest.approx(2 / 9),
        "garbled": pytest.approx(1 / 9),
        "empty": pytest.approx(1 / 9),
        "truncated": pytest.approx(1 / 9),
    }
    assert measured(found, "defect_rate").value == pytest.approx(5 / 9)


def test_every_defect_has_its_metric() -> None:
    assert {f"{defect.value}_rate" for defect in Defect} <= set(METRICS)


def kept(t_s: float, **fields: Any) -> KeptAnswer:
    values: dict[str, Any] = {"phase": "sustained", "scenario": "ChatUser", "name": "chat", "prompt_id": f"p{t_s:g}"}
    texts = {"prompt": "What?", "answer": "That.", "expected": "contains all This"}
    return KeptAnswer(t_s, **(values | texts | fields))


def test_the_worst_answers_and_a_fair_sample_are_kept_without_secrets(tmp_path: Path) -> None:
    book = KeptAnswers(worst=3, sampled=10)
    for index in range(1000):
        book.offer(1.0, partial(kept, index, quality=1.0))
    for index, grade in enumerate([0.5, 0.0, 0.75, 0.25, 0.9]):
        book.offer(grade, partial(kept, 2000 + index, quality=grade, answer="my token is s3cret"))
    book.offer(0.0, partial(kept, 3000, quality=1.0, defect=Defect.LOOPING))
    book.write(tmp_path, "0", lambda text: text.replace("s3cret", "[secret]"))

    worst = read_answers(tmp_path, "worst")
    assert [answer.t_s for answer in worst] == [2001, 3000, 2003]
    assert worst[0].answer == "my token is [secret]"
    assert "s3cret" not in (tmp_path / "answers-0.json").read_text()
    sample = read_answers(tmp_path, "sample")
    assert len(sample) == 10
    assert max(answer.t_s for answer in sample) > 100, "the first ten are no fair sample of a thousand"


def test_a_broken_file_of_answers_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "answers-0.json").write_text('{"worst": [{"x": 1}]}')
    (tmp_path / "answers-1.json").write_text("{")
    assert read_answers(tmp_path, "worst") == []


def test_the_page_shows_the_worst_answers_as_text_and_not_as_markup(tmp_path: Path) -> None:
    book = KeptAnswers()
    book.offer(0.25, lambda: kept(1.0, quality=0.25, answer="<script>alert(1)</script> & so on", prompt="<b>bold</b>"))
    book.write(tmp_path, "0", str)
    analysis = run(tmp_path, answers([1.0, 0.25]))
    page = render(analysis)

    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; so on" in page
    assert "<script>alert(1)" not in page
    assert "contains all This" in page
    assert b"alert(1)" in verdict_json(analysis)


def test_quality_over_time_is_drawn_against_the_load(tmp_path: Path) -> None:
    samples = [*answers([1.0, 0.5], 0.25), request(1.5, quality=0.0, defect=Defect.GARBLED, **LLM)]
    found = run(tmp_path, samples, 3)
    curves = {series.key: series.values[:3] for series in found.timeline.quality}
    assert curves == {"quality": [0.75, 0.0, None], "defects": [0.0, 1.0, None], "load": [1.0, 0.5, 0.0]}
