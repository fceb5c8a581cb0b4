"""Figures are written so that people can compare them, and never say more or less than was measured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.analysis import CriterionResult, Measured, State
from reports.figures import clock, figure, interval_text, length, limit_text, margin_text, pair
from reports.texts import one_line, printable
from tests.reports.records import run_record


def result(metric_index: int, value: float | None, **limits: float) -> CriterionResult:
    base = run_record().plan.criteria[metric_index]
    cleared = dict.fromkeys(("below", "at_most", "at_least", "above", "is_"))
    criterion = base.model_copy(update=cleared | limits)
    return CriterionResult(criterion, Measured(value, 10), State.FAIL, None, False, "")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "ms", "0 ms"),
        (0.0123, "ms", "0.0123 ms"),
        (9.996, "ms", "10.0 ms"),
        (182.2, "ms", "182 ms"),
        (999.7, "ms", "1.00 s"),
        (1234.5, "ms", "1.23 s"),
        (800_000, "ms", "13.3 min"),
        (0.125, "s", "125 ms"),
        (50, "rps", "50.0 RPS"),
        (12_345.6, "rps", "12,346 RPS"),
        (3.41e9, "bytes", "3.41 GB"),
        (1234, "count", "1,234"),
        (1.8, "cores", "1.80 cores"),
        (0.0654, "cores", "0.065 cores"),
        (1.02, "factor", "1.02"),
        (True, "bool", "yes"),
        (None, "ms", "–"),
        (float("nan"), "ms", "–"),
        (-5.2, "ms", "-5.20 ms"),
    ],
)
def test_units_are_readable(value: float | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.0, "0 %"), (0.5, "50.0 %"), (0.99996, "99.996 %"), (0.0000999, "0.01 %"), (1.25, "125.0 %")],
)
def test_shares_are_percentages(share: float, text: str) -> None:
    assert figure(share, "ratio") == text


@given(st.floats(min_value=1e-7, max_value=1 - 1e-7))
def test_a_share_is_never_rounded_to_all_or_nothing(share: float) -> None:
    assert figure(share, "ratio") not in {"0 %", "0.0 %", "100 %", "100.0 %"}


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_three_digits_are_never_further_off_than_half_a_percent(value: float) -> None:
    text = figure(value, "rps").removesuffix(" RPS").replace(",", "")
    assert float(text) == pytest.approx(value, rel=0.006, abs=1e-9)


def test_measured_and_limit_are_told_apart_when_they_are_close() -> None:
    assert pair(result(0, 2000.3, below=2000)) == ("2.0003 s", "< 2.0000 s")
    assert pair(result(0, 431.0, below=2000)) == ("431 ms", "< 2.00 s")
    assert pair(result(0, 2000.0, below=2000)) == ("2.00 s", "< 2.00 s")
    assert pair(result(0, None, below=2000)) == ("–", "< 2.00 s")


def test_unbounded_is_not_missing() -> None:
    beyond = replace(result(0, None, below=2000), measured=Measured(None, 10, "all failed", unbounded=True))
    assert pair(beyond)[0] == "∞"


def test_limits_show_their_sign() -> None:
    assert limit_text(result(4, 1.0, at_least=0.995).criterion) == "≥ 99.5 %"
    assert limit_text(run_record().plan.criteria[6]) == "is no"


def test_margins_have_a_sign() -> None:
    assert [margin_text(m) for m in (0.34, -0.52, 0.9958, 0.0006, 0.0, None, 12.3)] == [
        *("+34.0 %", "-52.0 %", "+99.6 %", "+0.06 %", "0 %", "–", "+1,230 %"),
    ]


def test_intervals_have_units_at_both_ends() -> None:
    assert interval_text(Measured(950.0, 9, interval=(884.0, 1051.0)), "latency_p95_ms") == "884 ms … 1.05 s"
    assert interval_text(Measured(950.0, 9), "latency_p95_ms") == "–"


def test_moments_and_lengths() -> None:
    assert [clock(s) for s in (0, 75, 1.5, 59.96, 3599.97)] == ["0:00", "1:15", "0:01.5", "1:00", "1:00:00"]
    assert clock(75, 7200) == "0:01:15"
    assert [length(s) for s in (12.5, 59.97, 75, 14_400)] == ["12.5 s", "1m 0s", "1m 15s", "4h 0m"]


@given(st.text(max_size=60))
def test_printable_text_is_legal_everywhere(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert "\n" not in one_line(text)
