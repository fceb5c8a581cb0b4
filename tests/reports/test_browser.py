"""The page in a real browser: it draws, it answers to the mouse and the keyboard, and it asks nobody for anything.

PROOFLOAD_SCREENSHOTS names a folder for the screenshots, to be looked at by people.
"""

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reports.analysis import Verdict
from reports.charts import charts
from reports.render import render
from tests.reports.analyses import analysis, empty
from tests.reports.browser import BINARY, MISSING, Browser
from tests.reports.test_render import hostile

pytestmark = pytest.mark.skipif(BINARY is None, reason=MISSING)

CHARTS = len(charts(analysis()))
NOT_OVER_TIME = ("chart-spectrum", "chart-scatter-latency")
SIZES = {"wide": (1440, 1800), "phone": (360, 1600)}

# Pixels of a canvas that were painted, and how many colours they have: an empty or a one-coloured chart is no chart.
_PAINTED = """
[...document.querySelectorAll('.plot canvas')].map(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  let painted = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 100) {
    painted++;
    colours.add(data[i] + ',' + data[i + 1] + ',' + data[i + 2]);
  }
  return [painted, colours.size];
})
"""

_CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {verdict.value: analysis(verdict) for verdict in Verdict}
    made |= {"empty": empty(), "hostile": hostile(analysis(Verdict.FAIL)), "long": analysis(points=14_400)}
    for name, one in made.items():
        (folder / f"{name}.html").write_text(render(one), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("PROOFLOAD_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(browser: Browser, page: Path, width: int = 1440, height: int = 1000, theme: str = "light") -> None:
    browser.screen(width, height, theme)
    browser.open(page)


def drag(browser: Browser, chart: str, start: float, end: float) -> None:
    box = browser.run(
        f"(b => [b.left, b.top, b.width, b.height])(document.querySelector('#{chart} .u-over').getBoundingClientRect())"
    )
    left, top, width, height = box
    y = top + height / 2
    browser.mouse("mousePressed", left + width * start, y)
    for share in (0.25, 0.5, 0.75, 1.0):
        browser.mouse("mouseMoved", left + width * (start + (end - start) * share), y)
    browser.mouse("mouseReleased", left + width * end, y)
    browser.settle()


def windows(browser: Browser) -> list[list[float]]:
    found: list[list[float]] = browser.run("charts.plots().map(u => [u.scales.x.min, u.scales.x.max])")
    return found


@pytest.mark.parametrize("look", list(product(SIZES, ("light", "dark"))), ids="-".join)
@pytest.mark.parametrize("name", ["PASS", "FAIL", "INVALID", "empty", "hostile"])
def test_the_page_draws_fits_and_stays_quiet(
    browser: Browser, pages: dict[str, Path], pictures: Path, name: str, look: tuple[str, str]
) -> None:
    size, theme = look
    width, height = SIZES[size]
    browser.screen(width, height, theme, mobile=size == "phone")
    browser.open(pages[name])
    painted = browser.run(_PAINTED)
    assert len(painted) == (0 if name == "empty" else CHARTS + len(NOT_OVER_TIME))
    assert all(pixels > 500 and colours > 2 for pixels, colours in painted)
    # A document that is too wide makes a phone zoom out, so the window would grow with it.
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("innerWidth") == width
    browser.picture(pictures / f"{name}-{size}-{theme}.png")
    assert browser.complaints == []
    assert browser.requests == [pages[name].resolve().as_uri()]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["PASS", "FAIL", "INVALID"])
def test_texts_have_the_contrast_of_aa(browser: Browser, pages: dict[str, Path], name: str, theme: str) -> None:
    shown(browser, pages[name], theme=theme)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run(_CONTRAST) == []


def test_hostile_texts_do_not_run(browser: Browser, pages: dict[str, Path]) -> None:
    browser.call("Page.addScriptToEvaluateOnNewDocument", source="window.alert = () => { window.hurt = true; }")
    shown(browser, pages["hostile"])
    assert browser.run("window.hurt === undefined")
    assert browser.run("document.images.length") == 0


def test_a_script_that_is_not_the_pages_own_is_refused(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    browser.run(
        "(s => { s.textContent = 'window.hurt = true'; document.body.append(s); })(document.createElement('script'))"
    )
    assert browser.run("window.hurt === undefined")
    assert browser.run("fetch('http://127.0.0.1:9/').then(() => 'went', () => 'refused')") == "refused"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)


def test_a_drag_in_one_chart_zooms_all_and_a_double_click_shows_all_again(
    browser: Browser, pages: dict[str, Path]
) -> None:
    shown(browser, pages["FAIL"])
    browser.run("document.getElementById('time').scrollIntoView()")
    browser.settle()
    whole = windows(browser)
    assert whole == [[0, 2695]] * CHARTS
    drag(browser, "chart-load-rps", 0.25, 0.75)
    zoomed = windows(browser)
    assert len({tuple(window) for window in zoomed}) == 1
    assert zoomed[0] == pytest.approx([2695 * 0.25, 2695 * 0.75], abs=12)
    assert browser.run("document.getElementById('reset').disabled") is False
    x, y = browser.run(
        "(b => [b.left + 200, b.top + 40])(document.querySelector('#chart-latency-ms .u-over').getBoundingClientRect())"
    )
    for clicks in (1, 2):
        browser.mouse("mousePressed", x, y, clicks)
        browser.mouse("mouseReleased", x, y, clicks)
    browser.settle()
    assert windows(browser) == whole
    assert browser.complaints == []


def test_a_phase_and_the_button_change_the_view_from_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    browser.run("document.querySelectorAll('#ruler-phases button')[1].focus()")
    browser.key("Enter", 13, "\r")
    browser.settle()
    assert windows(browser) == [[300, 900]] * CHARTS
    browser.run("document.getElementById('reset').focus()")
    browser.key("Enter", 13, "\r")
    browser.settle()
    assert windows(browser)[0] == [0, 2695]


def test_the_cursor_reads_every_chart_at_the_same_moment(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    browser.run("document.getElementById('time').scrollIntoView()")
    browser.settle()
    before = browser.run("document.querySelector('#chart-host-cores output').textContent")
    x, y = browser.run(
        "(b => [b.left + b.width / 9, b.top + 40])"
        "(document.querySelector('#chart-load-rps .u-over').getBoundingClientRect())"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.settle()
    assert browser.run("document.getElementById('ruler-at').textContent") == "at 5:00 in ramp"
    assert len(set(browser.run("charts.plots().map(u => u.cursor.idx)"))) == 1
    assert browser.run("document.querySelector('#chart-host-cores output').textContent") != before
    assert browser.run("document.querySelector('#chart-load-rps output').textContent") == "10.0 RPS"


def test_the_latency_axis_can_be_logarithmic(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["FAIL"])
    browser.run("document.getElementById('log').click()")
    browser.settle()
    scales = browser.run("charts.ids().map((id, i) => [id, charts.plots()[i].scales.y.distr])")
    assert {kind for name, kind in scales if name.endswith("-ms")} == {3}
    assert {kind for name, kind in scales if not name.endswith("-ms")} == {1}
    assert browser.run("document.getElementById('log').getAttribute('aria-pressed')") == "true"
    assert browser.complaints == []


def test_a_name_in_a_legend_hides_its_line(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    browser.run("document.querySelector('#chart-latency-ms .legend li:nth-child(4) button').click()")
    assert browser.run("charts.plots()[1].series[4].show") is False
    browser.run("document.getElementById('log').click()")
    assert browser.run("charts.plots()[1].series[4].show") is False


def column(browser: Browser, table: str, index: int) -> list[str]:
    found: list[str] = browser.run(
        f"[...document.querySelector('#{table}').tBodies[0].rows].map(r => r.cells[{index}].textContent.trim())"
    )
    return found


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_tables_sort_by_mouse_and_by_keyboard(browser: Browser, pages: dict[str, Path], way: str) -> None:
    shown(browser, pages["FAIL"])
    browser.run("document.getElementById('by-request').scrollIntoView({block: 'center'})")
    button = "[...document.querySelectorAll('#by-request .sort')].find(b => b.textContent === 'failed')"

    def press() -> Any:
        if way == "keyboard":
            browser.run(f"{button}.focus()")
            browser.key(" ", 32, " ")
        else:
            x, y = browser.run(f"(b => [b.left + 6, b.top + 6])({button}.getBoundingClientRect())")
            browser.mouse("mousePressed", x, y)
            browser.mouse("mouseReleased", x, y)
        return browser.run(f"{button}.closest('th').getAttribute('aria-sort')")

    assert press() == "descending"
    numbers = [int(text.replace(",", "")) for text in column(browser, "by-request", 4)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > numbers[-1]
    assert press() == "ascending"
    assert [int(text.replace(",", "")) for text in column(browser, "by-request", 4)] == numbers[::-1]


def test_missing_values_sort_last_in_both_directions(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["FAIL"])
    for _ in range(2):
        browser.run("[...document.querySelectorAll('#by-error .sort')].find(b => b.textContent === 'Status').click()")
        assert column(browser, "by-error", 2)[-1] == "–"


def test_the_theme_can_be_switched_and_the_charts_follow(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    line = browser.run("charts.plots()[0].series[2].stroke()")
    browser.run("document.getElementById('theme').click()")
    assert browser.run("getComputedStyle(document.body).backgroundColor") != ground
    assert browser.run("charts.plots()[0].series[2].stroke()") != line
    browser.run("document.getElementById('theme').click()")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == ground
    browser.run("localStorage.clear()")


def test_a_metric_leads_to_its_formula(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    browser.run("document.querySelector('.criteria .metric').click()")
    browser.settle()
    assert browser.run("document.querySelector('#glossary details').open") is True
    assert browser.run("document.querySelector(':target').id") == "m-latency_mean_ms"


def test_four_hours_in_seconds_draw_within_three_seconds(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["long"])
    assert browser.run("(t => { charts.build(); return performance.now() - t; })(performance.now())") < 3000


def test_without_a_mouse_the_first_stop_skips_to_the_verdict(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["PASS"])
    browser.key("Tab", 9)
    assert browser.run("document.activeElement.className") == "skip"
