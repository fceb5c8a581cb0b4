"""Connections that leak, and pools that ran dry, by the readings."""

from pathlib import Path

import pytest

from reports.analysis import Measured
from samples.sample import Outcome, Protocol, Reading
from tests.reports.builder import RunBuilder, failed, steady

LONG = [{"name": "long", "rate": 1, "duration": 120}]


def readings(source: str, metric: str, values: list[float]) -> list[Reading]:
    return [Reading(n - 1.0, source, metric, value) for n, value in enumerate(values)]


def metric(run: RunBuilder, folder: Path, name: str) -> Measured:
    return run.analyze(folder).phases[0].metrics[name]


def run(**plan: object) -> RunBuilder:
    return RunBuilder({"criteria": []}, phases=LONG, **plan).samples(steady(1, 0, 120, phase="long"))


@pytest.mark.parametrize(
    ("sockets", "users", "leaks"),
    [
        ([20.0] * 121, [10.0] * 121, False),
        ([20.0 + n / 4 for n in range(121)], [10.0] * 121, True),
        # One more for each user of ours: that is the load, and no leak.
        ([20.0 + n / 4 for n in range(121)], [10.0 + n / 4 for n in range(121)], False),
        # Users who had not connected yet, and do so one by one.
        ([20.0 + n / 4 for n in range(121)], [40.0] * 121, False),
        ([20.0 + n / 60 for n in range(121)], [0.0] * 121, False),
    ],
)
def test_sockets_that_no_user_explains_are_a_leak_when_they_grow(
    sockets: list[float], users: list[float], leaks: bool, tmp_path: Path
) -> None:
    built = run().readings(readings("target", "connections", sockets)).readings(readings("generator", "users", users))
    analysis = built.analyze(tmp_path)

    assert analysis.phases[0].metrics["connection_leak"].value is leaks
    assert ("connection_leak" in {finding.kind for finding in analysis.findings}) is leaks


@pytest.mark.parametrize("ours", [True, False])
def test_a_databases_connections_are_a_leak_when_they_are_others(ours: bool, tmp_path: Path) -> None:
    growing = [5.0 + n / 5 for n in range(121)]
    built = run().readings(readings("database", "open_connections", growing))
    built.readings(readings("database", "own_connections", growing if ours else [5.0] * 121))

    assert metric(built, tmp_path, "connection_leak").value is not ours


def test_few_readings_are_too_short_to_tell_and_none_say_so(tmp_path: Path) -> None:
    few = run().readings(readings("target", "connections", [1.0 + n for n in range(30)]))

    assert "too short to tell: 29 readings of connections" in (metric(few, tmp_path / "a", "connection_leak").why or "")
    assert metric(run(), tmp_path / "b", "connection_leak").why == (
        "there are no readings of the target's connections, nor of a database's"
    )


@pytest.mark.parametrize(
    ("used", "waiting", "exhausted"),
    [
        ([8.0] * 121, [3.0] * 121, True),
        ([8.0] * 121, [0.0] * 121, False),
        ([8.0] * 4 + [2.0] * 117, [3.0] * 121, False),
    ],
)
def test_a_servers_pool_is_exhausted_when_somebody_waits_for_it_often(
    used: list[float], waiting: list[float], exhausted: bool, tmp_path: Path
) -> None:
    built = run()
    for name, values in (("pool_in_use", used), ("pool_size", [8.0] * 121), ("pool_waiting", waiting)):
        built.readings(readings("server", name, values))

    assert metric(built, tmp_path, "pool_exhausted").value is exhausted


@pytest.mark.parametrize(("used", "exhausted"), [(96.0, True), (95.0, False)])
def test_a_database_without_a_connection_left_is_an_exhausted_pool(
    used: float, exhausted: bool, tmp_path: Path
) -> None:
    built = run().readings(readings("database", "open_connections", [used] * 121))
    built.readings(readings("database", "most_connections", [96.0] * 121))

    assert metric(built, tmp_path, "pool_exhausted").value is exhausted


def test_a_request_that_failed_for_want_of_a_connection_is_enough(tmp_path: Path) -> None:
    error = "pool exhausted: none of 4 connections was free within 5 s"
    empty = run().samples([failed(3, Outcome.TIMEOUT, error, phase="long", protocol=Protocol.SQL)])
    queries = RunBuilder({"criteria": []}, phases=LONG)
    queries.samples(steady(1, 0, 120, phase="long", protocol=Protocol.SQL, pool_wait_ms=5.0))

    assert metric(empty, tmp_path / "a", "pool_exhausted") == Measured(True, 1)
    assert metric(queries, tmp_path / "b", "pool_exhausted").value is False
    assert metric(run(), tmp_path / "c", "pool_exhausted").value is None
