"""WebSocket traffic from the plan to `websocket.json`, against servers whose every message is known."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.clients.websocket_server import AGE_S
from tests.execution.harness import Finished, certify, plan_file, pushing

PHASES = [{"name": "only", "users": 1, "duration": "6s"}]


def result(run: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "report" / "websocket.json").read_text())
    return found


def held(tmp_path: Path, *options: str, faults: tuple[dict[str, Any], ...] = (), **mix: Any) -> Finished:
    plan = plan_file(tmp_path, mix={"WebSocketUser": mix}, phases=PHASES, criteria=[], faults=list(faults))
    return certify(plan, *options)


def test_what_a_server_loses_delays_repeats_and_reorders_comes_out_exactly(tmp_path: Path) -> None:
    with pushing() as host:
        run = held(tmp_path, f"--host={host}", connections=3, path="/mangled", storm="all at once", rate=20)

    found = result(run)
    assert found["messages"] == {
        "sent": 300,
        "received": 291,
        "delivery_rate": 0.97,
        "missing": 9,
        "gaps": 6,
        "duplicates": 6,
        "reordered": 3,
    }
    assert found["connections"] == {
        "established": 3,
        "failed": 0,
        "success_rate": 1.0,
        "lost": 0,
        "close_codes": {},
    }
    latency = run.verdict["total"]["metrics"]["message_latency_p50_ms"]
    assert latency["samples"] == 3 * (1 + 97 + 2)
    assert AGE_S * 1000 <= latency["value"] < AGE_S * 1000 + 40


def test_without_a_shared_clock_half_of_the_round_trip_is_the_latency(tmp_path: Path) -> None:
    with pushing() as host:
        run = held(tmp_path, f"--host={host}", connections=2, path="/late-echo", echo=5)

    echoes = [row for row in run.samples if row["name"] == "echo"]
    assert len(echoes) > 10
    for row in echoes:
        assert row["latency_source"] == "echo"
        assert row["done_s"] - row["sent_s"] == pytest.approx(2 * (row["done_s"] - row["due_s"]))
        assert row["done_s"] - row["sent_s"] >= 0.1
    metrics = run.verdict["total"]["metrics"]
    round_trips = [1000 * (row["done_s"] - row["sent_s"]) for row in echoes]
    assert metrics["ws_echo_p50_ms"]["value"] == pytest.approx(statistics.median_low(round_trips))
    assert any("half of an echoed round trip" in note for note in run.verdict["notes"])


def test_lost_connections_are_counted_by_code_and_go_on_where_they_were(tmp_path: Path) -> None:
    drop = {"kind": "ws_drop", "at": "0.5s", "duration": "0.7s", "params": {"rate": 0.2}}
    run = held(tmp_path, connections=6, rate=10, ping="0.5s", compression=True, faults=(drop,))

    found, rows = result(run), run.samples
    lost = [row for row in rows if row["name"] == "connection lost"]
    assert len(lost) >= 2, run.out + run.err
    assert found["connections"]["close_codes"] == {"1011": len(lost)}
    assert found["connections"]["established"] == 6 + len(lost)
    for loss in lost:
        numbers = [
            row["sequence"]
            for row in rows
            if row["connection"] == loss["connection"] and row["sequence"] and row["name"] != "subscribed"
        ]
        assert numbers == list(range(1, max(numbers) + 1))
        assert any(r["connection"] == loss["connection"] and r["done_s"] > loss["done_s"] + 0.4 for r in rows)
    assert found["messages"]["delivery_rate"] == 1
    assert found["messages"]["duplicates"] == 0
    assert found["ping"]["max"] > 0
