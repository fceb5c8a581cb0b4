"""One source: a sample that changes is seen in every form, and none of them has figures of its own."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reports.analysis import Verdict
from reports.analyzer import analyze
from reports.chat import ChatForm, payload
from reports.console import print_verdict
from reports.parquet import write_parquet
from reports.publish import publish
from samples.sample import Sample
from tests.reports.builder import RunBuilder, request, steady
from tests.reports.test_render import data_of

SLOW_S, NAME = 7.654, "the slow one"
CRITERIA = [{"metric": "latency_max_ms", "below": 5000}, {"metric": "success_rate", "at_least": 0.9}]


def _run(folder: Path, odd: Sample) -> Path:
    samples = [*steady(10, 0, 30), odd]
    write = RunBuilder(criteria=CRITERIA).samples(samples).write(folder)
    analysis = analyze(write)
    assert publish(analysis, write) == []
    write_parquet(write)
    with (write / "report" / "console.txt").open("w", encoding="utf-8") as file:
        print_verdict(analysis, file)
    (write / "report" / "chat.json").write_bytes(payload(analysis, ChatForm.SLACK))
    return write / "report"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a run, and the same in which one sample took 7.654 s in place of 0.1 s."""
    root = tmp_path_factory.mktemp("runs")
    return (
        _run(root / "usual", request(15.05, 0.1, name=NAME)),
        _run(root / "slow", request(15.05, SLOW_S, name=NAME)),
    )


def _verdict(report: Path) -> float:
    return float(json.loads((report / "verdict.json").read_text())["total"]["metrics"]["latency_max_ms"]["value"])


def _slowest(report: Path) -> float:
    return float(json.loads((report / "verdict.json").read_text())["slowest"][0]["latency_ms"])


def _csv(report: Path) -> float:
    with (report / "metrics.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["scope"] == "run" and r["metric"] == "latency_max_ms"]
    return float(rows[0]["value"])


def _csv_of_request(report: Path) -> float:
    with (report / "metrics.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["name"].endswith(NAME) and r["metric"] == "latency_max_ms"]
    return float(rows[0]["value"])


def _parquet(report: Path) -> float:
    table = pq.read_table(report / "samples.parquet").to_pandas()
    return float((table["done_s"] - table["due_s"]).max() * 1000)


def _chart(report: Path) -> float:
    charts = data_of((report / "report.html").read_text(encoding="utf-8"))["charts"]
    (latency,) = [chart for chart in charts if chart["id"] == "chart-latency-ms"]
    return float(max(v for series in latency["series"] for v in series["values"] if v is not None))


def _spectrum(report: Path) -> float:
    selections = data_of((report / "report.html").read_text(encoding="utf-8"))["selections"]
    (own,) = [s for s in selections if s["name"] == NAME]
    assert own["spectra"][0]["values"][-1] == max(v for v in own["curves"]["max"] if v is not None)
    return float(selections[0]["spectra"][0]["values"][-1])


def _heat(report: Path) -> float:
    heat = data_of((report / "report.html").read_text(encoding="utf-8"))["selections"][0]["heat"]
    bins = [column[0] + i for column in heat["columns"] for i, count in enumerate(column[1:]) if count]
    return float(10 ** (max(bins) / 10))


def _picture(report: Path) -> float:
    """Return the upper end of the latency axis in the picture, in ms."""
    labels = re.findall(r">([\d.,]+) (ms|s)<", (report / "timeline.svg").read_text(encoding="utf-8"))
    return max(float(value) * (1000 if unit == "s" else 1) for value, unit in labels)


def _summary(report: Path) -> float:
    text = (report / "summary.md").read_text(encoding="utf-8")
    chart = text[text.index('y-axis "ms"') :].partition("```")[0]
    return max(float(value) for line in re.findall(r"line \[(.*)\]", chart) for value in line.split(", "))


FIGURES = [_verdict, _slowest, _csv, _csv_of_request, _parquet, _chart, _spectrum]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda one: one.__name__)
def test_a_figure_follows_the_sample(reports: tuple[Path, Path], figure: Callable[[Path], float]) -> None:
    usual, slow = map(figure, reports)
    assert usual == pytest.approx(100, rel=1e-3)
    assert slow == pytest.approx(SLOW_S * 1000, rel=1e-3)


@pytest.mark.parametrize("figure", [_heat, _picture, _summary], ids=lambda one: one.__name__)
def test_a_drawing_follows_the_sample(reports: tuple[Path, Path], figure: Callable[[Path], float]) -> None:
    usual, slow = map(figure, reports)
    assert usual < 130
    assert 6000 < slow < 8000


def test_every_form_has_the_new_verdict_and_its_figure(reports: tuple[Path, Path]) -> None:
    usual, slow = reports
    forms = ("verdict.json", "junit.xml", "summary.md", "report.html", "timeline.svg", "console.txt", "chat.json")
    for name in forms:
        before, after = ((report / name).read_text(encoding="utf-8") for report in (usual, slow))
        if name != "junit.xml":
            assert Verdict.PASS.value in before, name
            assert Verdict.FAIL.value in after, name
        if name != "verdict.json":
            assert "7.65 s" not in before, name
            assert "7.65 s" in after, name
    assert [ET.parse(report / "junit.xml").getroot().get("failures") for report in reports] == ["0", "1"]
