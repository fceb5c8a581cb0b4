"""Recorded traffic is replayed end to end: when it came, and what it asked."""

from __future__ import annotations

import json
from pathlib import Path

from data.traces.reading import read
from data.traces.samples import write
from plans.loading import load
from shapes.arrivals import schedule
from tests.execution.harness import certify, plan_file, serving


def test_a_log_is_asked_again_at_its_own_times(tmp_path: Path) -> None:
    moments = ["00.000", "00.010", "00.800", "01.900", "01.900", "04.125"]
    line = '::1 - - [10/Oct/2000:20:55:{} +0000] "GET /page/{} HTTP/1.1" 200 1'
    rows = [line.format(moment, number) for number, moment in enumerate(moments)]
    rows += ['::1 - - [10/Oct/2000:20:55:03 +0000] "DELETE /page/1 HTTP/1.1" 200 1']
    (tmp_path / "log").write_text("\n".join(rows), encoding="utf-8")
    phases = [{"name": "again", "shape": "replay", "trace": {"file": "log", "format": "access-log", "speed": 2}}]
    plan = plan_file(tmp_path, mix={"AccessLogUser": {}}, phases=phases)
    seen = tmp_path / "seen"
    with serving("--log", str(seen)) as host:
        done = certify(plan, f"--host={host}")

    assert done.code == 0, done.out + done.err
    due = [float(moment) / 2 for moment in moments]
    assert [row["due_s"] for row in sorted(done.samples, key=lambda row: row["arrival"])] == due
    assert {row["name"] for row in done.samples} == {"GET /page/{id}"}
    arrived = [moment - done.record.clock_origin for moment in json.loads(seen.read_text())["load"]]
    assert len(arrived) == len(due)
    late = sorted(moment - wanted for moment, wanted in zip(sorted(arrived), due, strict=True))
    assert late[0] > -0.005
    assert late[len(late) // 2] < 0.2
    assert "1 × DELETE of 7 rows are left out" in " ".join(done.record.notes)


def test_every_arrival_asks_what_its_row_asked(tmp_path: Path) -> None:
    write(tmp_path, rows=40)
    trace = read(tmp_path / "azure.csv", "azure")
    phases = [
        {"name": "warm-up", "rate": 5, "duration": "1s"},
        {
            "name": "replay",
            "shape": "replay",
            "trace": {"file": "azure.csv", "format": "azure", "speed": 2, "offset": "2s"},
        },
    ]
    plan = plan_file(tmp_path, mix={"ChatUser": {"prompts": {"source": "trace", "ignore_eos": True}}}, phases=phases)
    done = certify(plan)

    assert done.code == 0, done.out + done.err
    first = next(row for row, ns in enumerate(trace.ns) if ns >= 2 * 10**9)
    replayed = sorted((row for row in done.samples if row["phase"] == "replay"), key=lambda row: row["arrival"])
    assert [row["prompt_id"] for row in replayed] == [f"row {number + 1}" for number in range(first, 40)]
    assert [row["wanted_prompt_tokens"] for row in replayed] == list(trace.input_tokens[first:])
    assert [row["output_tokens"] for row in replayed] == list(trace.output_tokens[first:])
    counted = [row["prompt_tokens"] / row["wanted_prompt_tokens"] for row in replayed]
    assert 0.9 < sorted(counted)[len(counted) // 2] < 1.1
    due = schedule(load(plan), seed=1)
    assert [row["due_s"] for row in replayed] == due.times[due.phases == 1].tolist()
    assert any("tokens by the server's count" in note for note in done.verdict["notes"])
