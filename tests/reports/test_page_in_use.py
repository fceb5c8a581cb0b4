"""The report in a real browser, in use: filters, heat map, formulas, paper, a screen reader's view, and odd runs."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from plans.run import Ending
from reports.analysis import Analysis, Verdict
from reports.render import render
from samples.sample import Outcome
from tests.reports.analyses import analysis
from tests.reports.browser import BINARY, MISSING, Browser
from tests.reports.builder import RunBuilder, failed, request, steady
from tests.reports.test_render import hostile

pytestmark = pytest.mark.skipif(BINARY is None, reason=MISSING)

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
SERIOUS = """
axe.run(document, {resultTypes: ['violations']}).then(found => found.violations
  .filter(v => ['serious', 'critical'].includes(v.impact))
  .map(v => [v.id, v.help, v.nodes.length, v.nodes[0].html.slice(0, 200)]))
"""
CHOOSE = """
((id, value) => {
  const field = document.getElementById('filter-' + id);
  field.value = value;
  field.dispatchEvent(new Event('change'));
  return [field.value, [...field.options].map(o => o.value)];
})
"""
PAPER_WIDTH = 1032
"""CSS pixels between the margins of an A4 page on its side."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Return the analysis of a run of two scenarios, one of which fails now and then."""
    samples = [
        failed(i / 10, Outcome.HTTP_ERROR, "HTTP 500: broke", status=500, scenario="Broken", name="b")
        if i % 30 == 9
        else request(i / 10, 0.4 if i % 3 == 0 else 0.02, scenario=("Broken", "Fine", "Fine")[i % 3], name="bac"[i % 3])
        for i in range(600)
    ]
    builder = RunBuilder(phases=[{"name": n, "rate": 10, "duration": "30s"} for n in ("first", "second")])
    builder.samples([s for s in samples if s.due_s < 30])
    for sample in (late := [s for s in samples if s.due_s >= 30]):
        sample.phase = "second"
    for sample in samples:
        sample.phase = sample.phase if sample.phase == "second" else "first"
    criteria = [{"metric": "success_rate", "at_least": 0.9}]
    builder.plan = builder.plan.model_copy(update={"criteria": RunBuilder(criteria=criteria).plan.criteria})
    return builder.samples(late).analyze(tmp_path_factory.mktemp("real") / "run")


def shown(browser: Browser, folder: Path, made: Analysis, **screen: Any) -> None:
    page = folder / "report.html"
    page.write_text(render(made), encoding="utf-8", errors="replace")
    browser.screen(**({"width": 1440, "height": 1000} | screen))
    browser.open(page)


def test_axe_finds_nothing_serious(browser: Browser, tmp_path: Path, real: Analysis) -> None:
    for made, theme, width in ((real, "light", 1440), (hostile(analysis(Verdict.FAIL)), "dark", 360)):
        shown(browser, tmp_path, made, theme=theme, width=width)
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        browser.run(f"(() => {{ {AXE}; return 1 }})()")
        assert browser.run(SERIOUS) == [], (made.verdict, theme)


def test_a_filter_shows_the_exact_figures_of_its_part_everywhere(
    browser: Browser, tmp_path: Path, real: Analysis
) -> None:
    shown(browser, tmp_path, real)
    rows = "[...document.querySelectorAll('#by-request tbody tr')].filter(r => !r.hidden).length"
    whole, every = browser.run("charts.plots().map(u => u.data[1].length)"), browser.run(rows)
    assert browser.run(f"{CHOOSE}('scenario', 'Fine')")[0] == "Fine"
    assert browser.run(f"{CHOOSE}('name', 'c')") == ["c", ["", "a", "c"]], "only what there is can be chosen"
    chosen = next(s for s in real.selections if (s.scenario, s.name, s.outcome) == ("Fine", "c", None))
    places = browser.run("[charts.ids().indexOf('chart-latency-ms'), charts.ids().indexOf('chart-load-rps')]")
    assert places == [1, 0]
    curves = {series.key: series.values for series in chosen.curves}
    drawn = browser.run("charts.plots()[1].data[2]")
    assert drawn == pytest.approx([v if v is None else float(f"{v:.4g}") for v in curves["p95"]])
    assert browser.run("run.chosen.heat.columns") == chosen.heat.columns
    assert len(browser.run("curves.plots()[0].data")) == 1 + len(chosen.spectra)
    first = browser.run("[...document.querySelectorAll('#selected tbody tr')[0].cells].map(c => c.textContent)")
    assert first[:2] == ["whole run", f"{chosen.samples}"]
    assert browser.run(rows) == 1 < every
    assert "Fine · c" in browser.run("document.getElementById('filter-said').textContent")
    browser.run("document.getElementById('filter-none').click()")
    assert browser.run(rows) == every
    assert browser.run("charts.plots().map(u => u.data[1].length)") == whole
    assert browser.complaints == []


