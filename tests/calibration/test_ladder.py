"""What a ladder's rungs say together, what a stamp's error is, and the whole of it on a small scale."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import ladder
from calibration.__main__ import main
from calibration.ladder import Rung, Top, top
from calibration.process import ROOT, Log
from calibration.stamps import by_phase
from execution.folder import machine, versions
from plans.run import RunRecord
from samples.sample import Outcome, Protocol, Sample
from samples.segments import SAMPLE_SCHEMA, SegmentWriter
from tests.reports.records import run_record

NAN = float("nan")


def rung(load: float, **changes: float) -> Rung:
    values = {"lag_ms": 0.5, "stamp_ms": NAN, "cpu": 0.3, "missing": 0, "server_ms": NAN} | changes
    return Rung(load, values["lag_ms"], values["stamp_ms"], values["cpu"], int(values["missing"]), values["server_ms"])


@pytest.mark.parametrize("bad", [{"lag_ms": 5.1}, {"stamp_ms": 5.1}, {"cpu": 0.91}, {"missing": 1}, {"server_ms": 2.1}])
def test_each_limit_makes_a_rung_bad(bad: dict[str, float]) -> None:
    assert rung(100).good
    assert not rung(100, **bad).good


def test_the_top_is_the_last_good_rung_before_two_bad_ones() -> None:
    late = {"lag_ms": 50.0}
    assert top([rung(1), rung(2), rung(3, **late), rung(4, **late), rung(5)]) == Top(2, "client")
    assert top([rung(1), rung(2, **late), rung(3), rung(4, **late)]) == Top(3, "client")
    assert top([rung(1), rung(2)]) == Top(2, "ladder")
    assert top([rung(1), rung(2, server_ms=9.0), rung(3, server_ms=9.0)]) == Top(1, "server")
    assert top([rung(1, **late), rung(2, **late), rung(3)]) is None


def _record(folder: Path, samples: list[Sample]) -> RunRecord:
    writer = SegmentWriter(folder / "samples-0.arrow", SAMPLE_SCHEMA)
    writer.append(samples)
    record = run_record(clock_origin=1000.0)
    record.save(folder)
    return record


def _sample(due: float, outcome: Outcome = Outcome.OK) -> Sample:
    return Sample(due, due + 0.002, due + 0.352, outcome, "one", "ChatUser", "chat", Protocol.LLM)


def test_errors_are_what_was_measured_minus_what_the_server_did(tmp_path: Path) -> None:
    good, failed = _sample(1.0), _sample(2.0, Outcome.TIMEOUT)
    good.prompt_tokens, good.ttft_s, good.icl_us = 2, 0.110, [100_000, 140_000]
    _record(tmp_path, [good, failed])
    # Stream 2 arrived 1 ms after it was sent; its events left 100, 200 and 340 ms after that.
    true = 1001.003 + np.array([0.1, 0.2, 0.34])
    log = Log(
        arrivals=np.array([890.0, 900.0, 1001.003]),
        begun=np.array([900.0, 1001.003]),
        sends=np.array([900.1, *true]),
        intended=np.array([900.1, *true]),
        numbers=np.array([1, 2, 2, 2]),
    )

    errors = by_phase(tmp_path, log)["one"]

    assert (errors.streams, errors.missing) == (1, 1)
    assert errors.ttft.tolist() == pytest.approx([10.0])
    assert errors.latency.tolist() == pytest.approx([10.0])
    assert errors.gaps.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert errors.stamps.tolist() == pytest.approx([9.0] * 3)
    assert errors.lag.tolist() == pytest.approx([2.0, 2.0])


def calibrate(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "calibration", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_small_ladder_is_climbed_by_whole_runs_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What each limit does is tested above; a busy machine must not decide here.
    for limit in ("LAG_MS", "STAMP_MS", "SERVER_MS"):
        monkeypatch.setattr(ladder, limit, 5000.0)
    code = main([f"--runs={tmp_path}", "--requests=10,20", "--events=50,100", "--seconds=1"])
    out = capsys.readouterr().out

    assert code == 0
    kept = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert (kept["requests_per_s"], kept["events_per_s"], kept["streams"]) == (20, 100, 2)
    assert kept["machine"] == machine()
    assert kept["versions"] == versions()
    assert out.count("good: late by p99") == 4
    assert out.count("stamps off by p99") == 2
    assert "honestly generates 20 simple requests/s or more" in out


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--requests=20,10", "must be rising numbers"),
        ("--events=0", "must be rising numbers"),
        ("--events=many", "must be rising numbers"),
        ("--seconds=0", "must be a number from 1 to 60"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused_before_any_load(tmp_path: Path, option: str, words: str) -> None:
    done = calibrate(f"--runs={tmp_path}", option)

    assert done.returncode == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
