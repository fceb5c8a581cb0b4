"""A run record made by hand, with every field of a test case filled."""

from plans.run import Ending, PhaseRecord, ProcessRecord, RunRecord
from plans.schema import Plan

PLAN = {
    "id": "TC-L3-PERF-LOAD-001",
    "title": "Load testing – chat completions of Mixtral with evaluation runs beside",
    "description": "Ten minutes of ramp and half an hour of sustained load, as on a busy morning.",
    "category": "Performance",
    "level": 3,
    "priority": "P1 (critical)",
    "type": "load",
    "component": "Inference service",
    "objective": "Show that the service answers 50 requests/s within two seconds for half an hour.",
    "success_criteria": ["Mean latency below 2 s", "At least 50 requests/s", "No memory leak"],
    "environment": "staging, one node, 2 × H200",
    "preconditions": ["Model is loaded", "No other load on the node"],
    "traceability": {
        "requirement": "REQ-PERF-004",
        "user_story": "US-112",
        "architecture": "§7.3 Scaling",
        "task": "HXP-9",
    },
    "covers": ["PERF-1", "PERF-2"],
    "tags": ["nightly", "llm"],
    "target": {"host": "http://127.0.0.1:11400", "model": "mixtral-8x7b"},
    "mix": {
        "ChatUser": {"share": 0.8},
        "EvaluationRunUser": {"share": 0.2},
        "WebSocketUser": {"connections": 20},
    },
    "phases": [
        {"name": "baseline", "shape": "baseline", "rate": 10, "duration": "5m"},
        {"name": "ramp", "shape": "ramp", "rate": {"from": 10, "to": 50}, "duration": "10m"},
        {"name": "sustained", "shape": "sustained", "rate": 50, "duration": "30m"},
    ],
    "criteria": [
        {"phase": "sustained", "metric": "latency_mean_ms", "below": 2000, "id": "PERF-1"},
        {"phase": "sustained", "metric": "latency_p95_ms", "below": 600, "id": "PERF-1"},
        {"phase": "sustained", "metric": "throughput_rps", "at_least": 49, "id": "PERF-2"},
        {"phase": "sustained", "metric": "ttft_due_p95_ms", "below": 500},
        {"metric": "success_rate", "at_least": 0.999, "id": "PERF-3"},
        {"phase": "ramp", "metric": "stable_performance", "is": True},
        {"phase": "sustained", "metric": "memory_leak", "is": False, "id": "PERF-7"},
        {"metric": "quality_mean", "at_least": 0.9, "severity": "warn"},
    ],
}

BOUNDS = {"baseline": (0.0, 300.0, 10.0), "ramp": (300.0, 900.0, 30.0), "sustained": (900.0, 2700.0, 50.0)}


def run_record(**changes: object) -> RunRecord:
    """Return a record of a run that went to its end."""
    phases = [
        PhaseRecord(name=name, start_s=start, end_s=end, closed=False, reached=True)
        for name, (start, end, _) in BOUNDS.items()
    ]
    record = RunRecord(
        id="2026-11-20T21-04-17-load-7f3a",
        plan=Plan.model_validate(PLAN),
        plan_file="plans/mixtral/load.yaml",
        seed=20261120,
        host="http://127.0.0.1:11400",
        started_at="2026-11-20T21:04:17+01:00",
        clock_origin=1000.0,
        wall_origin=1_795_000_000.0,
        ended_s=2704.2,
        ending=Ending.COMPLETED,
        phases=phases,
        processes=[ProcessRecord(worker=str(n), pid=4000 + n, begun=100, recorded=100, written=100) for n in range(2)],
        command=["certify.py", "plans/mixtral/load.yaml", "--seed", "20261120", "--note", "before the release"],
        versions={"proofload": "0.1.0", "python": "3.11.9", "locust": "2.47.0", "gevent": "26.9.0"},
        machine={"cpu": "AMD EPYC 9554, 64 cores", "memory": "384 GB", "kernel": "6.8.0-40"},
    )
    return record.model_copy(update=changes)
