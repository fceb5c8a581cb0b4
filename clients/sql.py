"""SQL for load: any database that SQLAlchemy knows, a pool whose wait is measured, plans that name their indexes.

PostgreSQL (psycopg 3) waits on its sockets by gevent, in the greenlet of the user. What blocks - SQLite, which works
inside this process, and every other driver - runs in threads, one per connection, so that the event loop goes on.
"""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.queue import LifoQueue
from gevent.threadpool import ThreadPool
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, CursorResult, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from clients.errors import ClientError, ConnectFailed, QueryFailed, TimedOut

_GRACE_S = 1.0
"""PostgreSQL cancels a statement by itself, and says so: that answer is waited for."""

Parameters = Mapping[str, object]


@dataclass(slots=True)
class Rows:
    """What a statement gave back; times are `time.monotonic()` seconds."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0
    """Rows fetched, or rows changed by a statement that returns none."""
    acquired: float = 0.0
    """A connection was to be had: what passed before is the wait for the pool."""
    connect_ms: float | None = None
    """Time to open the connection, milliseconds; None on one that was open."""
    done: float = 0.0


@dataclass(frozen=True, slots=True)
class Explained:
    """How the database serves a statement."""

    text: str
    indexes: tuple[str, ...] = ()
    """Indexes and primary keys that it uses."""
    scanned: tuple[str, ...] = ()
    """Tables that it reads from begin to end."""


def driver_url(url: str) -> str:
    """Return the URL with the driver that is used: psycopg 3 for PostgreSQL. Raises ValueError for what is none.

    >>> driver_url("postgresql://tester@127.0.0.1:5432/load")
    'postgresql+psycopg://tester@127.0.0.1:5432/load'
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError("must be a database URL such as postgresql://user@host/name or sqlite:///file.db") from None
    return parsed.render_as_string(hide_password=False)


class SqlClient:
    """A pool of connections to one database, for the users of a process. Connections are opened when first needed."""

    def __init__(self, url: str, *, connections: int, timeout: float) -> None:
        """`timeout` bounds the wait for a connection, and then each statement, in seconds. Raises ValueError."""
        parsed = make_url(driver_url(url))
        self._postgres = parsed.get_backend_name() == "postgresql"
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self._timeout, self.connections = timeout, connections
        self._grace = _GRACE_S if self._postgres else 0.0
        self._engine = self._create_engine(parsed.render_as_string(hide_password=False))
        # Some threads more than connections: one that a statement does not give back must not cost a connection.
        self._threads = None if self._postgres else ThreadPool(connections + 4)
        self._pool: LifoQueue[Connection | None] = LifoQueue()
        for _ in range(connections):
            self._pool.put(None)

    @property
    def backend(self) -> str:
        """`postgresql`, `sqlite`, `mysql`, ..."""
        return str(self._engine.dialect.name)

    def _create_engine(self, url: str) -> Engine:
        arguments: dict[str, object] = {}
        if self._postgres:
            milliseconds = max(round(self._timeout * 1000), 1)
            arguments = {
                "connect_timeout": max(round(self._timeout), 2),
                "options": f"-c statement_timeout={milliseconds}",
                "application_name": "proofload",
            }
        elif self._sqlite:
            # A connection belongs to the pool and not to a thread. A lock is waited for as long as SQLite does, but its
            # refusal is heard before our own time is over.
            arguments = {"check_same_thread": False, "timeout": min(0.8 * self._timeout, 5.0)}
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments)
        if self._sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
        return engine

    def run(self, statement: str, parameters: Parameters | Sequence[Parameters] = ()) -> Rows:
        """Wait for a connection, run a statement with its `:name` parameters, and fetch its rows.

        Several sets of parameters are one batch. Raises ConnectFailed (refused, no connection to be had), TimedOut
        (no free connection, or no answer in time) and QueryFailed.
        """
        connection = self._acquire()
        result = Rows(acquired=time.monotonic())
        try:
            if connection is None:
                connection = self._call(self._engine.connect)
                result.connect_ms = (time.monotonic() - result.acquired) * 1000
            with gevent.Timeout(self._timeout + self._grace, TimedOut("the time is over")):
                result.rows, result.count = self._call(_execute, connection, statement, parameters)
        except SQLAlchemyError as error:
            broken = not isinstance(error, DBAPIError) or error.connection_invalidated or connection is None
            self._release(connection, broken=broken)
            raise _named(error) from None
        except TimedOut:
            self._release(connection, broken=True)
            raise TimedOut(f"no answer within {self._timeout:g} s") from None
        except BaseException:
            # A user that is killed in mid-statement must not leave half an answer to the next one.
            self._release(connection, broken=True)
            raise
        result.done = time.monotonic()
        self._release(connection)
        return result

    def explain(self, statement: str, parameters: Parameters) -> Explained | None:
        """Return how a statement is served; None when the database's way of telling is not known here.

        PostgreSQL runs it, in a transaction that is rolled back, and tells buffers and times. Raises what `run` does.
        """
        if self._postgres:
            try:
                plan = _explain_postgres(self._engine, statement, parameters)
            except SQLAlchemyError as error:
                raise _named(error) from None
        elif self._sqlite:
            plan = "\n".join(str(row[-1]) for row in self.run(f"EXPLAIN QUERY PLAN {statement}", parameters).rows)
        else:
            return None
        return explained(plan)

    def close(self) -> None:
        """Close the connections that are free; those of killed users are closed already."""
        while not self._pool.empty():
            connection = self._pool.get()
            if connection is not None:
                with suppress(SQLAlchemyError):
                    self._call(connection.close)
        self._engine.dispose()
        if self._threads is not None:
            self._threads.kill()

    def _call(self, function: Any, *arguments: Any) -> Any:
        if self._threads is None:  # an idle pool of threads has the length 0
            return function(*arguments)
        return self._threads.apply(function, arguments)

    def _acquire(self) -> Connection | None:
        with gevent.Timeout(self._timeout, False):
            connection: Connection | None = self._pool.get()
            return connection
        raise TimedOut(f"pool exhausted: none of {self.connections} connections was free within {self._timeout:g} s")

    def _release(self, connection: Connection | None, *, broken: bool = False) -> None:
        if broken and connection is not None:
            if self._threads is None:
                _discard(connection)
            else:
                # Its thread may still be at work: SQLite is asked to stop, and nobody waits for it.
                interrupt = getattr(connection.connection.dbapi_connection, "interrupt", None)
                if interrupt is not None:
                    interrupt()
                self._threads.spawn(_discard, connection)
            connection = None
        self._pool.put(connection)


