"""The table at the end of a run can be read in any terminal."""

import io
import re

import pytest

from reports.analysis import Verdict
from reports.console import print_verdict
from tests.reports.analyses import analysis, empty
from tests.reports.test_render import hostile


def printed(made: object, monkeypatch: pytest.MonkeyPatch, width: int = 80, encoding: str = "utf-8") -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    print_verdict(made, file)  # type: ignore[arg-type]
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("width", [50, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(verdict: Verdict, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(analysis(verdict), monkeypatch, width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_80_columns_show_measured_value_limit_and_margin_of_every_criterion(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(analysis(Verdict.FAIL), monkeypatch)
    assert re.search(r"✗ FAIL +sustained +latency_p95_ms +912 ms +< 600 ms +-52\.0 %", text)
    assert re.search(r"✗ FAIL +sustained +ttft_due_p95_ms +500\.04 ms +< 500\.00 ms +-0\.008 % ~", text)
    assert re.search(r"! warn +whole run +quality_mean +88\.3 %", text)
    assert re.search(r"^ FAIL +TC-L3-PERF-LOAD-001", text, re.MULTILINE)


def test_there_are_no_colours_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in printed(analysis(Verdict.FAIL), monkeypatch)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1"])
def test_an_old_terminal_gets_ascii(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(analysis(Verdict.INVALID), monkeypatch, encoding=encoding)
    assert text.isascii()
    assert ">= 49.0 RPS" in text
    assert "? NO DATA" in text


def test_broken_checks_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(analysis(Verdict.INVALID), monkeypatch, 200)
    assert "start lag p99 is 412 ms, limit ≤ 100 ms: use more workers" in text
    assert "REHEARSAL, no certificate" in text
    assert "INTERRUPTED" in text


def test_hostile_text_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(hostile(analysis(Verdict.FAIL)), monkeypatch)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_markup_of_the_console_library_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    made = analysis()
    made.reasons[:] = ["[bold red]all[/] :smile: [link=http://x]held[/link]"]
    try:
        assert "[bold red]all[/] :smile: [link=http://x]held[/link]" in printed(made, monkeypatch, 120)
    finally:
        made.reasons[:] = ["all held"]


def test_an_empty_analysis_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Nothing was measured." in printed(empty(), monkeypatch)
