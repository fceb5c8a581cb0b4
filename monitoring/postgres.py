"""Connections of a PostgreSQL server, and what they wait for, from its own `pg_stat_activity`."""

from urllib.parse import urlsplit

import psycopg

from monitoring.aside import Seen
from monitoring.pages import TIMEOUT_S, Unreadable

OURS = "proofload"
"""What the load's own connections are called."""
_QUERY = """
SELECT count(*) AS open_connections,
       count(*) FILTER (WHERE application_name = %(ours)s) AS own_connections,
       count(*) FILTER (WHERE state = 'active') AS active_connections,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiting_connections,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%%') AS idle_in_transaction_connections,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - 1
           AS most_connections
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class PostgresWatch:
    """Asks through one connection that is kept, and not counted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[tuple[int, ...]] | None = None

    def __str__(self) -> str:
        return "the database's pg_stat_activity"

    def read(self) -> list[Seen]:
        """Return the connections of all clients, by what they do. Raises Unreadable."""
        try:
            cursor = self._connected().execute(_QUERY, {"ours": OURS})
            row = cursor.fetchone()
        except (psycopg.Error, OSError) as error:
            self._connection = None
            raise Unreadable(self._said(error)) from None
        assert row is not None  # an aggregate without groups has one row
        names = [column.name for column in cursor.description or ()]
        return [Seen("database", name, float(value)) for name, value in zip(names, row, strict=True)]

    def _connected(self) -> psycopg.Connection[tuple[int, ...]]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url,
                connect_timeout=round(TIMEOUT_S) or 1,
                options=f"-c statement_timeout={round(1000 * TIMEOUT_S)}",
                application_name="proofload-monitor",
                autocommit=True,
            )
        return self._connection

    def _said(self, error: Exception) -> str:
        lines = str(error).strip().splitlines()
        text, password = lines[0] if lines else type(error).__name__, urlsplit(self._url).password
        return text.replace(password, "***") if password else text
