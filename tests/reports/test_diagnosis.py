"""What the report says of the reasons: with the figures that show it, and never without."""

from pathlib import Path
from typing import Any

import pytest

from plans.run import QueryPlan
from reports.analysis import Analysis, Finding, State
from reports.exports import verdict_json
from reports.markdown import summary_md
from reports.render import render
from samples.sample import Outcome, Protocol, Reading
from tests.reports.builder import RunBuilder, failed, steady, target

BROKEN = [{"metric": "latency_p95_ms", "phase": "sustained", "below": 10}]


def readings(source: str, metric: str, *values: float) -> list[Reading]:
    """Return readings over the 30 seconds of the builder's phase."""
    return [Reading(n * 30 / len(values), source, metric, value) for n, value in enumerate(values)]


def slow_run(**more: Any) -> RunBuilder:
    return RunBuilder({"criteria": BROKEN}, **more).samples(steady(10, 0, 30))


def only_finding(analysis: Analysis, kind: str) -> Finding:
    found = [finding for finding in analysis.findings if finding.kind == kind]
    assert len(found) == 1, analysis.findings
    return found[0]


@pytest.mark.parametrize(
    ("kind", "outcome", "error"),
    [
        ("pool_exhausted", Outcome.TIMEOUT, "pool exhausted: none of 4 connections was free within 5 s"),
        ("no_connection_left", Outcome.CONNECT_ERROR, "the database has no connection left: FATAL: sorry, too many"),
        ("server_pool_exhausted", Outcome.HTTP_ERROR, "HTTP 500: QueuePool limit of size 5 overflow 10 reached"),
        ("database_locked", Outcome.BAD_CONTENT, "locked: database is locked"),
        ("none_left_here", Outcome.CONNECT_ERROR, "Cannot assign requested address"),
        ("refused", Outcome.CONNECT_ERROR, "connection refused"),
    ],
)
def test_a_trouble_is_named_by_what_failed_with_count_phase_and_times(
    kind: str, outcome: Outcome, error: str, tmp_path: Path
) -> None:
    samples = [*steady(10, 0, 10), *(failed(10 + n / 10, outcome, error) for n in range(30))]
    finding = only_finding(RunBuilder().samples(samples).analyze(tmp_path), kind)

    assert finding.evidence == (f"30 of 130 attempts of ChatUser in sustained, from 10.0 s to 12.9 s: {error}",)
    assert finding.advice


def test_failures_that_name_no_trouble_are_no_finding(tmp_path: Path) -> None:
    samples = [*steady(10, 0, 29), *(failed(29 + n / 10, Outcome.HTTP_ERROR, "HTTP 500: oops") for n in range(10))]

    found = RunBuilder().samples(samples).analyze(tmp_path).findings

    assert [finding.kind for finding in found] == ["bottleneck"]


@pytest.mark.parametrize(
    ("status", "outcome", "error", "words"),
    [
        (404, Outcome.HTTP_ERROR, "HTTP 404: Not Found", "mix.WebSocketUser.path"),
        (503, Outcome.HTTP_ERROR, "HTTP 503: full", "takes no more connections"),
        (None, Outcome.CONNECT_ERROR, "connection refused", "is the server up"),
    ],
)
def test_refused_websockets_are_told_apart_from_requests(
    status: int | None, outcome: Outcome, error: str, words: str, tmp_path: Path
) -> None:
    refused = [
        failed(n, outcome, error, status=status, name="connect", protocol=Protocol.WEBSOCKET, iteration=False)
        for n in range(5)
    ]
    analysis = RunBuilder().samples([*steady(10, 0, 30), *refused]).analyze(tmp_path)

    assert [finding.kind for finding in analysis.findings] == ["websocket_refused"]
    assert words in analysis.findings[0].advice


@pytest.mark.parametrize(("wait_ms", "told"), [(40.0, True), (25.0, False)])
def test_the_wait_for_a_pool_is_a_finding_when_it_is_much_of_the_time(
    wait_ms: float, told: bool, tmp_path: Path
) -> None:
    rows = steady(10, 0, 30, protocol=Protocol.SQL, pool_wait_ms=wait_ms)  # of 100 ms
    analysis = RunBuilder().samples(rows).analyze(tmp_path)

    evidence = [text for finding in analysis.findings if finding.kind == "pool_wait" for text in finding.evidence]
    expected = "40.0 % of the time of the queries in sustained was the wait for a connection (40 ms on average)"
    assert evidence == ([expected] if told else [])


def test_memory_that_grows_without_end_is_named_with_how_much(tmp_path: Path) -> None:
    phases = [{"name": "long", "rate": 1, "duration": 120}]
    run = RunBuilder({"criteria": []}, phases=phases).samples(steady(1, 0, 120, phase="long"))
    run.readings(target("rss_bytes", [100e6 + n * 1e6 for n in range(120)]))
    finding = only_finding(run.analyze(tmp_path), "memory_growth")

    assert "in long, from 0 s to 120 s, up to 219 MB" in finding.evidence[0]


