"""What load does to answers is seen: canaries drift, defects are named, the worst are kept and shown."""

import json

import pytest

from tests.execution.harness import Finished, certify, plan_file

PHASES = [{"name": name, "rate": 20, "duration": "4s"} for name in ("clean", "looping", "garbled", "empty")]
FAULTS = [
    {"kind": kind, "at": f"{start}s", "duration": "4s", "params": {"rate": 0.5}}
    for kind, start in (("loop", 4), ("garble", 8), ("empty", 12))
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    mix = {"ChatUser": {"max_tokens": 48, "canaries": 0.5}}
    criteria = [
        {"id": "alike", "phase": "clean", "metric": "consistency_score", "above": 0.99},
        {"id": "alike when garbled", "phase": "garbled", "metric": "consistency_score", "above": 0.85},
        {"id": "no loops", "phase": "looping", "metric": "looping_rate", "at_most": 0.01},
        {"id": "no defects", "phase": "clean", "metric": "defect_rate", "at_most": 0},
    ]
    folder = tmp_path_factory.mktemp("answers")
    return certify(plan_file(folder, mix=mix, phases=PHASES, faults=FAULTS, criteria=criteria))


def value(run: Finished, phase: str, metric: str) -> float:
    phases = {found["name"]: found["metrics"] for found in run.verdict["phases"]}
    return float(phases[phase][metric]["value"])


def test_answers_that_stay_the_same_are_consistent_and_those_that_do_not_are_not(run: Finished) -> None:
    assert run.states() == {
        "alike": "pass", "alike when garbled": "fail", "no loops": "fail", "no defects": "pass",
    }  # fmt: skip
    assert any(found.name == "canaries answered" and found.held for found in run.record.preconditions)
    assert {row["name"] for row in run.iterations} == {"canary", "chat (stream)"}
    assert all(row["similarity"] is not None for row in run.iterations if row["name"] == "canary")


@pytest.mark.parametrize(
    ("phase", "own", "others"),
    [
        ("looping", "looping_rate", ("garbled_rate", "empty_rate", "truncated_rate")),
        ("garbled", "garbled_rate", ("looping_rate", "empty_rate", "truncated_rate")),
        ("empty", "empty_rate", ("looping_rate", "garbled_rate", "truncated_rate")),
    ],
)
def test_each_defect_has_its_name_and_no_other(run: Finished, phase: str, own: str, others: tuple[str, ...]) -> None:
    # Half of the answers are hit; of those the ones long enough to tell are named.
    assert value(run, phase, own) > 0.2
    assert [value(run, phase, other) for other in others] == pytest.approx([0, 0, 0], abs=0.05)


def test_the_worst_answers_are_kept_and_shown_beside_what_was_expected(run: Finished) -> None:
    kept = json.loads((run.folder / "answers-0.json").read_text(encoding="utf-8"))
    assert len(kept["worst"]) == 20
    assert {answer["defect"] for answer in kept["worst"]} & {"looping", "garbled"}
    page = (run.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "The worst of the answers that were kept" in page
    assert kept["worst"][0]["prompt"] in page.replace("&#39;", "'").replace("&#34;", '"')
