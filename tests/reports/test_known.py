"""Figures that were known before are cited beside the measured ones, and good runs become such figures."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from reports.render import render
from samples.sample import Outcome
from tests.reports.builder import RunBuilder, failed, steady, target

BASELINE: dict[str, object] = {"name": "performance_baseline", "latency_ms": 200, "throughput_rps": 20, "memory_gb": 1}
PHASES = [{"name": "short", "rate": 10, "duration": "5s"}, {"name": "sustained", "rate": 10, "duration": "30s"}]


def builder(**plan: Any) -> RunBuilder:
    samples = [*steady(10, 0, 5, 0.4, phase="short"), *steady(10, 5, 30, 0.1)]
    run = RunBuilder(**({"phases": PHASES, "store": {"sustained": "mine"}} | plan)).samples(samples)
    return run.readings(target("rss_bytes", [0.5e9] * 36))


def test_the_known_figures_stand_beside_those_of_the_longest_phase(tmp_path: Path) -> None:
    analysis = builder().record(baseline=BASELINE).analyze(tmp_path)
    assert [one.metric for one in analysis.known] == ["latency_mean_ms", "throughput_rps", "memory_max_bytes"]
    assert [one.value for one in analysis.known] == [200, 20, 1e9]
    assert [one.measured.value for one in analysis.known] == pytest.approx([100, 10, 0.5e9])
    assert [one.worse for one in analysis.known] == pytest.approx([-0.5, 0.5, -0.5])
    assert {one.phase for one in analysis.known} == {"sustained"}
    page = render(analysis)
    assert "50.0 % worse" in page
    assert "50.0 % better" in page


def test_a_run_is_kept_by_name_and_cited_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "baselines").mkdir(parents=True)
    run = builder().write(tmp_path / "run")
    assert main([str(run), "--quiet", "--keep", "good"]) == 0
    kept = json.loads((tmp_path / "data" / "baselines" / "good.json").read_text(encoding="utf-8"))
    assert (kept["name"], kept["phase"], kept["run"]) == ("good", "sustained", "run-1")
    scopes = {(one.get("phase"), one.get("scenario"), one.get("name")): one["metrics"] for one in kept["scopes"]}
    assert set(scopes) == {("short", None, None), ("sustained", None, None), (None, None, None)} | {
        (None, "ChatUser", name) for name in (None, "chat")
    }
    assert scopes["sustained", None, None]["latency_mean_ms"]["value"] == pytest.approx(100)

    kept["phase"] = "short"
    again = builder().record(baseline=kept).analyze(tmp_path / "again")
    latency = next(one for one in again.known if one.metric == "latency_mean_ms")
    assert latency.phase == "short"
    assert latency.measured.value == pytest.approx(400)
    assert latency.worse == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"time_scale": 0.1}, "good", "a rehearsal is no baseline"),
        ({}, "../bad", "NAME must be"),
        ({"ending": "interrupted"}, "good", "a run that is INVALID is no baseline"),
    ],
)
def test_nothing_is_kept_that_must_not_be_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any], name: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "baselines").mkdir(parents=True)
    run = builder().record(**changes).write(tmp_path / "run")
    assert main([str(run), "--quiet", "--keep", name]) == 2
    assert said in capsys.readouterr().err
    assert list((tmp_path / "data").rglob("*.json")) == []


def test_a_failed_run_is_no_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = builder().samples([failed(6 + index / 10, Outcome.TIMEOUT) for index in range(100)]).write(tmp_path / "run")
    assert main([str(run), "--quiet", "--keep", "good"]) == 2
    assert "a run that is FAIL is no baseline" in capsys.readouterr().err
