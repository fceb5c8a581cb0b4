"""Evaluation runs in a real database: SQLite in a file of its own, or PostgreSQL by URL.

Every operation is one statement, so connections are in autocommit mode: no BEGIN and COMMIT round trips to
the driver's thread. SQLite has one writer at a time; writers queue in this process instead of polling the
file's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sql
from prometheus_client import Histogram
from sqlalchemy import event
from sqlalchemy.engine import RowMapping
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from .seeding import seed_rows

STATUSES = ("pending", "running", "completed", "failed")
METRICS = ("accuracy", "latency_ms", "tokens", "cost_usd")
POOL_SIZE = 8

TABLES = sql.MetaData()
RUNS = sql.Table(
    "evaluation_runs",
    TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("name", sql.String(200), nullable=False),
    sql.Column("status", sql.String(16), nullable=False),
    sql.Column("template_name", sql.String(100), nullable=False),
    sql.Column("model_name", sql.String(100), nullable=False),
    sql.Column("description", sql.String(2000), nullable=False),
    sql.Column("created_at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("updated_at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("accuracy", sql.Float),
    sql.Column("latency_ms", sql.Float),
    sql.Column("tokens", sql.Integer),
    sql.Column("cost_usd", sql.Float),
    sql.Column("error_message", sql.String(500)),
    sql.Index("ix_evaluation_runs_status", "status"),
    sql.Index("ix_evaluation_runs_created_at", "created_at"),
    sql.Index("ix_evaluation_runs_status_created_at_template_name", "status", "created_at", "template_name"),
)


Row = dict[str, object]
"""A stored run by column name, or a row of aggregates."""


class DatabaseUnavailableError(Exception):
    """The database could not be opened at the start."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections that are lent, those there may be, and operations that wait for one."""

    in_use: int
    size: int
    waiting: int


