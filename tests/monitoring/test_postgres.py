"""Connections of a real PostgreSQL, what they wait for, and a server that is not there."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from monitoring.pages import Unreadable
from monitoring.postgres import OURS, PostgresWatch
from tests import services

PASSWORD = "canary-of-the-password"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with services.postgresql(PASSWORD) as found:
        yield found.replace("tester@", f"tester:{PASSWORD}@")


def read(watch: PostgresWatch) -> dict[str, float]:
    seen = watch.read()
    assert {one.source for one in seen} == {"database"}
    return {one.metric: one.value for one in seen}


def test_connections_are_counted_by_whose_they_are_and_what_they_do(url: str) -> None:
    watch = PostgresWatch(url)
    services.until(lambda: read(watch)["open_connections"] == 0)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(psycopg.connect(url, autocommit=True))
        for _ in range(2):
            held.enter_context(psycopg.connect(url, autocommit=True, application_name=OURS))
        held.enter_context(psycopg.connect(url)).execute("SELECT 1")
        found = read(watch)
    assert found == {
        "open_connections": 6,
        "own_connections": 2,
        "active_connections": 0,
        "lock_waiting_connections": 0,
        "idle_in_transaction_connections": 1,
        "most_connections": 100 - 3 - 1,
    }


def test_a_connection_that_waits_for_a_lock_is_seen(url: str) -> None:
    watch = PostgresWatch(url)
    with psycopg.connect(url) as holder, psycopg.connect(url) as waiter:
        holder.execute("CREATE TABLE held (a int)")
        holder.commit()
        holder.execute("LOCK TABLE held")
        waiting = threading.Thread(target=lambda: waiter.execute("SELECT * FROM held"))
        waiting.start()
        services.until(lambda: read(watch)["lock_waiting_connections"] == 1)
        holder.rollback()
        waiting.join(10)
        assert read(watch)["lock_waiting_connections"] == 0


def test_a_server_that_goes_is_a_hole_and_is_asked_again(url: str) -> None:
    watch = PostgresWatch(url)
    read(watch)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'proofload-monitor'"
        )
        with pytest.raises(Unreadable, match="terminat"):
            watch.read()
        assert read(watch)["open_connections"] == 1


def test_the_password_is_in_no_message(url: str) -> None:
    with pytest.raises(Unreadable) as refused:
        PostgresWatch(url.replace(PASSWORD, "wrong-" + PASSWORD)).read()
    assert "authentication failed" in str(refused.value)
    assert PASSWORD not in str(refused.value)
