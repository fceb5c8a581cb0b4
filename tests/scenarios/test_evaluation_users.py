"""Users of the evaluation API: a fast wrong answer fails, later requests build on earlier answers, nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from scipy import stats

from plans.mix import Operations
from tests.clients.servers import ROOT
from tests.scenarios.platform import Lie, Platform
from tests.scenarios.streams import Load

KINDS = tuple(Operations.model_fields)


@pytest.fixture
def platform() -> Iterator[Platform]:
    running = Platform()
    yield running
    running.stop()


def only(*names: str) -> dict[str, float]:
    return {name: float(name in names) for name in KINDS}


def changed(**fields: Any) -> Lie:
    return lambda operation, answer: answer | fields


OTHER_RUN = {"id": 7, "name": "x", "status": "failed", "template_name": "x", "model_name": "x", "metrics": {}}
LIES: dict[str, tuple[str, Lie, str]] = {
    "an id of another run": ("details", changed(id=99), "the run's id is not what was written"),
    "a run without metrics": ("details", changed(metrics=None), "a run's metrics is missing or of a wrong type"),
    "an unknown status": ("details", changed(status="great"), "a run has a status that there is not"),
    "a list instead of a run": ("details", lambda _, answer: [answer], "the answer must be an object, got list"),
    "a page": ("details", lambda _, answer: "<html>", "the answer is not JSON"),
    "another description": ("create", changed(description="x"), "the run's description is not what was written"),
    "rounded figures": ("create", changed(metrics={}), "the run's metrics is not what was written"),
    "no items": ("list", lambda _, answer: {"runs": answer["items"]}, "the answer has no list of items"),
    "a run twice": ("list", lambda _, answer: {"items": answer["items"][:1] * 2}, "the list has a run twice"),
    "too many": (
        "list",
        lambda _, answer: {"items": [answer["items"][0] | {"id": n} for n in range(21)]},
        "the list has 21 items where 20 were asked for",
    ),
    "found without the text": (
        "search",
        lambda _, answer: {"items": [OTHER_RUN]},
        "the search found a run without the text",
    ),
    "swapped runs": (
        "compare",
        lambda _, answer: answer | {"runs": {"a": answer["runs"]["b"], "b": answer["runs"]["a"]}},
        "the comparison is about other runs",
    ),
    "no comparison": ("compare", changed(metrics={}), "the comparison has no metrics"),
    "a page instead of CSV": ("export", lambda _, answer: "<html>\n</html>", "the export is not CSV"),
    "a header alone": ("export", lambda _, answer: "metric,a,b\n", "the export is not CSV"),
    "an update not confirmed": ("update", changed(status="pending"), "the run's status is not what was written"),
}


@pytest.mark.parametrize(("operation", "lie", "error"), LIES.values(), ids=LIES.keys())
def test_a_wrong_answer_is_a_failure_however_fast(
    load: Load, platform: Platform, operation: str, lie: Lie, error: str
) -> None:
    told = load(platform.url, "EvaluationRunUser", 2, operations=only(operation))
    assert {sample["outcome"] for sample in told["samples"]} == {"ok"}, told["samples"]

    platform.lie = lambda kind, answer: lie(kind, answer) if kind == operation else answer
    told = load(platform.url, "EvaluationRunUser", 2, operations=only(operation))
    wrong = [sample for sample in told["samples"] if sample["iteration"]]
    assert {(sample["name"], sample["outcome"]) for sample in wrong} == {(operation, "bad_content")}
    assert all(error in sample["error"] for sample in wrong), wrong


def test_an_update_is_read_back_and_one_that_was_not_kept_fails(load: Load, platform: Platform) -> None:
    told = load(platform.url, "EvaluationRunUser", 3, operations=only("update"))
    names = Counter(sample["name"] for sample in told["samples"])
    assert names == {"update": 3, "update (read back)": 3, "create (to update)": 1}
    assert {sample["outcome"] for sample in told["samples"]} == {"ok"}
    assert [sample["name"] for sample in told["samples"] if sample["iteration"]] == ["update"] * 3

    platform.keeps = False
    told = load(platform.url, "EvaluationRunUser", 3, operations=only("update"))
    updates = [sample for sample in told["samples"] if sample["iteration"]]
    assert {sample["outcome"] for sample in updates} == {"bad_content"}
    assert all("read back after the update" in sample["error"] for sample in updates)
    backs = {sample["sent_s"]: sample for sample in told["samples"] if sample["name"] == "update (read back)"}
    # The time of the update is its own, without the reading back.
    assert all(any(update["done_s"] <= sent for sent in backs) for update in updates)


def test_what_was_created_is_removed_and_what_was_there_stays(load: Load, platform: Platform) -> None:
    before = set(platform.runs)
    told = load(platform.url, "HighVolumeUser", 40)
    made = [sample for sample in told["samples"] if sample["name"] == "create"]
    assert len(made) > 20
    assert told["notes"] == []
    assert set(platform.runs) == before
    assert [operation for operation, _ in platform.seen].count("delete") == len(made)


def test_only_runs_of_the_load_are_changed(load: Load, platform: Platform) -> None:
    before = json.dumps(platform.runs)
    load(platform.url, "EvaluationRunUser", 10, operations=only("update"))
    assert json.dumps(platform.runs) == before


def test_what_could_not_be_removed_is_said(load: Load, platform: Platform) -> None:
    answer_one = platform._answer_one
    platform._answer_one = lambda method, *more: (  # type: ignore[method-assign]
        ("denied", 403, "") if method == "DELETE" else answer_one(method, *more)
    )
    told = load(platform.url, "EvaluationRunUser", 3, operations=only("create"))
    assert told["notes"] == ["EvaluationRunUser: 3 runs that the load created could not be removed"]
    assert len(platform.runs) == 8


def test_clean_up_ends_in_time_with_a_server_that_hangs(load: Load, platform: Platform) -> None:
    answer_one, over = platform._answer_one, threading.Event()

    def hang(method: str, number: int, body: object) -> tuple[str, int, object]:
        if method == "DELETE":
            over.wait(20)
        return answer_one(method, number, body)

    platform._answer_one = hang  # type: ignore[method-assign]
    began = time.monotonic()
    told = load(platform.url, "EvaluationRunUser", 3, operations=only("create"), clean_within=0.5)
    assert time.monotonic() - began < 10
    over.set()
    assert told["notes"] == ["EvaluationRunUser: 3 runs that the load created could not be removed"]


def test_creations_without_an_answer_are_said(load: Load, platform: Platform) -> None:
    platform.lie = lambda operation, answer: "" if operation == "create" else answer
    told = load(platform.url, "EvaluationRunUser", 2, operations=only("create"))
    assert told["notes"] == ["EvaluationRunUser: 2 creations had no usable answer, and may have left a run each"]


def test_runs_stay_where_the_plan_says_so(load: Load, platform: Platform) -> None:
    told = load(platform.url, "EvaluationRunUser", 3, operations=only("create"), clean=False)
    assert (len(platform.runs), told["notes"]) == (8, [])


def test_a_read_only_user_writes_nothing(load: Load, platform: Platform) -> None:
    load(platform.url, "ReadOnlyUser", 60)
    seen = Counter(operation for operation, _ in platform.seen)
    assert set(seen) == {"list", "details", "search", "compare", "export"}


@pytest.mark.parametrize("user", ["EvaluationRunUser", "HighVolumeUser", "ReadOnlyUser"])
def test_the_operations_of_20000_arrivals_have_their_proportions_whatever_their_latencies(user: str) -> None:
    command = [sys.executable, "-m", "tests.scenarios.mix_process", user, "20000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=True)
    told = json.loads(done.stdout)
    expected = {name: weight * 20000 for name, weight in told["weights"].items() if weight}
    for counts in told["counts"]:
        assert set(counts) == set(expected)
        assert stats.chisquare([counts[name] for name in expected], list(expected.values())).pvalue > 0.001
    if user == "EvaluationRunUser":
        shares = {"list": 0.3, "create": 0.2, "details": 0.15, "search": 0.12, "compare": 0.1, "update": 0.08}
        assert told["weights"] == shares | {"export": 0.05}
