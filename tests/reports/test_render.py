"""The page holds everything, says what the analysis says, and lets no text from outside act."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from plans.metrics import METRICS
from reports import figures
from reports.analysis import Analysis, Measured, State, Verdict
from reports.charts import charts
from reports.render import SCRIPTS, plan_yaml, render
from tests.reports.analyses import analysis, empty, errors

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "line"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&amp;\x00\x1b[31m\ud800\u202eevil"


class Page(HTMLParser):
    """Reads a page as a browser would: its elements, its texts and what stands in its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        if tag != self.open[-1] and self.open[-1] == "li":
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        where = self.open[-1] if self.open else ""
        (self.scripts if where == "script" else self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(name))]


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def hostile(base: Analysis) -> Analysis:
    group = replace(errors()[0], text=HOSTILE, example=HOSTILE * 50, name=HOSTILE, scenario=HOSTILE)
    return replace(
        base,
        errors=[group],
        reasons=[HOSTILE],
        notes=[HOSTILE],
        events=[replace(base.events[2], text=HOSTILE, worker=HOSTILE)],
        requests=[replace(base.requests[0], name=HOSTILE, scenario=HOSTILE)],
        health=[replace(base.health[0], passed=False, advice=HOSTILE, measured=HOSTILE)],
        criteria=[replace(base.criteria[0], measured=Measured(None, 0, HOSTILE), state=State.NO_DATA, reason=HOSTILE)],
        run=base.run.model_copy(update={"command": ["certify.py", HOSTILE], "versions": {"x": HOSTILE}}),
    )


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_answer_stands_first_in_words_and_not_in_colour_alone(verdict: Verdict) -> None:
    made = analysis(verdict)
    page = Page(render(made))
    assert page.open == []
    start = page.text.index("Skip to the verdict")
    word = page.text.index(verdict.value, start)
    for reason in made.reasons:
        assert word < page.text.index(reason) < page.text.index("Criteria Every limit")
    assert page.text.index("Load and latency over time") < page.text.index("Scenarios and requests")


def test_nothing_is_fetched_and_only_its_own_scripts_may_run() -> None:
    text = render(analysis())
    page = Page(text)
    assert page.attributes("src") == []
    assert not [name for name, _ in page.elements if name in {"link", "iframe", "img", "object", "embed", "form"}]
    assert "@import" not in text
    assert "url(" not in text.split("</style>")[0]
    local = {"verdict.json", "metrics.csv", "junit.xml", "summary.md"}
    assert all(link.startswith("#") or link in local for link in page.attributes("href"))
    (policy,) = [
        found["content"] for name, found in page.elements if found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_links_inside_the_page_lead_somewhere() -> None:
    page = Page(render(analysis()))
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.attributes("href") if link.startswith("#")} <= set(ids)


def test_hostile_text_is_shown_and_does_not_act() -> None:
    text = render(hostile(analysis(Verdict.FAIL)))
    page = Page(text)
    assert page.open == []
    assert len([1 for name, _ in page.elements if name == "script"]) == 1 + 1 + len(SCRIPTS)
    assert "img" not in {name for name, _ in page.elements}
    assert "alert(1)" in page.text
    assert "␀" in page.text
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202e\ud800]", text)
    text.encode("utf-8")
    assert all("onerror" not in found for _, found in page.elements)
    assert data_of(text)["head"]["events"][0]["text"].startswith("</script>")


def test_a_hostile_legend_cannot_end_the_data() -> None:
    base = analysis()
    line = replace(base.timeline.load[0], key="</script><b>", label="</script><b>")
    made = replace(base, timeline=replace(base.timeline, load=[line]))
    assert data_of(render(made))["charts"][0]["series"][0]["label"] == "</script><b>"


def test_very_long_texts_are_cut_and_the_page_stays_small() -> None:
    base = analysis()
    made = replace(base, errors=[replace(errors()[0], text="x" * 10_000_000, example="y" * 10_000_000)])
    text = render(made)
    assert len(text) < 1_000_000
    assert "more characters" in text


def test_a_missing_value_is_a_dash_with_its_reason_and_never_0() -> None:
    base = analysis()
    metrics = base.phases[0].metrics | {"latency_p95_ms": Measured(None, 0, "nothing answered in time")}
    made = replace(base, phases=[replace(base.phases[0], metrics=metrics)])
    page = Page(render(made))
    assert "nothing answered in time" in page.attributes("title")
    assert figures.MISSING in page.text


def test_a_value_beyond_all_that_was_measured_is_not_called_missing() -> None:
    base = analysis(Verdict.FAIL)
    beyond = replace(
        base.criteria[0],
        measured=Measured(None, 9, "the percentile falls among the failures", unbounded=True),
        state=State.FAIL,
        margin=None,
    )
    page = Page(render(replace(base, criteria=[beyond])))
    assert f"{figures.UNBOUNDED} < 2.00 s" in page.text


