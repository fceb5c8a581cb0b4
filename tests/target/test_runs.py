from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.target.process import RUNS, Target


def create(target: Target, **fields: object) -> dict[str, Any]:
    answer = target.ask("POST", RUNS, {"name": "probe", "template_name": "probe-template", **fields})
    assert answer.status == 201, answer.body
    run: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{RUNS}/{run['id']}"
    return run


def test_a_run_can_be_created_read_changed_and_deleted(target: Target) -> None:
    run = create(target, metrics={"tokens": 12})
    path = f"{RUNS}/{run['id']}"
    assert (run["status"], run["metrics"]["tokens"], run["metrics"]["accuracy"]) == ("pending", 12, None)
    assert target.ask("GET", path).json() == run
    changed = target.ask("PATCH", path, {"status": "completed", "metrics": {"accuracy": 0.75}}).json()
    assert (changed["status"], changed["metrics"]["accuracy"], changed["metrics"]["tokens"]) == (
        "completed",
        0.75,
        12,
    )
    assert changed["updated_at"] > run["updated_at"]
    assert changed["created_at"] == run["created_at"]
    assert target.ask("GET", path).json() == changed
    assert target.ask("DELETE", path).status == 204
    assert [target.ask(method, path).status for method in ("GET", "DELETE")] == [404, 404]
    assert target.ask("PATCH", path, {"status": "failed"}).status == 404


def test_the_list_is_newest_first_paged_and_filtered(target: Target) -> None:
    runs = [create(target, template_name="paged", status=status) for status in ("failed", "pending", "failed")]
    page = target.ask("GET", f"{RUNS}?template=paged&limit=2").json()
    assert [item["id"] for item in page["items"]] == [runs[2]["id"], runs[1]["id"]]
    assert (page["total"], page["page"], page["limit"], page["pages"]) == (3, 1, 2, 2)
    second = target.ask("GET", f"{RUNS}?template=paged&limit=2&page=2").json()
    assert [item["id"] for item in second["items"]] == [runs[0]["id"]]
    failed = target.ask("GET", f"{RUNS}?template=paged&status=failed").json()
    assert {item["id"] for item in failed["items"]} == {runs[0]["id"], runs[2]["id"]}
    assert target.ask("GET", f"{RUNS}?template=nothing").json()["items"] == []


def test_search_finds_parts_of_names_whatever_the_case_and_takes_signs_literally(target: Target) -> None:
    wanted = create(target, name="Quarterly 100% review")
    create(target, name="Quarterly 1000 review")
    found = target.ask("GET", f"{RUNS}/search?q=QUARTERLY%20100%25").json()
    assert [item["id"] for item in found["items"]] == [wanted["id"]]
    assert len(target.ask("GET", f"{RUNS}/search?q=a&limit=3").json()["items"]) == 3


def test_two_runs_are_compared_by_metric_and_exported(target: Target) -> None:
    a = create(target, metrics={"accuracy": 0.5, "tokens": 100})["id"]
    b = create(target, metrics={"accuracy": 0.75, "latency_ms": 9})["id"]
    compared = target.ask("POST", f"{RUNS}/compare", {"run_ids": [a, b]}).json()
    assert compared["metrics"]["accuracy"] == {"a": 0.5, "b": 0.75, "difference": 0.25, "relative": 0.5}
    assert compared["metrics"]["tokens"]["difference"] is None
    assert (compared["runs"]["a"]["id"], compared["runs"]["b"]["id"]) == (a, b)
    path = f"{RUNS}/compare/export?run_ids={a},{b}"
    assert target.ask("GET", f"{path}&format=json").json() == compared
    table = target.ask("GET", f"{path}&format=csv")
    assert table.headers["content-type"].startswith("text/csv")
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(table.body.decode()))}
    assert rows["accuracy"]["difference"] == "0.25"
    assert rows["latency_ms"]["a"] == ""
    assert target.ask("POST", f"{RUNS}/compare", {"run_ids": [a, 999_999]}).status == 404


def test_aggregates_agree_with_the_list(target: Target) -> None:
    stats = target.ask("GET", f"{RUNS}/stats").json()
    listed = target.ask("GET", f"{RUNS}?limit=1").json()["total"]
    assert stats["total"] == listed == sum(entry["runs"] for entry in stats["by_status"].values())
    completed = stats["by_status"]["completed"]
    assert 0 < completed["mean_accuracy"] < 1
    assert completed["total_tokens"] > 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", RUNS, {"name": "no template"}),
        ("POST", RUNS, {"name": "x", "template_name": "t", "status": "sleeping"}),
        ("POST", RUNS, {"name": "x", "template_name": "t", "colour": "red"}),
        ("POST", RUNS, {"name": "x", "template_name": "t", "metrics": {"accuracy": 2}}),
        ("POST", RUNS, b"{"),
        ("PATCH", f"{RUNS}/1", {}),
        ("GET", f"{RUNS}/abc", None),
        ("GET", f"{RUNS}?limit=1000", None),
        ("GET", f"{RUNS}?page=0", None),
        ("GET", f"{RUNS}?status=sleeping", None),
        ("GET", f"{RUNS}/search", None),
        ("POST", f"{RUNS}/compare", {"run_ids": [1]}),
        ("POST", f"{RUNS}/compare", {"run_ids": [1, 1]}),
        ("GET", f"{RUNS}/compare/export?run_ids=1,2&format=pdf", None),
        ("GET", f"{RUNS}/compare/export?run_ids=1", None),
    ],
)
def test_what_does_not_fit_gets_422_with_a_json_body(target: Target, method: str, path: str, body: object) -> None:
    answer = target.ask(method, path, body)
    assert answer.status == 422
    assert answer.json()["detail"]


def test_unknown_paths_and_methods_are_answered_in_json(target: Target) -> None:
    assert target.ask("GET", "/nowhere").status == 404
    assert target.ask("PUT", RUNS, {}).status == 405
    assert target.ask("GET", "/v1/nowhere").json()["error"]["code"] == "http_error"