def test_an_outcome_can_be_chosen_where_it_occurred(browser: Browser, tmp_path: Path, real: Analysis) -> None:
    shown(browser, tmp_path, real)
    browser.run(f"{CHOOSE}('scenario', 'Fine')")
    assert browser.run("document.getElementById('filter-outcome').disabled") is True, "none of its requests failed"
    browser.run(f"{CHOOSE}('scenario', 'Broken')")
    assert browser.run(f"{CHOOSE}('outcome', 'http_error')") == ["http_error", ["", "ok", "http_error"]]
    assert browser.run("document.querySelector('#selected tbody td').textContent") == "20"
    hidden = browser.run(
        "[...document.querySelectorAll('#by-latency tbody tr')].map(r => [r.dataset.outcome, r.hidden])"
    )
    assert all(is_hidden == (outcome != "http_error") for outcome, is_hidden in hidden)


def test_a_formula_shows_on_focus_and_leaves_on_escape(browser: Browser, tmp_path: Path, real: Analysis) -> None:
    shown(browser, tmp_path, real)
    browser.run("document.querySelector('.criteria .metric').focus()")
    assert browser.run("document.getElementById('tip').hidden") is False
    assert "ok / scheduled" in browser.run("document.getElementById('tip').textContent")
    assert browser.run("document.activeElement.getAttribute('aria-describedby')") == "tip"
    browser.key("Escape", 27)
    assert browser.run("document.getElementById('tip').hidden") is True


def test_the_time_of_a_slow_request_leads_to_its_moment(browser: Browser, tmp_path: Path, real: Analysis) -> None:
    shown(browser, tmp_path, real)
    browser.run("document.querySelector('#by-latency .link').focus()")
    browser.key("Enter", 13, "\r")
    browser.settle()
    low, high = browser.run("charts.view()")
    assert low <= real.slowest[0].due_s <= high
    assert high - low < 60
    assert len({tuple(one) for one in browser.run("charts.plots().map(u => [u.scales.x.min, u.scales.x.max])")}) == 1


def test_paper_has_every_section_in_light_and_no_chart_is_clipped(browser: Browser, tmp_path: Path) -> None:
    made = analysis(Verdict.FAIL)
    shown(browser, tmp_path, made, theme="dark")
    heads = browser.run("[...document.querySelectorAll('h2, h3')].map(h => h.textContent.trim())")
    browser.pdf(tmp_path / "report.pdf")
    paper = PdfReader(tmp_path / "report.pdf").pages
    pages = [page.extract_text() for page in paper]
    text = " ".join(unicodedata.normalize("NFKC", " ".join(pages)).split())  # fi is one sign on paper
    assert [head for head in heads if " ".join(head.split())[:40] not in text] == []
    assert made.errors[0].example[:20] in text
    assert "ttft_due_p95_ms" in text
    assert all(page.mediabox.width > page.mediabox.height for page in paper)
    assert browser.complaints == []

    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.size(PAPER_WIDTH, 1000)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    right = browser.run(
        "Math.max(...[...document.querySelectorAll('canvas')].map(c => c.getBoundingClientRect().right))"
    )
    assert 700 < right <= PAPER_WIDTH
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("paint.colour('surface')") == "rgb(255, 255, 255)", "drawn in light colours"
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.call("Emulation.setEmulatedMedia", media="")


def _odd_runs() -> dict[str, RunBuilder]:
    crash = RunBuilder().samples(steady(10, 0, 12)).record(ending=Ending.RUNNING, phases=[], ended_s=None)
    return {
        "one sample": RunBuilder().samples([request(3.0)]),
        "no sample": RunBuilder(),
        "crashed": crash,
        "nothing answered": RunBuilder().samples([failed(i, Outcome.CONNECT_ERROR) for i in range(30)]),
    }


@pytest.mark.parametrize("name", list(_odd_runs()))
def test_the_page_of_an_odd_run_opens_and_says_what_it_has(browser: Browser, tmp_path: Path, name: str) -> None:
    made = _odd_runs()[name].analyze(tmp_path / "run")
    for width in (1440, 360):
        shown(browser, tmp_path, made, width=width)
        assert browser.complaints == []
        assert browser.run("document.querySelector('.word').textContent") == made.verdict.value
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("charts.plots().length") == browser.run("run.specs.length")
    assert made.verdict is not Verdict.PASS or name == "one sample"


@pytest.mark.long
def test_the_page_of_a_million_samples_opens(browser: Browser, tmp_path: Path) -> None:
    from benchmarks.soak import write_soak  # noqa: PLC0415
    from reports.analyzer import analyze  # noqa: PLC0415

    write_soak(tmp_path / "run", 1_000_000, 4 * 3600)
    made = analyze(tmp_path / "run")
    shown(browser, tmp_path, made)
    assert made.samples == 1_000_000
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    assert browser.complaints == []
    counted = browser.run("run.selections[0].heat.columns.flatMap(c => c.slice(1)).reduce((a, b) => a + b, 0)")
    assert counted == made.selections[0].samples > 800_000
    assert browser.run(f"{CHOOSE}('scenario', 'DatabaseUser')")[0] == "DatabaseUser"
    assert browser.complaints == []
