"""The self-test names what it finds rightly, says what it did not find, and its parts fit together."""

import json
from pathlib import Path

import pytest

from plans.schema import Plan
from selftest.__main__ import main
from selftest.faults import CLEAN, CRITERIA, LONG_CRITERIA, LOST, NOTHING, SHOWN, STARVED, Shown, plan_of
from selftest.matrix import document, markdown
from selftest.showing import Finding
from target.faults import checked


def finding(shown: str, wanted: str, found: str, seed: int = 1) -> Finding:
    return Finding(shown, wanted, seed, found, [found], "FAIL", f"runs/{shown}-{seed}", 10.0)


def test_there_are_enough_faults_and_each_has_a_name_that_can_be_found() -> None:
    assert len(SHOWN) >= 14
    assert len({shown.name for shown in SHOWN}) == len(SHOWN)
    names = {criterion["id"] for criterion in LONG_CRITERIA}
    assert {shown.found_as for shown in SHOWN} <= names | {STARVED, LOST}


@pytest.mark.parametrize("shown", [*SHOWN, CLEAN], ids=lambda shown: shown.name)
def test_every_plan_holds_and_the_platform_knows_its_fault(shown: Shown) -> None:
    plan = Plan.model_validate(plan_of(shown, shown.long))
    assert len(plan.criteria) == len(LONG_CRITERIA if shown.long else CRITERIA)
    for fault in plan.faults:
        assert checked({"kind": fault.kind, **fault.params})[0] == fault.kind


def test_the_matrix_counts_what_was_shown_against_what_was_found() -> None:
    findings = [
        *(finding("stall", "stall", "stall", seed) for seed in (1, 2)),
        finding("stall", "stall", "latency", 3),
        finding("leak", "memory leak", NOTHING),
        *(finding(NOTHING, NOTHING, NOTHING, seed) for seed in (1, 2)),
        finding(NOTHING, NOTHING, "latency", 3),
    ]
    text = markdown(findings)
    assert "2 of 4 runs with one of 2 faults were found and named rightly, 1 false alarms in 3 runs" in text
    assert "| shown \\ found | stall | memory leak | latency | nothing |" in text
    assert "| stall | **2** |  | 1 |  |" in text
    assert "| leak |  | **0** |  | 1 |" in text
    assert "| nothing |  |  | 1 | **2** |" in text
    assert "- stall, seed 3: found latency" in text
    assert document(findings, complete=True)["passed"] is False
    assert document(findings[:2], complete=False)["passed"] is True
    assert document([], complete=True)["passed"] is False, "nothing that was shown is no proof"


def test_an_unknown_fault_is_refused_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "latency,gremlins", "--runs", str(tmp_path)]) == 2
    assert "no fault is called 'gremlins'; there are: latency, slow first token" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_faults_are_found_by_their_names_and_a_healthy_platform_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["stall", "rejected over capacity", "looping answers", "truncated answers"]
    code = main(["--seeds", "1", "--clean", "1", "--only", ",".join(names), "--runs", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 0, out
    result = json.loads((tmp_path / "selftest" / "selftest.json").read_text(encoding="utf-8"))
    assert [one["shown"] for one in result["findings"]] == [*names, NOTHING]
    assert all(one["right"] for one in result["findings"])
    assert result["complete"] is False, "a part of the faults certifies nothing"
    assert (tmp_path / "selftest" / "selftest.md").read_text(encoding="utf-8").strip() in out


def test_a_starved_generator_is_told_from_a_slow_server(tmp_path: Path) -> None:
    assert main(["--seeds", "1", "--clean", "0", "--only", "starved generator", "--runs", str(tmp_path)]) == 0


def test_a_lost_worker_is_named_and_makes_the_run_invalid(tmp_path: Path) -> None:
    assert main(["--seeds", "1", "--clean", "0", "--only", "lost worker", "--runs", str(tmp_path)]) == 0
    (one,) = json.loads((tmp_path / "selftest" / "selftest.json").read_text(encoding="utf-8"))["findings"]
    assert (one["found"], one["verdict"]) == (LOST, "INVALID")
    assert "arrivals lost with workers" in one["broken"]


@pytest.mark.long
def test_a_healthy_platform_has_no_fault_when_workers_make_the_load_either(tmp_path: Path) -> None:
    assert main(["--seeds", "1", "--clean", "4", "--only", "lost worker", "--runs", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "selftest" / "selftest.json").read_text(encoding="utf-8"))
    assert [one["shown"] for one in result["findings"]] == [LOST, *[NOTHING] * 3, "nothing, with workers"]
    assert "0 false alarms in 4 runs without a fault" in result["reasons"][0]