def _discard(connection: Connection) -> None:
    with suppress(SQLAlchemyError):
        connection.invalidate()
        connection.close()


def _execute(
    connection: Connection, statement: str, parameters: Parameters | Sequence[Parameters]
) -> tuple[list[tuple[Any, ...]], int]:
    result: CursorResult[Any] = connection.execute(text(statement), parameters or None)
    if not result.returns_rows:
        return [], result.rowcount
    rows = [tuple(row) for row in result]
    return rows, len(rows)


def _explain_postgres(engine: Engine, statement: str, parameters: Parameters) -> str:
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        rows = connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS) {statement}"), parameters).all()
        connection.rollback()
    return "\n".join(str(row[0]) for row in rows)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


_INDEXES = (
    re.compile(r"Index (?:Only )?Scan(?: Backward)? using (\S+)"),
    re.compile(r"Bitmap Index Scan on (\S+)"),
    re.compile(r"USING (?:COVERING )?INDEX (\S+)"),
    re.compile(r"USING (INTEGER PRIMARY KEY)"),
)
_SCANS = (re.compile(r"Seq Scan on (\S+)"), re.compile(r"^SCAN (\S+)(?!.* USING )", re.MULTILINE))


def explained(plan: str) -> Explained:
    """Read the plan that PostgreSQL or SQLite told: the indexes that serve it, and the tables that are scanned.

    >>> explained("SEARCH r USING INDEX ix_status (status=?)").indexes
    ('ix_status',)
    """
    indexes = dict.fromkeys(found for pattern in _INDEXES for found in pattern.findall(plan))
    scanned = dict.fromkeys(found for pattern in _SCANS for found in pattern.findall(plan))
    return Explained(plan, tuple(indexes), tuple(scanned))


_REFUSED = ("connection refused", "could not translate host", "failed to resolve host", "no such file or directory")
_EXHAUSTED = ("too many clients", "remaining connection slots", "too many connections")


def _named(error: SQLAlchemyError) -> ClientError:
    """Return the error of the driver under the name that a report groups by."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()
    said = cause[0] if cause else type(error).__name__
    low = " ".join(cause).lower()
    if any(mark in low for mark in _EXHAUSTED):
        return ConnectFailed(f"the database has no connection left: {said}")
    if any(mark in low for mark in _REFUSED):
        return ConnectFailed("the database refused the connection")
    if "statement timeout" in low:
        return TimedOut("the database cancelled the statement: statement timeout")
    if "database is locked" in low or "database table is locked" in low or "deadlock" in low or "lock timeout" in low:
        return QueryFailed(f"locked: {said}")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return ConnectFailed(f"the database closed the connection: {said}")
    return QueryFailed(said)
