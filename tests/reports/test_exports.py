"""The files beside the page parse back, say the same as it does, and survive hostile texts."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt

from plans.metrics import METRICS
from reports.analysis import Analysis, Measured, State, Verdict
from reports.console import print_verdict
from reports.exports import CSV_COLUMNS, metrics_csv, verdict_json
from reports.junit import junit_xml
from reports.markdown import safe, summary_md
from reports.publish import FORMS
from reports.render import render
from tests.reports.analyses import analysis, empty
from tests.reports.test_render import HOSTILE, Page, hostile

ALL = [analysis(verdict) for verdict in Verdict] + [empty()]
IDS = [*Verdict, "empty"]


def parsed(made: Analysis) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(verdict_json(made))
    return document


def rows(made: Analysis) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(metrics_csv(made).decode())))


def markdown(made: Analysis) -> str:
    """Return the summary as GitHub shows it."""
    html: str = MarkdownIt("commonmark", {"html": True}).enable("table").render(summary_md(made).decode())
    return html


@pytest.mark.parametrize("made", ALL, ids=IDS)
def test_verdict_json_parses_back(made: Analysis) -> None:
    document = parsed(made)
    assert document["schema_version"] == 1
    assert document["verdict"] == made.verdict.value
    assert document["exit_code"] == made.verdict.exit_code
    assert document["reasons"] == made.reasons
    assert [c["state"] for c in document["criteria"]] == [c.state.value for c in made.criteria]
    assert [p["accounting"]["lost"] for p in document["phases"]] == [p.accounting.lost for p in made.phases]
    assert document["run"]["seed"] == made.run.seed
    assert document["run"]["plan"]["traceability"]["requirement"] == "REQ-PERF-004"
    assert "timeline" not in document


def test_a_criterion_in_json_has_everything_that_was_judged() -> None:
    (_, late, *_) = parsed(analysis(Verdict.FAIL))["criteria"]
    assert late == {
        "id": "PERF-1",
        "phase": "sustained",
        "scenario": None,
        "name": None,
        "metric": "latency_p95_ms",
        "unit": "ms",
        "operator": "<",
        "limit": 600.0,
        "severity": "fail",
        "state": "fail",
        "measured": {
            "value": 912.4, "samples": 90_000, "why": None, "unbounded": False, "interval": [884.0, 951.0],
            "lower_bound": None,
        },
        "margin": -0.52,
        "close": False,
        "reason": "p95 of latency",
        "shown": {"where": "in sustained", "limit": "< 600 ms", "measured": "912 ms"},
    }  # fmt: skip


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_json_has_null_where_it_has_no_number(bad: float) -> None:
    base = analysis()
    metrics = base.total.metrics | {"latency_max_ms": Measured(bad, 3)}
    made = replace(base, total=replace(base.total, metrics=metrics), length_s=bad)
    assert parsed(made)["total"]["metrics"]["latency_max_ms"]["value"] is None
    (row,) = [r for r in rows(made) if r["scope"] == "run" and r["metric"] == "latency_max_ms"]
    assert row["value"] == ""


def test_json_keeps_hostile_text_as_it_was() -> None:
    made = hostile(analysis(Verdict.FAIL))
    content = verdict_json(made)
    content.decode("utf-8")
    assert json.loads(content)["errors"][0]["text"] == HOSTILE
    assert json.loads(content)["errors"][0]["example"] == HOSTILE * 50


def test_csv_has_one_row_per_figure() -> None:
    made = analysis()
    found = rows(made)
    assert tuple(found[0]) == CSV_COLUMNS
    keys = [(row["scope"], row["name"], row["metric"]) for row in found]
    assert len(keys) == len(set(keys))
    assert {row["scope"] for row in found} == {"run", "phase", "scenario", "request"}
    for phase in made.phases:
        values = {r["metric"]: r for r in found if r["scope"] == "phase" and r["name"] == phase.name}
        assert values.keys() >= METRICS.keys()
        outcomes = sum(int(r["value"]) for name, r in values.items() if name.startswith("outcome_"))
        assert outcomes == phase.accounting.scheduled
        for name, measured in phase.metrics.items():
            assert values[name]["unit"] in {METRICS[name].unit, "factor"}
            if measured.value is None:
                assert values[name]["value"] == ""
                assert values[name]["why"]
            elif not isinstance(measured.value, bool):
                assert float(values[name]["value"]) == measured.value


@pytest.mark.parametrize("made", [*ALL, hostile(ALL[1])], ids=[*IDS, "hostile"])
def test_junit_has_the_usual_form(made: Analysis) -> None:
    root = ET.fromstring(junit_xml(made))
    assert root.tag == "testsuites"
    cases = list(root.iter("testcase"))
    for suite in [root, *root]:
        inner = list(suite.iter("testcase"))
        assert int(suite.get("tests", "")) == len(inner)
        assert int(suite.get("failures", "")) == sum(c.find("failure") is not None for c in inner)
        assert int(suite.get("errors", "")) == sum(c.find("error") is not None for c in inner)
        assert re.fullmatch(r"\d+\.\d{3}", suite.get("time", ""))
    for suite in root:
        assert [child.tag for child in suite] == ["properties"] + ["testcase"] * (len(suite) - 1)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        assert {"name", "hostname", "skipped"} <= suite.attrib.keys()
    assert all({"name", "classname", "time"} == case.attrib.keys() for case in cases)
    assert {child.tag for case in cases for child in case} <= {"failure", "error", "system-out"}
    assert len({(c.get("classname"), c.get("name")) for c in cases}) == len(cases)
    assert sum(child.tag in {"failure", "error"} for c in cases for child in c) > 0 or made.verdict is Verdict.PASS


def test_junit_tells_failures_from_what_could_not_be_told() -> None:
    failed = ET.fromstring(junit_xml(analysis(Verdict.FAIL)))
    assert [f.get("message") for f in failed.iter("failure")] == ["p95 of latency", "time to first token"]
    assert list(failed.iter("error")) == []
    invalid = ET.fromstring(junit_xml(analysis(Verdict.INVALID)))
    assert [e.get("type") for e in invalid.iter("error")] == ["no_data", "invalid", "invalid"]
    warnings = [out.text for out in failed.iter("system-out") if out.text and out.text.startswith("WARNING")]
    assert len(warnings) == 1


def test_junit_is_never_green_when_the_verdict_is_not_pass() -> None:
    held = analysis()
    made = replace(held, verdict=Verdict.INVALID, reasons=["a worker was lost"], health=[], criteria=[])
    (error,) = ET.fromstring(junit_xml(made)).iter("error")
    assert error.text == "a worker was lost"


def test_the_name_of_a_junit_case_does_not_depend_on_what_was_measured() -> None:
    names = [
        [case.get("name") for case in ET.fromstring(junit_xml(analysis(v))).iter("testcase")]
        for v in (Verdict.PASS, Verdict.FAIL)
    ]
    assert names[0] == names[1]


def test_the_summary_has_verdict_criteria_and_phases() -> None:
    html = markdown(analysis(Verdict.FAIL))
    assert "FAIL" in html.splitlines()[0]
    assert html.count("<table>") == 3
    text = Page(html).text
    assert "latency_p95_ms 912 ms < 600 ms -52.0 % 90,000 PERF-1" in text
    assert "sustained 50 RPS 90,000" in text


@pytest.mark.parametrize("made", [*ALL, hostile(ALL[1])], ids=[*IDS, "hostile"])
def test_the_rows_of_a_summary_have_as_many_cells_as_their_head(made: Analysis) -> None:
    lines = summary_md(made).decode().splitlines()
    table: list[int] = []
    for line in lines:
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not table or not cells or cells == table[-1]
        table = [*table, cells] if cells else []


@pytest.mark.parametrize(
    "text",
    ["a|b\nc", "# head", "- item", "1. item", "*bold*", "`code`", "[a](javascript:alert(1))", "<b>x</b>", "_x_",
     "https://evil.example/", "![x](http://e/)", "~~gone~~", "$x$", "&lt;", "> quote", "a\\|b", "===", "| a | b |"],
)  # fmt: skip
def test_markdown_shows_text_from_outside_as_text(text: str) -> None:
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(safe(text))
    page = Page(html)
    assert [name for name, _ in page.elements] == ["p"]
    assert page.text.replace("\u2060", "") == " ".join(text.split())


def test_hostile_text_does_not_break_the_summary() -> None:
    page = Page(markdown(hostile(analysis(Verdict.FAIL))))
    assert {name for name, _ in page.elements}.isdisjoint({"script", "img", "a"})
    assert page.open == []


def test_every_form_shows_the_same_value_of_a_changed_figure() -> None:
    base = analysis(Verdict.FAIL)
    changed = replace(base.criteria[1], measured=replace(base.criteria[1].measured, value=777.7))
    metrics = base.phases[2].metrics | {"latency_p95_ms": Measured(777.7, 90_000)}
    phases = [*base.phases[:2], replace(base.phases[2], metrics=metrics)]
    made = replace(base, criteria=[changed], phases=phases)
    terminal = io.StringIO()
    print_verdict(made, terminal)
    shown = {
        "page": Page(render(made)).text,
        "summary": Page(markdown(made)).text,
        "junit": junit_xml(made).decode(),
        "terminal": terminal.getvalue(),
    }
    for form, text in shown.items():
        assert "778 ms" in text, form
        assert "912 ms" not in text.replace(base.reasons[0], "").replace("is 912 ms", ""), form
    assert parsed(made)["criteria"][0]["measured"]["value"] == 777.7
    assert parsed(made)["phases"][2]["metrics"]["latency_p95_ms"]["value"] == 777.7
    (row,) = [r for r in rows(made) if (r["name"], r["metric"]) == ("sustained", "latency_p95_ms")]
    assert float(row["value"]) == 777.7


def test_no_form_shows_a_missing_value_as_0() -> None:
    base = analysis()
    gone = replace(base.criteria[0], measured=Measured(None, 0, "nobody answered"), state=State.NO_DATA, margin=None)
    made = replace(base, criteria=[gone])
    assert parsed(made)["criteria"][0]["measured"]["value"] is None
    assert "measured –" in junit_xml(made).decode()
    assert "– nobody answered" in Page(markdown(made)).text
    assert "nobody answered" in Page(render(made)).text


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("made", [*ALL, hostile(ALL[1])], ids=[*IDS, "hostile"])
def test_every_form_of_every_run_is_utf8_without_control_characters(make: Any, made: Analysis) -> None:
    text = make(made).decode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("made", [*ALL, hostile(ALL[1])], ids=[*IDS, "hostile"])
def test_every_verdict_json_is_of_its_schema(made: Analysis) -> None:
    jsonschema.validate(parsed(made), SCHEMA)


def test_a_verdict_json_of_another_shape_is_not_of_the_schema() -> None:
    good = parsed(ALL[0])
    for bad in (good | {"verdict": "FINE"}, good | {"extra": 1}, {k: v for k, v in good.items() if k != "total"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, SCHEMA)
