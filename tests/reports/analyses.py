"""Analyses made by hand, for the tests of everything that draws one."""

from dataclasses import replace

from plans.metrics import METRICS
from plans.run import Ending
from plans.schema import Criterion, Plan
from reports.analysis import (
    Accounting,
    Analysis,
    CriterionResult,
    DataFact,
    ErrorGroup,
    GroupResult,
    HealthCheck,
    Measured,
    PhaseResult,
    State,
    Timeline,
    Verdict,
)
from samples.journal import Event, EventKind
from samples.sample import Outcome
from tests.reports.curves import selections, slowest, timeline
from tests.reports.records import BOUNDS, run_record

_LOADS = {"baseline": "10 RPS", "ramp": "10 → 50 RPS", "sustained": "50 RPS"}
_NAMES = (
    ("ChatUser", "POST /v1/chat/completions", "llm"),
    ("EvaluationRunUser", "GET /api/v1/evaluations/runs", "http"),
    ("EvaluationRunUser", "POST /api/v1/evaluations/runs", "http"),
    ("EvaluationRunUser", "GET /api/v1/evaluations/runs/{id}", "http"),
    ("WebSocketUser", "connect /ws/evaluations", "websocket"),
)


def accounting(scheduled: int, lost: int = 0, **failures: int) -> Accounting:
    """Return the accounting of so many arrivals, ok but for the failures."""
    outcomes = {outcome.value: failures.get(outcome.value, 0) for outcome in Outcome}
    outcomes["ok"] = scheduled - sum(failures.values()) - lost
    return Accounting(scheduled=scheduled, outcomes=outcomes, lost=lost)


def metrics(count: int, rate: float, level: float, llm: bool, slow: float = 1.0) -> dict[str, Measured]:
    """Return every catalogued metric of a phase or group, some of them missing."""
    spread = {"mean": 0.8, "p50": 0.7, "p90": 1.2, "p95": 1.5, "p99": 2.4, "p999": 4.0, "max": 6.3}
    base = {
        "latency": level,
        "service": level * 0.97,
        "lag": 0.9,
        "ttft": level / 3,
        "ttft_due": level / 2.9,
        "ttfo": level / 2.8,
        "icl": 14.0,
        "icl_max": 61.0,
        "tpot": 13.2,
        "norm_tpot": 18.0,
        "adj": level,
    }
    singles: dict[str, float | bool] = {
        "offered_rps": rate,
        "throughput_rps": rate * 0.996,
        "goodput_rps": rate * 0.97,
        "success_rate": 0.99962,
        "error_rate": 0.00038,
        "availability": 1.0,
        "scheduled": count,
        "dropped": 3,
        "stability_score": 0.983,
        "stable_performance": True,
        "output_tokens_per_s": rate * 61,
        "input_tokens_per_s": rate * 180,
        "tokens_per_event": 1.02,
        "quality_mean": 0.953,
        "cpu_cores_mean": 5.1,
        "cpu_cores_max": 7.9,
        "memory_max_bytes": 3.41e9,
        "memory_growth": 0.013,
        "stable_utilisation": True,
    }
    found: dict[str, Measured] = {}
    for name, metric in METRICS.items():
        family, _, statistic = name.removesuffix("_ms").rpartition("_")
        if metric.kind.value == "llm" and not llm:
            found[name] = Measured(None, 0, "no language model was asked")
        elif name in singles:
            found[name] = Measured(singles[name], count)
        elif family in base and statistic in spread:
            value = base[family] * spread[statistic] * (slow if family != "lag" else 1)
            found[name] = Measured(value, count, interval=(value * 0.97, value * 1.04) if statistic[0] == "p" else None)
        else:
            found[name] = Measured(None, 0, "too short to tell: 41 readings, 60 are needed")
    return found