@pytest.mark.parametrize(
    ("figures", "names", "first"),
    [
        ({("host", "cpu_share"): 0.97}, "CPU", "CPU: 97 % of the machine was busy on average"),
        (
            {("host", "cpu_share"): 0.5, ("target", "cpu_cores"): 0.99, ("target", "processes"): 1.0},
            "CPU (one core)",
            "CPU: its one process used one core to the full (0.99 cores on average)",
        ),
        (
            {("host", "cpu_share"): 0.97, ("host", "cpu_cores"): 1.9, ("target", "cpu_cores"): 0.3},
            "CPU, which others used",
            "CPU: 97 % of the machine was busy on average, the target 0.30 cores of it, the load generator 0.20",
        ),
        ({("host", "memory_share"): 0.95}, "memory", "memory: 95 % of the machine's was in use at its highest"),
        ({("server", "kv_cache_share"): 0.99}, "memory (KV-cache)", "memory: the KV-cache was 99 % full"),
        ({("host", "disk_busy_share"): 0.9}, "disk (I/O)", "disk: the busiest was at work 90 % of the time"),
        ({("host", "iowait_share"): 0.4}, "disk (I/O)", "disk: the CPU waited for one 40 % of the time"),
        (
            {("server", "pool_in_use"): 8.0, ("server", "pool_size"): 8.0, ("server", "pool_waiting"): 12.0},
            "its pool of connections",
            "pool: 8.0 of 8 connections of the server's pool were in use on average, 12.0 operations waited for one",
        ),
        (
            {("database", "open_connections"): 95.0, ("database", "most_connections"): 96.0},
            "the database's connections",
            "pool: 95 of the database's 96 connections were open on average",
        ),
        ({("database", "lock_waiting_connections"): 6.0}, "locks in the database", "locks: 6.0 connections"),
        ({("server", "lock_waiting"): 9.0}, "a lock of its own", "locks: 9.0 requests waited for a lock of the server"),
        ({("server", "queue_waiting"): 12.0}, "its queue", "queue: 12.0 requests waited before the server on average"),
        (
            {("target", "rss_bytes"): 95e6, ("target", "memory_limit_bytes"): 100e6},
            "memory (its limit)",
            "memory: it held 95.0 MB of the 100 MB that its control group may have",
        ),
        (
            {("target", "cpu_cores"): 0.48, ("target", "cores_available"): 0.5},
            "CPU",
            "CPU: it used 0.48 of the 0.5 cores that it may use",
        ),
        ({("server", "requests_waiting"): 30.0}, "its queue", "queue: 30.0 requests waited in the server"),
    ],
)
def test_what_bound_the_target_is_told_when_a_limit_broke(
    figures: dict[tuple[str, str], float], names: str, first: str, tmp_path: Path
) -> None:
    run = slow_run()
    for (source, metric), value in figures.items():
        run.readings(readings(source, metric, value, value, value))
    finding = only_finding(run.analyze(tmp_path), "bottleneck")

    assert finding.what == f"in sustained the target was bound by {names}"
    assert finding.evidence[0].startswith(first)
    assert sum("cannot tell: no readings of" in text for text in finding.evidence) >= 3


def test_without_readings_nothing_is_claimed(tmp_path: Path) -> None:
    finding = only_finding(slow_run().analyze(tmp_path), "bottleneck")

    assert finding.what == "what bound the target in sustained cannot be told"
    assert all("cannot tell: no readings of" in text for text in finding.evidence)
    assert len(finding.evidence) == 6


def test_where_nothing_answered_no_resource_is_asked(tmp_path: Path) -> None:
    dead = [failed(n / 10, Outcome.CONNECT_ERROR, "connection refused") for n in range(300)]
    found = RunBuilder({"criteria": BROKEN}).samples(dead).analyze(tmp_path).findings

    assert [finding.kind for finding in found] == ["refused"]


def test_what_was_far_from_its_limit_is_told_too(tmp_path: Path) -> None:
    run = slow_run().readings(readings("host", "cpu_share", 0.2, 0.3, 0.4))
    finding = only_finding(run.analyze(tmp_path), "bottleneck")

    assert finding.what == "in sustained nothing that was read was at its limit"
    assert finding.evidence[0] == "CPU: 30 % of the machine was busy on average"


def test_readings_of_this_machine_say_nothing_of_a_target_elsewhere(tmp_path: Path) -> None:
    host = "http://server.internal:8000"
    run = slow_run(target={"host": host}).record(host=host).readings(readings("host", "cpu_share", 1, 1, 1))
    finding = only_finding(run.analyze(tmp_path), "bottleneck")

    assert finding.what.endswith("cannot be told")


def test_nothing_is_looked_for_when_the_limits_held(tmp_path: Path) -> None:
    run = RunBuilder().samples(steady(10, 0, 30)).readings(readings("host", "cpu_share", 1, 1, 1))

    assert run.analyze(tmp_path).findings == []


def test_a_query_without_an_index_is_not_a_matter_of_resources(tmp_path: Path) -> None:
    limit = [{"metric": "index_used", "is": True, "severity": "warn"}]
    scan = QueryPlan(name="page", sql="SELECT 1", plan="SCAN runs", indexes=[], scanned=["runs"])
    run = RunBuilder({"criteria": limit}).samples(steady(10, 0, 30, protocol=Protocol.SQL, pool_wait_ms=0.0))
    analysis = run.record(queries=[scan]).analyze(tmp_path)

    assert analysis.criteria[0].state is State.WARN
    assert analysis.findings == []


def test_every_form_of_the_report_has_the_findings(tmp_path: Path) -> None:
    samples = [*steady(10, 0, 29), failed(29.6, Outcome.BAD_CONTENT, "locked: <b>database</b> is locked")]
    analysis = RunBuilder().samples(samples).analyze(tmp_path)
    page = render(analysis)

    assert "The database was locked" in page
    assert "locked: &lt;b&gt;database" in page
    assert '"kind": "database_locked"' in verdict_json(analysis).decode()
    assert "**the database was locked**" in summary_md(analysis).decode()
