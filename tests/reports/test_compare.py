"""Two runs side by side: what is called a regression, what is not, and what the forms say."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulated import many_servers, wavy
from benchmarks.statistics import compared
from plans.metrics import METRICS
from reports.__main__ import main as report
from reports.changes import Word, change_of
from reports.compare import main, to_html, to_markdown
from reports.comparison import SHOWN, compare
from reports.snapshots import Figure, NoSnapshot, Scoped, Snapshot, read_snapshot
from reports.statistics import t_quantile
from tests.reports.browser import BINARY, MISSING, Browser
from tests.reports.simulated_runs import run_folder


def figure(value: float, half: float) -> Figure:
    return Figure(value=value, samples=1000, interval=(value - half, value + half))


def one(name: str = "a", /, **figures: Figure) -> Snapshot:
    return Snapshot(name=name, run=name, verdict="PASS", phase="p", scopes=[Scoped(phase="p", metrics=figures)])


# --- what a change is called -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "half", "word"),
    [
        (110, 1, Word.REGRESSED),  # beyond chance and beyond the tolerance
        (104, 1, Word.UNKNOWN),  # beyond chance, within the tolerance, and more is not excluded
        (102, 0.5, Word.SAME),
        (100, 1, Word.SAME),
        (100, 8, Word.UNKNOWN),  # too restless to exclude a regression
        (110, 12, Word.UNKNOWN),  # beyond the tolerance, and chance
        (90, 1, Word.IMPROVED),
    ],
)
def test_a_change_is_named_by_its_interval_and_the_tolerance(after: float, half: float, word: Word) -> None:
    found = change_of("latency_p95_ms", figure(100, half), figure(after, half), tolerance=0.05)
    assert found.word is word
    assert bool(found.why) is (word is Word.UNKNOWN)


def test_lower_is_worse_where_higher_is_better() -> None:
    assert change_of("throughput_rps", figure(50, 0.1), figure(40, 0.1), 0.05).word is Word.REGRESSED
    assert change_of("throughput_rps", figure(40, 0.1), figure(50, 0.1), 0.05).word is Word.IMPROVED


def test_shares_change_by_points_and_not_by_percent() -> None:
    found = change_of("error_rate", figure(0.001, 0.0005), figure(0.002, 0.0005), tolerance=0.005)
    assert found.change == pytest.approx(0.001)
    assert found.word is Word.SAME
    assert change_of("error_rate", figure(0.001, 0.0005), figure(0.02, 0.001), 0.005).word is Word.REGRESSED


def test_the_interval_of_a_difference_is_that_of_two_independent_figures() -> None:
    found = change_of("error_rate", figure(0.1, 0.03), figure(0.2, 0.04), tolerance=0.005)
    half = 0.05 * t_quantile(8 * (9 + 16) ** 2 / (81 + 256)) / t_quantile(8)
    assert found.interval == pytest.approx((0.1 - half, 0.1 + half))
    wider = change_of("error_rate", figure(0.1, 0.03), figure(0.2, 0.04), tolerance=0.005, among=10)
    assert wider.interval is not None
    assert wider.interval[1] - wider.interval[0] > 2.5 * half


@pytest.mark.parametrize(
    ("metric", "before", "after", "why"),
    [
        ("latency_p95_ms", None, figure(1, 0.1), "no value before"),
        ("latency_p95_ms", figure(1, 0.1), None, "no value after"),
        ("latency_max_ms", Figure(value=1), Figure(value=2), "no interval"),
        ("dropped", Figure(value=0), Figure(value=2), "from or to 0"),
        ("offered_rps", figure(50, 0), figure(60, 0), "neither direction"),
    ],
)
def test_what_cannot_be_told_says_why(metric: str, before: Figure | None, after: Figure | None, why: str) -> None:
    found = change_of(metric, before, after, 0.05)
    assert found.word is Word.UNKNOWN
    assert why in found.why


def test_a_leak_that_was_not_there_is_a_regression() -> None:
    assert change_of("memory_leak", Figure(value=False), Figure(value=True), 0).word is Word.REGRESSED
    assert change_of("memory_leak", Figure(value=True), Figure(value=True), 0).word is Word.SAME
    assert change_of("index_used", Figure(value=False), Figure(value=True), 0).word is Word.IMPROVED


# --- what must hold; the full size of it: python -m benchmarks statistics ----------------------------------------


@pytest.mark.parametrize("workload", [wavy(0.2, 1), wavy(0.2, 5), many_servers(0.7)], ids=lambda w: w.name)
def test_equal_runs_are_hardly_ever_called_a_regression(workload: object) -> None:
    words = [found.word for found in compared(workload, 60, 120.0)]  # type: ignore[arg-type]
    assert words.count(Word.REGRESSED) <= 5  # of 60 pairs at most 3 are expected; 6 or more once in 10 times


def test_ten_percent_more_at_50_rps_for_five_minutes_are_found() -> None:
    words = [found.word for found in compared(wavy(0.2, 1), 40, 300.0, slower=1.1)]
    assert words.count(Word.REGRESSED) >= 34


def test_further_figures_decide_nothing_and_make_no_false_alarm_together() -> None:
    rng = np.random.default_rng(1)
    names = [name for name in SHOWN if METRICS[name].unit == "ms"]
    claimed = 0
    for _ in range(200):
        before, after = (
            {
                name: figure(1000 + 10 * z, 10 * t_quantile(8))
                for name, z in zip(names, rng.normal(size=len(names)), strict=True)
            }
            for _ in range(2)
        )
        found = compare(one("a", **before), one("b", **after), tolerance=0.0)
        claimed += any(row.change.word is Word.REGRESSED for row in (*found.others, *found.judged))
        assert len(found.others) + len(found.judged) == len(names)
    assert claimed <= 20


# --- comparisons of runs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("runs")
    return {
        "good": run_folder(place / "good", 1),
        "alike": run_folder(place / "alike", 2),
        "slow": run_folder(place / "slow", 3, slower=1.25),
        "cut": run_folder(place / "cut", 4, record={"ending": "interrupted"}),
    }


def test_a_slower_run_is_a_regression_with_exit_code_1(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folders["good"]), str(folders["slow"])]) == 1
    told = capsys.readouterr().out
    assert "REGRESSED: slow against good" in told
    place = folders["slow"] / "report"
    kept = json.loads((place / "comparison-with-good.json").read_text(encoding="utf-8"))
    p95 = next(row for row in kept["judged"] if row["metric"] == "latency_p95_ms")
    assert p95["verdict"] == "regressed"
    assert 0.15 < p95["change"] < 0.35
    assert p95["interval"][0] < p95["change"] < p95["interval"][1]
    assert kept["differences"] == []
    assert "| latency_p95_ms | in sustained |" in (place / "comparison-with-good.md").read_text(encoding="utf-8")
    page = (place / "comparison-with-good.html").read_text(encoding="utf-8")
    assert 'data-verdict="FAIL"' in page
    assert "chart-0" in page


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_the_page_draws_both_runs_fits_a_phone_and_asks_nobody(folders: dict[str, Path]) -> None:
    assert main([str(folders["good"]), str(folders["slow"])]) == 1
    with Browser() as browser:
        for width, theme in ((1440, "light"), (360, "dark")):
            browser.screen(width, 1200, theme)
            browser.open(folders["slow"] / "report" / "comparison-with-good.html")
            assert browser.complaints == []
            assert [url for url in browser.requests if not url.startswith("file:")] == []
            assert browser.run("document.querySelectorAll('.plot canvas').length") == 3
            assert browser.run("document.documentElement.scrollWidth") <= width


def test_equal_runs_are_the_same_with_exit_code_0(folders: dict[str, Path]) -> None:
    assert main([str(folders["good"]), str(folders["alike"]), "--tolerance", "15 %"]) == 0


def test_a_tolerance_below_the_noise_cannot_be_told_with_exit_code_3(folders: dict[str, Path]) -> None:
    assert main([str(folders["good"]), str(folders["alike"]), "--tolerance", "0"]) == 3


def test_a_run_that_is_invalid_is_compared_with_nothing(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folders["good"]), str(folders["cut"])]) == 3
    assert "cut is INVALID" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "options", "said"),
    [
        ("no/such", [], "neither a run folder"),
        ("broken.json", [], "broken.json is no baseline"),
        ("old.json", [], "schema_version is 1, not 2"),
        (".", ["--tolerance", "lots"], "--tolerance must be a share of 0 to 10"),
    ],
)
def test_what_is_no_run_is_named_with_exit_code_2(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "old.json").write_text('{"schema_version": 1, "metrics": {}}', encoding="utf-8")
    assert main([before, str(folders["good"]), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_kept_baseline_stands_for_its_run(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "baselines").mkdir(parents=True)
    assert report([str(folders["good"]), "--quiet", "--keep", "kept"]) == 0
    file = tmp_path / "data" / "baselines" / "kept.json"
    assert file.stat().st_size < 60_000
    assert main([str(file), str(folders["slow"])]) == 1
    by_file = json.loads((folders["slow"] / "report" / "comparison-with-kept.json").read_text(encoding="utf-8"))
    assert main([str(folders["good"]), str(folders["slow"])]) == 1
    by_run = json.loads((folders["slow"] / "report" / "comparison-with-good.json").read_text(encoding="utf-8"))
    assert [row["interval"] for row in by_file["judged"]] == [row["interval"] for row in by_run["judged"]]
    assert by_file["before"]["run"] == "good"
    capsys.readouterr()


def test_what_else_differs_is_warned_of() -> None:
    before = one("a", latency_p95_ms=figure(100, 1))
    scopes = [before.scopes[0].model_copy(update={"load": "60 RPS"})]
    before = before.model_copy(
        update={
            "scopes": [before.scopes[0].model_copy(update={"load": "50 RPS"})],
            "parts": {"mix": "1", "phases": "2"},
        }
    )
    before = before.model_copy(
        update={"host": "http://a", "plan": "X", "machine": {"cpus": "2"}, "versions": {"locust": "1"}}
    )
    after = before.model_copy(
        update={
            "name": "b", "plan": "Y", "host": "http://b", "machine": {"cpus": "4"}, "versions": {"locust": "2"},
            "parts": {"mix": "1", "phases": "3"}, "scopes": scopes, "rehearsal": True, "verdict": "FAIL",
        }
    )  # fmt: skip
    assert compare(before, after).differences == [
        "plan: X, then Y",
        "the plan's phases",
        "load in p: 50 RPS, then 60 RPS",
        "host: http://a, then http://b",
        "machine, cpus: 2, then 4",
        "version, locust: 1, then 2",
        "b is a rehearsal",
        "b is FAIL",
    ]


def test_names_of_a_hostile_run_stay_text() -> None:
    found = compare(one("<script>x</script>", latency_p95_ms=figure(100, 1)), one("|b|", latency_p95_ms=figure(100, 1)))
    assert "<script>x" not in to_html(found)
    assert "&lt;script&gt;x" in to_html(found)
    assert "\\|b\\|" in to_markdown(found)


def test_nothing_in_common_is_no_pass() -> None:
    found = compare(one("a", latency_p95_ms=figure(100, 1)), one("b", error_rate=figure(0.1, 0.01)))
    assert (found.word, found.exit_code) == (Word.UNKNOWN, 3)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "no JSON object"),
        ({"schema_version": 2, "name": "a", "scopes": [{"metrics": {"nonsense": {"value": 1}}}]}, "no known metric"),
        ({"schema_version": 2, "name": "a"}, "scopes"),
    ],
)
def test_a_file_that_is_no_baseline_says_what_is_wrong(document: object, said: str) -> None:
    with pytest.raises(NoSnapshot, match=said):
        read_snapshot(document)


def test_a_written_figure_is_held_against_as_it_stands() -> None:
    written = read_snapshot({"name": "targets", "latency_ms": 200, "throughput_rps": 50})
    assert written.scopes[0].metrics["latency_mean_ms"] == Figure(value=200, interval=(200, 200))
    slower = replace(change_of("latency_mean_ms", written.scopes[0].metrics["latency_mean_ms"], figure(230, 5), 0.05))
    assert slower.word is Word.REGRESSED
    assert slower.interval is not None
    assert math.isclose(slower.interval[0], 225 / 200 - 1, abs_tol=0.001)
