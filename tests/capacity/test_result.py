"""What is kept of a search: the answer, the sizing, drift, and its forms."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from capacity.__main__ import _exit_code, _parser, _silent
from capacity.limits import limits_of
from capacity.page import to_html, to_markdown, told
from capacity.probes import Probe, Role, Share
from capacity.result import Result, drift_of, figures_at, laws, limits_found, save, sizing
from capacity.search import Found, Search, Settings
from plans.exits import Exit
from plans.schema import Plan
from tests.capacity.test_limits import PLAN
from tests.capacity.test_search import Server, searched, share

LIMITS = limits_of(
    Plan.model_validate(PLAN | {"criteria": [{"metric": "latency_p95_ms", "below": 300}]}), "p.yaml", 15.0
)


def with_figures(found: Found) -> list[Probe]:
    """Give the probes the figures of an M/M/1 server of 100 requests/s."""
    return [
        Probe(
            p.role, p.asked, p.load, p.seconds, p.at_s, p.readings,
            {
                "served_rps": p.load,
                "success_rate": 1.0,
                "latency_mean_ms": 1000 / (100 - min(p.load, 95)),
                "concurrency": p.load / (100 - min(p.load, 95)),
                "output_tokens_per_s": 20 * p.load,
            },
            p.trouble, "/tmp/runs/a & b",
        )
        for p in found.probes
    ]  # fmt: skip


def result(found: Found, **changes: Any) -> Result:
    probes = with_figures(found)
    law, knee = laws(probes)
    low, high = found.interval or (None, None)
    values: dict[str, Any] = {
        "plan": "P", "title": "a <b>plan</b>", "plan_file": "p.yaml", "folder": "/tmp",
        "host": "http://127.0.0.1:1", "unit": "RPS",
        "capacity": found.capacity.load if found.capacity else None, "low": low, "high": high,
        "capacity_rps": found.capacity.load if found.capacity else None,
        "limiting": "latency_p95_ms < 300 ms", "highest_held": 49.0, "lowest_broken": 51.0,
        "at_capacity": figures_at(found.capacity.load, probes) if found.capacity else {},
        "limits": limits_found(LIMITS, found), "probes": probes, "scalability": law, "knee": knee,
        "sizing": sizing([500.0], low, "RPS", 0.3), "drift": None, "ended": found.ended, "exit_code": 0,
        "precision": 0.05, "started_at": "2026-11-20T21:00:00+01:00", "seconds": 200.0, "seed": 1,
    }  # fmt: skip
    return Result(**(values | changes))


@pytest.fixture(scope="module")
def found() -> Found:
    return searched(Server([share(50)]), limit_s=900)


def test_figures_at_the_capacity_are_read_between_the_probes(found: Found) -> None:
    at = result(found).at_capacity
    assert at["served_rps"] == pytest.approx(50, rel=0.02)
    assert at["output_tokens_per_s"] == pytest.approx(1000, rel=0.02)
    assert at["concurrency"] == pytest.approx(1, rel=0.1)


def test_a_load_is_planned_from_the_lower_end_of_the_interval_less_the_headroom() -> None:
    (one,) = sizing([500.0], 40.0, "RPS", 0.3)
    assert one.instances == math.ceil(500 / (40 * 0.7)) == 18
    assert "for 500 RPS you need 18 instances" in one.words
    assert sizing([28.0], 40.0, "RPS", 0.3)[0].instances == 1
    assert sizing([500.0], None, "RPS", 0.3) == []


def test_the_forms_say_the_same_and_escape_what_they_show(found: Found, tmp_path: Path) -> None:
    outcome = result(found)
    page, text = to_html(outcome), to_markdown(outcome)
    for form in (page, text):
        assert "95 % interval" in form
        assert "limiting" in form
        assert "18 instances" not in form or "500" in form
    assert "<b>plan</b>" not in page
    assert "a &amp; b" in page
    assert page.count("<circle") == 3 * len(outcome.probes)
    assert "<script" not in page
    assert page.count('class="broken"') > 0
    (tmp_path / "capacity" / "now").mkdir(parents=True)
    newest = save(outcome, tmp_path, tmp_path / "capacity" / "now")
    kept = json.loads(newest.read_text(encoding="utf-8"))
    assert newest == tmp_path / "capacity" / "P.json"
    assert kept["capacity"] == outcome.capacity
    assert (kept["schema_version"], kept["verdict"]) == (1, "PASS")
    assert len(kept["probes"]) == len(outcome.probes)


def test_a_search_that_found_nothing_says_why_in_every_form() -> None:
    found = searched(Server([lambda load: Share(0, 100, 0.05)]), highest=40)
    outcome = result(found, exit_code=3, limiting=None, highest_held=40.0, lowest_broken=None)
    assert "no limit is broken" in outcome.sentence
    assert "no limit is broken" in to_html(outcome)
    assert "no capacity was found" in to_markdown(outcome)
    json.loads(outcome.to_json())


def anchor(median: float, at_s: float, spread: float = 2.0) -> Probe:
    figures = {
        "latency_p50_ms": median,
        "latency_p50_low_ms": median - spread,
        "latency_p50_high_ms": median + spread,
    }
    return Probe(Role.ANCHOR, 30, 30, 6, at_s, (Share(0, 9, 0.05),), figures)


def test_drift_is_a_median_at_rest_that_moved_beyond_chance_and_by_a_quarter() -> None:
    assert drift_of([anchor(100, 10), anchor(103, 90), anchor(110, 200)]) is None
    assert drift_of([anchor(100, 10, 60), anchor(160, 90, 60)]) is None
    assert drift_of([anchor(2, 10, 0.1), anchor(4, 90, 0.1)]) is None  # a few milliseconds are no change
    moved = drift_of([anchor(100, 10), anchor(101, 90), anchor(160, 200)])
    assert moved is not None
    assert "was 100 ms at 10 s and 160 ms at 200 s" in moved
    assert drift_of([anchor(100, 10), anchor(50, 90)]) is not None


@pytest.mark.parametrize(
    ("at_least", "code"), [(None, Exit.PASS), (30.0, Exit.PASS), (50.0, Exit.INVALID), (80.0, Exit.FAIL)]
)
def test_the_exit_code_answers_whether_the_capacity_is_enough(found: Found, at_least: float, code: Exit) -> None:
    assert _exit_code(found, at_least, invalid=False) is code
    assert _exit_code(found, at_least, invalid=True) is Exit.INVALID


def test_what_cannot_be_told_is_no_failure_of_the_server() -> None:
    never = searched(Server([lambda load: Share(0, 100, 0.05)]), highest=40)
    always = searched(Server([lambda load: Share(100, 100, 0.05)]))
    sick = searched(Server([share(1000)], sick=lambda load: "late" if load > 70 else None))
    interrupted = searched(Server([share(50)], stops_at=2))
    codes = [_exit_code(found, None, invalid=False) for found in (never, always, sick, interrupted)]
    assert codes == [Exit.INVALID, Exit.FAIL, Exit.INVALID, Exit.INVALID]


def test_a_limit_of_which_nothing_is_known_is_named() -> None:
    found = Search(Settings(10, 100), Server([lambda load: None])).run()
    assert _silent(LIMITS, found) == []  # nothing at all is known
    both = limits_of(
        Plan.model_validate(
            PLAN | {"criteria": [{"metric": "latency_p95_ms", "below": 300}, {"metric": "ttft_p95_ms", "below": 9}]}
        ),
        "p.yaml",
        15.0,
    )
    (words,) = _silent(both, searched(Server([share(50), lambda load: None])))
    assert words.startswith("no probe had data for ttft_p95_ms < 9")


def test_a_reader_is_told_the_answer_first(found: Found) -> None:
    lines = told(result(found))
    assert lines[0].startswith("capacity ")
    assert any("Universal Scalability Law" in line for line in lines)
    assert any("for 500 RPS you need" in line for line in lines)
    assert any("output tokens/s" in line for line in lines)


@pytest.mark.parametrize(
    "words", [["--precision", "0"], ["--probe", "1s"], ["--by", "x"], ["--for", "5,x"], ["--time-limit", "soon"]]
)
def test_an_option_that_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        _parser().parse_args(["p.yaml", *words])
    assert left.value.code == Exit.USAGE
    assert words[0] in capsys.readouterr().err