def phases(slow: float = 1.0) -> list[PhaseResult]:
    """Return the three phases of the plan."""
    results = []
    for name, (start, end, rate) in BOUNDS.items():
        count = int((end - start) * rate)
        failures = {"http_error": count // 900, "timeout": count // 4000, "dropped": 3 if slow > 1 else 0}
        shape = "constant" if name != "ramp" else "ramp"
        late = slow if name == "sustained" else 1.0
        results.append(
            PhaseResult(
                name,
                shape,
                False,
                start,
                end,
                True,
                _LOADS[name],
                accounting(count, **failures),
                metrics(count, rate, 240 + rate * 2, True, late),
            )
        )
    return results


def groups() -> tuple[list[GroupResult], list[GroupResult]]:
    """Return scenarios and requests."""
    requests = [
        GroupResult(
            scenario,
            name,
            protocol,
            accounting(40_000 // (n + 1), http_error=n * 7, timeout=n),
            metrics(40_000 // (n + 1), 22.0 / (n + 1), 400.0 / (n + 1), protocol == "llm"),
        )
        for n, (scenario, name, protocol) in enumerate(_NAMES)
    ]
    scenarios = [replace(r, name=None) for r in requests if r.name and (r.protocol != "http" or "{" in r.name)]
    return scenarios, requests


def _judged(
    criterion: Criterion,
    value: float | bool | None,
    *,
    state: State = State.PASS,
    margin: float | None = None,
    interval: tuple[float, float] | None = None,
    close: bool = False,
    why: str | None = None,
    reason: str = "",
) -> CriterionResult:
    measured = Measured(value, 90_000 if value is not None else 0, why, interval)
    return CriterionResult(criterion, measured, state, margin, close, reason)


def criteria(plan: Plan, verdict: Verdict) -> list[CriterionResult]:
    """Return one result per criterion of PLAN; a FAIL breaks the second and the fourth."""
    bad = verdict is Verdict.FAIL
    limits = plan.criteria
    late = State.FAIL if bad else State.PASS
    return [
        _judged(limits[0], 431.0, state=State.PASS, margin=0.7845, reason="mean latency 431 ms, limit 2 s"),
        _judged(
            limits[1],
            912.4 if bad else 541.2,
            state=late,
            margin=-0.52 if bad else 0.098,
            interval=(884.0, 951.0) if bad else (512.0, 604.0),
            close=not bad,
            reason="p95 of latency",
        ),
        _judged(limits[2], 49.81, state=State.PASS, margin=0.0165, reason="throughput 49.8 RPS"),
        _judged(
            limits[3],
            500.04 if bad else 171.2,
            state=late,
            margin=-0.00008 if bad else 0.66,
            close=bad,
            interval=(480.0, 520.0) if bad else (169.0, 174.0),
            reason="time to first token",
        ),
        _judged(limits[4], 0.99962, state=State.PASS, margin=0.0006, interval=(0.99941, 0.99976), reason="success"),
        _judged(limits[5], True, state=State.PASS, reason="stable"),
        _judged(
            limits[6],
            None,
            state=State.NO_DATA if verdict is Verdict.INVALID else State.PASS,
            why="the target's process was not found",
            reason="no data: the target's process was not found",
        )
        if verdict is Verdict.INVALID
        else _judged(limits[6], False, state=State.PASS, reason="no leak"),
        _judged(
            limits[7],
            0.883 if bad else 0.953,
            state=State.WARN if bad else State.PASS,
            margin=-0.0189 if bad else 0.0589,
            interval=(0.87, 0.895) if bad else (0.95, 0.957),
            reason="quality",
        ),
    ]


def health(broken: bool) -> list[HealthCheck]:
    """Return the checks of the load generator."""
    return [
        HealthCheck(
            "start lag p99",
            not broken,
            "412 ms" if broken else "2.1 ms",
            "≤ 100 ms",
            "use more workers: the generator started requests late",
        ),
        HealthCheck("event loop lag p99", True, "3.4 ms", "≤ 100 ms", "use more workers"),
        HealthCheck(
            "CPU of the busiest process",
            not broken,
            "0.99 cores" if broken else "0.61 cores",
            "≤ 0.95 cores",
            "add --processes or another machine: one core is full",
        ),
        HealthCheck("arrivals sent", True, "99.99 %", "≥ 99 %", "give the pool more users"),
        HealthCheck("samples kept", True, "111,000 of 111,000", "all", "look for a full disk"),
    ]


def errors() -> list[ErrorGroup]:
    """Return grouped failures, one of them long."""
    return [
        ErrorGroup(
            "http_error",
            503,
            "503 Service Unavailable: queue is full ({n} waiting)",
            "ChatUser",
            "POST /v1/chat/completions",
            112,
            1702.0,
            2144.0,
            '503 Service Unavailable: queue is full (64 waiting) {"error":{"type":"overloaded"}}',
        ),
        ErrorGroup(
            "timeout",
            None,
            "no answer within 30 s",
            "ChatUser",
            "POST /v1/chat/completions",
            27,
            1811.0,
            2010.0,
            "no answer within 30 s (1 of 211 events received)",
        ),
        ErrorGroup(
            "bad_content",
            200,
            "stream ended without [DONE]",
            "ChatUser",
            "POST /v1/chat/completions",
            4,
            1850.0,
            1861.0,
            "stream ended without [DONE] after 88 events",
        ),
    ]


REASONS = {
    Verdict.PASS: [
        "All 8 criteria held; the closest is throughput_rps of sustained: 49.8 RPS, limit ≥ 49.0 RPS (+1.6 %)."
    ],
    Verdict.FAIL: [
        "latency_p95_ms of sustained is 912 ms, limit < 600 ms (52 % over), 90,000 samples.",
        "ttft_due_p95_ms of sustained is 500.04 ms, limit < 500.00 ms, 90,000 samples; the limit is in the interval.",
    ],
    Verdict.INVALID: [
        "The load generator was the limit: start lag p99 was 412 ms (limit 100 ms). Use more workers.",
        "memory_leak of sustained has no data: the target's process was not found.",
    ],
}


def analysis(verdict: Verdict = Verdict.PASS, points: int = 540, **changes: object) -> Analysis:
    """Return a whole analysis with this verdict."""
    slow = {Verdict.PASS: 1.0, Verdict.FAIL: 2.6, Verdict.INVALID: 1.5}[verdict]
    parts = phases(slow)
    scheduled = sum(part.accounting.scheduled for part in parts)
    run = run_record()
    if verdict is Verdict.INVALID:
        run = run_record(time_scale=0.02, ending=Ending.INTERRUPTED)
        parts[-1] = replace(parts[-1], accounting=accounting(90_000, lost=12, http_error=100))
    scenarios, requests = groups()
    total = PhaseResult(
        "whole run",
        "",
        False,
        0.0,
        2700.0,
        True,
        "",
        accounting(scheduled, http_error=123, timeout=27),
        metrics(scheduled, 41.1, 330.0, True, slow),
    )
    result = Analysis(
        run=run,
        verdict=verdict,
        reasons=REASONS[verdict],
        criteria=criteria(run.plan, verdict),
        health=health(verdict is Verdict.INVALID),
        phases=parts,
        total=total,
        scenarios=scenarios,
        requests=requests,
        errors=errors() if verdict is not Verdict.PASS else errors()[:1],
        timeline=timeline(points, slow=slow),
        events=[
            Event(0.0, EventKind.PHASE, "phase baseline begins"),
            Event(300.0, EventKind.PHASE, "phase ramp begins"),
            Event(1700.0, EventKind.FAULT, "fault slow_decode on for 8m"),
            Event(1843.0, EventKind.WARNING, "worker 1: pool is at its maximum of 2,000 users", "1"),
        ],
        notes=[
            "Token counts come from the server's usage field.",
            "WebSocket latency: server and generator share a clock.",
        ],
        samples=scheduled,
        length_s=2704.2,
        next_steps=["Look at the slowest requests.", "Measure longer."],
        slowest=slowest(_NAMES),
        data_quality=[DataFact("start lag", "p99 2.1 ms"), DataFact("dropped arrivals", "3 of 111,000", True)],
        selections=selections(min(points, 300), _NAMES),
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def empty() -> Analysis:
    """Return the analysis of a run that ended before anything happened."""
    run = run_record(phases=[], ended_s=None, ending=Ending.RUNNING, processes=[], command=[], versions={}, machine={})
    nothing = Measured(None, 0, "nothing was measured")
    limits = [CriterionResult(c, nothing, State.NO_DATA, None, False, "no data") for c in run.plan.criteria]
    total = PhaseResult("whole run", "", False, 0.0, 0.0, False, "", accounting(0), {})
    return Analysis(
        run,
        Verdict.INVALID,
        ["Nothing was measured."],
        limits,
        [],
        [],
        total,
        [],
        [],
        [],
        Timeline(0.0, 1.0, 0, [], [], [], [], [], [], []),
        [],
    )
