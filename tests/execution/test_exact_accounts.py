"""Ten runs of one master and four workers: the samples are the arrivals, exactly, in ten of ten."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from samples.segments import SAMPLE_SCHEMA, read_table
from shapes.arrivals import schedule
from tests.execution.harness import ROOT, Finished, certify, plan_file

MIX = {"ChatUser": {"share": 0.3, "max_tokens": 8}, "EvaluationRunUser": {"share": 0.5}, "ReadOnlyUser": {"share": 0.2}}
PLANS: list[dict[str, Any]] = [
    {
        "mix": MIX | {"WebSocketUser": {"connections": 6, "rate": 2}},
        "arrivals": "poisson",
        "phases": [
            {"name": "open", "rate": 30, "duration": "2s"},
            {"name": "closed", "users": 7, "think": "150ms", "duration": "2s"},
            {"name": "again", "rate": 10, "duration": "1s"},
        ],
    },
    {"mix": {"ReadOnlyUser": {}}, "phases": [{"name": "even", "rate": 100, "duration": "5s"}]},
    {
        "mix": MIX,
        "arrivals": "gamma",
        "phases": [
            {"name": "up", "shape": "ramp", "rate": {"from": 1, "to": 60}, "duration": "4s"},
            {"name": "peak", "shape": "spike", "rate": {"base": 5, "peak": 80}, "duration": "3s"},
        ],
    },
    {
        "mix": {"ReadOnlyUser": {"share": 0.7}, "EvaluationRunUser": {"share": 0.3}},
        "arrivals": "poisson",
        "phases": [{"name": f"short{number}", "rate": 7 + 13 * number, "duration": "700ms"} for number in range(7)],
    },
    {
        "mix": {"Plain": {"file": str(ROOT / "tests" / "execution" / "my_users.py")}, "SessionUser": {}},
        "phases": [{"name": "brought", "rate": 30, "duration": "4s"}],
        "criteria": [{"metric": "throughput_rps", "at_least": 10}],  # Plain asks for what the platform does not have
    },
]
RUNS = [(plan, seed) for seed in (3, 20_251_201) for plan in range(len(PLANS))]
WORKERS = 4


def arrivals(run: Finished) -> dict[int, float]:
    """Return the time of every arrival that was made."""
    return {row["arrival"]: row["due_s"] for row in run.iterations if row["arrival"] is not None}


def assert_all_counts_agree(run: Finished, processes: int) -> None:
    """The plan, what each process says, and what lies on the disk: scheduled, begun, recorded, written, rows."""
    record, rows = run.record, run.samples
    planned = schedule(record.plan, record.seed)
    assert arrivals(run) == dict(zip(planned.indices.tolist(), planned.times.tolist(), strict=True))
    iterations = run.iterations
    assert len([row for row in iterations if row["arrival"] is not None]) == len(planned), "none is made twice"
    made = Counter((row["phase"], row["scenario"]) for row in iterations)
    scheduled = {(p.name, name): count for p in record.phases for name, count in p.scheduled.items()}
    assert made == scheduled
    assert [phase.lost for phase in record.phases] == [{}] * len(record.phases)
    assert len(record.processes) == processes
    for process in record.processes:
        own = read_table([run.folder / f"samples-{process.worker}.arrow"], SAMPLE_SCHEMA).to_pylist()
        assert {row["worker"] for row in own} == {process.worker}
        dropped = sum(row["outcome"] == "dropped" for row in own)
        assert process.begun + dropped == process.recorded == process.written == len(own)
        assert process.write_errors == []
    assert sum(process.written for process in record.processes) == len(rows)
    for phase in run.verdict["phases"]:
        accounting = phase["accounting"]
        assert (accounting["lost"], sum(accounting["outcomes"].values())) == (0, accounting["scheduled"])


@pytest.mark.long
@pytest.mark.parametrize(("plan", "seed"), RUNS)
def test_the_samples_of_four_workers_are_the_arrivals_exactly_and_those_of_one_process(
    tmp_path: Path, plan: int, seed: int
) -> None:
    runs = {}
    for processes in (WORKERS, 1):
        folder = tmp_path / str(processes)
        folder.mkdir()
        options = [f"--workers={processes}"] if processes > 1 else []
        runs[processes] = certify(plan_file(folder, **PLANS[plan]), f"--seed={seed}", *options)
        assert runs[processes].code == 0, runs[processes].out + runs[processes].err
        assert_all_counts_agree(runs[processes], processes)
    assert arrivals(runs[WORKERS]) == arrivals(runs[1])