def test_the_accounting_identity_can_be_read() -> None:
    made = analysis(Verdict.INVALID)
    page = Page(render(made))
    assert "90,000 = 89,888 ok + 100 http_error + 12 lost" in page.attributes("title")
    assert "lost" in page.text


def test_every_field_of_the_test_case_is_on_the_page() -> None:
    made = analysis()
    page = Page(render(made))
    plan = made.run.plan
    for text in (plan.id, plan.title, plan.category, plan.priority, plan.type, plan.component, plan.objective):
        assert str(text) in page.text
    trace = plan.traceability
    for text in (trace.requirement, trace.user_story, trace.architecture, trace.task, *plan.success_criteria):
        assert str(text) in page.text
    for text in (*plan.preconditions, str(plan.environment), str(made.run.seed), made.run.plan_file):
        assert text in page.text
    assert "certify.py plans/mixtral/load.yaml --seed 20261120 --note 'before the release'" in page.text
    assert "duration: 1800.0" in page.text


def test_the_glossary_has_every_metric_with_its_formula() -> None:
    page = Page(render(analysis()))
    for metric in METRICS.values():
        assert metric.formula in page.text
        assert f"m-{metric.name}" in page.attributes("id")


def test_tables_have_captions_and_heads_with_a_scope() -> None:
    page = Page(render(analysis(Verdict.FAIL)))
    names = [name for name, _ in page.elements]
    assert names.count("table") == names.count("caption") > 8
    assert all(found.get("scope") for name, found in page.elements if name == "th")
    assert names.count("h1") == 1


def test_a_rehearsal_and_an_interruption_cannot_be_overlooked() -> None:
    page = Page(render(analysis(Verdict.INVALID)))
    assert "rehearsal time scale 0.02: no certificate" in page.text
    assert "ending interrupted" in page.text
    assert "rehearsal" not in Page(render(analysis())).text


def test_an_empty_analysis_is_a_page_too() -> None:
    text = render(empty())
    page = Page(text)
    assert page.open == []
    assert "Nothing was measured." in page.text
    assert "Nothing was measured over time." in page.text
    assert data_of(text)["charts"] == []


def test_charts_share_units_and_leave_out_what_is_empty() -> None:
    made = analysis()
    found = {(chart.group, chart.unit): [s.key for s in chart.series] for chart in charts(made)}
    assert found["ttft", "ms"] == ["ttft_due_p95"]
    assert found["icl", "ms"] == ["icl_p95"]
    assert found["llm", "tokens/s"] == ["output_tokens_per_s"]
    assert found["websocket", "rps"] == ["messages"]
    order = [group for group, _ in found]
    assert order.index("target") < order.index("host") < order.index("generator")
    quiet = replace(made, timeline=replace(made.timeline, failures=[], websocket=[]))
    assert {"failures", "websocket"}.isdisjoint({chart.group for chart in charts(quiet)})


def test_the_data_keeps_gaps_and_values_finer_than_a_screen() -> None:
    base = analysis()
    line = replace(base.timeline.latency[0], values=[None, float("nan"), float("inf"), 1234.5678, 3_412_345_678.0])
    made = replace(base, timeline=replace(base.timeline, points=5, latency=[line]))
    (chart,) = [c for c in data_of(render(made))["charts"] if c["id"] == "chart-latency-ms"]
    assert chart["series"][0]["values"] == [None, None, None, 1235.0, 3412000000.0]


def test_limits_are_drawn_in_their_phase() -> None:
    (chart,) = [c for c in data_of(render(analysis(Verdict.FAIL)))["charts"] if c["id"] == "chart-latency-ms"]
    assert [(limit["label"], limit["broken"]) for limit in chart["limits"]] == [
        ("mean < 2.00 s", False),
        ("p95 < 600 ms", True),
    ]
    assert (chart["limits"][0]["start"], chart["limits"][0]["end"]) == (900.0, 2700.0)


def test_four_hours_in_seconds_stay_under_three_megabytes() -> None:
    assert len(render(analysis(points=14_400)).encode()) < 3_000_000


def test_the_licence_of_the_charts_is_kept() -> None:
    text = html.unescape(render(analysis()))
    assert "uPlot 1.6.32, © 2022 Leon Sorokin, MIT License" in text


def test_the_plan_stands_in_the_page_to_its_last_line() -> None:
    text = plan_yaml(analysis().run)
    assert len(text) > 2000
    assert html.escape(text.rstrip(), quote=True) in render(analysis()).replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
