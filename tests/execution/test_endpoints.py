"""All endpoints of a model server in one run, open and closed phases, from the command to the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.execution.harness import ROOT, certify, plan_file, serving

KINDS = {
    "ChatUser": {"responses (stream)"},
    "ConversationUser": {"turn 1", "turns 2 to 9", "turns 10 to 99"},
    "ToolUser": {"tool call (stream)", "tool result (stream)"},
    "EmbeddingsUser": {"embeddings"},
    "RerankUser": {"rerank"},
}


def test_every_endpoint_is_loaded_in_one_run(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"extends: {ROOT / 'plans' / 'llm' / 'endpoints.yaml'}\n"
        "generator: {lag_p99_ms: 2000, loop_lag_p99_ms: 2000}\n"
        "phases:\n  - {name: low, rate: 5, duration: 1s}\n  - {name: high, rate: 20, duration: 5s}\n"
        "  - {name: chat, users: 10, think: {min: 100ms, max: 300ms}, duration: 2s}\n",
        encoding="utf-8",
    )
    run = certify(plan)

    assert run.code == 0, run.out + run.err
    named: dict[str, set[str]] = {name: set() for name in KINDS}
    for row in run.samples:
        named[row["scenario"]].add(row["name"])
    assert all(named[scenario] and named[scenario] <= names for scenario, names in KINDS.items()), named
    open_ones = [row for row in run.iterations if row["phase"] != "chat"]
    shares = {name: sum(row["scenario"] == name for row in open_ones) for name in KINDS}
    assert len(open_ones) == 105
    # Divided by the weights 2, 3, 2, 2, 1, exactly but for an arrival.
    assert all(abs(shares[name] - 105 * weight / 10) <= 1 for name, weight in zip(KINDS, (2, 3, 2, 2, 1), strict=True))


@pytest.mark.parametrize("kept", [True, False])
def test_each_request_has_a_connection_of_its_own_when_the_plan_says_so(tmp_path: Path, kept: bool) -> None:
    with serving() as host:
        target = {"host": host, "connections": {"keep_alive": kept}}
        run = certify(plan_file(tmp_path, target=target, phases=[{"name": "only", "rate": 10, "duration": "1s"}]))
    made = [row["connect_ms"] for row in run.samples if row["connect_ms"] is not None]
    assert len(run.samples) == 10
    assert (len(made) == 10) == (not kept)