class Database:
    """All statements on evaluation runs, each timed under its own name."""

    def __init__(self, url: str, seconds: Histogram) -> None:
        self._private: Path | None = None
        if not url:
            self._private = Path(tempfile.mkdtemp(prefix="target-"))
            url = f"sqlite+aiosqlite:///{(self._private / 'evaluations.db').as_posix()}"
        self._sqlite = url.startswith("sqlite")
        self._seconds = seconds
        self._engine: AsyncEngine | None = None
        self._url = url
        self._writing = asyncio.Lock()
        self._asking = 0

    async def start(self, rows: int, seed: int) -> None:
        """Connect, create what is missing, fill an empty table with `rows` runs.

        Raises `DatabaseUnavailableError` with the driver's own sentence.
        """
        try:
            self._engine = create_async_engine(
                self._url, isolation_level="AUTOCOMMIT", pool_size=POOL_SIZE, max_overflow=0
            )
            if self._sqlite:
                _try_to_open(self._engine)
                event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            async with self._engine.connect() as connection:
                await connection.run_sync(TABLES.create_all)
                present = await connection.scalar(sql.select(sql.func.count()).select_from(RUNS))
                if not present and rows:
                    await _insert_many(connection, seed_rows(rows, seed))
        except (SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
            await self.stop()
            # The driver's own sentence; SQLAlchemy's text around it repeats statements and links.
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise DatabaseUnavailableError(cause[0] if cause else type(error).__name__) from error

    async def stop(self) -> None:
        """Close every connection; the private file is removed."""
        if self._engine is not None:
            await self._engine.dispose()
        self.remove()

    def remove(self) -> None:
        """Remove the private file."""
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)

    @property
    def pool(self) -> PoolUse:
        """How the pool of connections is used now."""
        return PoolUse(min(self._asking, POOL_SIZE), POOL_SIZE, max(self._asking - POOL_SIZE, 0))

    async def ping(self) -> None:
        """One round trip."""
        async with self._reading("ping") as connection:
            await connection.execute(sql.select(1))

    async def get(self, run_id: int) -> Row | None:
        """One run by its id."""
        async with self._reading("select_by_id") as connection:
            result = await connection.execute(sql.select(RUNS).where(RUNS.c.id == run_id))
            return _dict(result.mappings().first())

    async def get_several(self, run_ids: Sequence[int]) -> dict[int, Row]:
        """Those of the runs that exist, by id."""
        async with self._reading("compare") as connection:
            result = await connection.execute(sql.select(RUNS).where(RUNS.c.id.in_(run_ids)))
            return {row["id"]: dict(row) for row in result.mappings()}

    async def page(self, status: str | None, template: str | None, limit: int, offset: int) -> tuple[int, list[Row]]:
        """How many runs pass the filters, and one page of them, newest first."""
        wanted = []
        if status is not None:
            wanted.append(RUNS.c.status == status)
        if template is not None:
            wanted.append(RUNS.c.template_name == template)
        count = sql.select(sql.func.count()).select_from(RUNS).where(*wanted)
        rows = sql.select(RUNS).where(*wanted).order_by(RUNS.c.created_at.desc(), RUNS.c.id.desc())
        async with self._reading("page") as connection:
            total = await connection.scalar(count)
            result = await connection.execute(rows.limit(limit).offset(offset))
            return total or 0, _dicts(result.mappings())

    async def search(self, text: str, limit: int) -> list[Row]:
        """The newest `limit` runs whose name or template contains `text`, in capitals or not."""
        pattern = "%" + text.replace("/", "//").replace("%", "/%").replace("_", "/_") + "%"
        # LIKE ignores case in SQLite already; ilike would lower both sides of every row once more.
        like = sql.ColumnElement.like if self._sqlite else sql.ColumnElement.ilike
        found = sql.or_(*(like(column, pattern, escape="/") for column in (RUNS.c.name, RUNS.c.template_name)))
        # Newest first along the primary key: the scan stops at the limit, and never sorts.
        rows = sql.select(RUNS).where(found).order_by(RUNS.c.id.desc()).limit(limit)
        async with self._reading("text_search") as connection:
            return _dicts((await connection.execute(rows)).mappings())

    async def stats(self) -> list[Row]:
        """Count, averages and sums per status."""
        columns = RUNS.c
        query = sql.select(
            columns.status,
            sql.func.count().label("runs"),
            sql.func.avg(columns.accuracy).label("accuracy"),
            sql.func.avg(columns.latency_ms).label("latency_ms"),
            sql.func.sum(columns.tokens).label("tokens"),
            sql.func.sum(columns.cost_usd).label("cost_usd"),
        ).group_by(columns.status)
        async with self._reading("aggregate") as connection:
            return _dicts((await connection.execute(query)).mappings())

    async def insert(self, values: Mapping[str, object]) -> Row:
        """Add one run and return it as stored."""
        async with self._changing("insert") as connection:
            result = await connection.execute(sql.insert(RUNS).values(**values).returning(*RUNS.c))
            return dict(result.mappings().one())

    async def update(self, run_id: int, values: Mapping[str, object]) -> Row | None:
        """Change one run and return it as stored; none when it does not exist."""
        changed = {**values, "updated_at": datetime.now(UTC)}
        statement = sql.update(RUNS).where(RUNS.c.id == run_id).values(**changed).returning(*RUNS.c)
        async with self._changing("update") as connection:
            return _dict((await connection.execute(statement)).mappings().first())

    async def delete(self, run_id: int) -> bool:
        """Remove one run; false when it does not exist."""
        async with self._changing("delete") as connection:
            result = await connection.execute(sql.delete(RUNS).where(RUNS.c.id == run_id))
            return result.rowcount > 0

    @contextlib.asynccontextmanager
    async def _reading(self, operation: str) -> AsyncIterator[AsyncConnection]:
        assert self._engine is not None, "start() comes first"
        begin = time.perf_counter()
        self._asking += 1
        try:
            async with self._engine.connect() as connection:
                yield connection
        finally:
            self._asking -= 1
        self._seconds.labels(operation).observe(time.perf_counter() - begin)

    @contextlib.asynccontextmanager
    async def _changing(self, operation: str) -> AsyncIterator[AsyncConnection]:
        turn = self._writing if self._sqlite else contextlib.nullcontext()
        async with turn, self._reading(operation) as connection:
            yield connection


def _dict(row: RowMapping | None) -> Row | None:
    return None if row is None else dict(row)


def _dicts(rows: Iterable[RowMapping]) -> list[Row]:
    return [dict(row) for row in rows]


async def _insert_many(connection: AsyncConnection, rows: list[dict[str, object]]) -> None:
    await connection.execute(sql.insert(RUNS), rows)


def _try_to_open(engine: AsyncEngine) -> None:
    """Open the file once without aiosqlite, whose thread would still speak to this event loop after its end."""
    (file, *_), options = engine.dialect.create_connect_args(engine.url)
    sqlite3.connect(file, uri=options.get("uri", False)).close()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "cache_size=-16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
