"""PostgreSQL and Redis before the load: connect, health, pool, write and read back, an invalid operation."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar
from uuid import uuid4

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from execution.findings import POOL, Wrong


class PostgreSql:
    """A table is made, written, read by another connection, and removed."""

    errors: ClassVar[tuple[type[Exception], ...]] = (psycopg.Error, OSError, Wrong)

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        self._url, self._secret, self._timeout = url, secret, timeout
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the steps by name."""
        return [
            ("connects", self._connect),
            ("health", self._health),
            (f"pool of {POOL} connections", self._pool),
            ("write and read back", self._write_and_read),
            ("an invalid operation", self._invalid),
        ]

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            self._url,
            password=self._secret or None,
            connect_timeout=round(self._timeout),
            options=f"-c statement_timeout={round(1000 * self._timeout)}",
            application_name="proofload",
            autocommit=True,
        )

    @property
    def _own(self) -> psycopg.Connection[tuple[Any, ...]]:
        assert self._connection is not None  # the first step connects, and the others are not tried without it
        return self._connection

    def _connect(self) -> str:
        self._connection = self._open()
        return f"version {self._connection.info.server_version // 10000}"

    def _health(self) -> str:
        row = self._own.execute("select pg_is_in_recovery(), current_setting('transaction_read_only')").fetchone()
        if row != (False, "off"):
            raise Wrong("it only reads: a standby, or default_transaction_read_only is on")
        return "it answers, and takes writes"

    def _pool(self) -> str:
        with ExitStack() as held:
            for connection in [held.enter_context(self._open()) for _ in range(POOL)]:
                connection.execute("select 1")
        return f"{POOL} at once, all answer"

    def _write_and_read(self) -> str:
        table, written = sql.Identifier(f"proofload_{uuid4().hex}"), uuid4().hex
        self._own.execute(sql.SQL("create table {} (written text)").format(table))
        try:
            self._own.execute(sql.SQL("insert into {} values (%s)").format(table), [written])
            with self._open() as other:
                row = other.execute(sql.SQL("select written from {}").format(table)).fetchone()
        finally:
            self._own.execute(sql.SQL("drop table {}").format(table))
        if row != (written,):
            raise Wrong(f"wrote {written} and read {row}")
        return "a row in a table of its own, read by another connection, removed again"

    def _invalid(self) -> str:
        try:
            self._own.execute(sql.SQL("select * from {}").format(sql.Identifier(f"proofload_missing_{uuid4().hex}")))
        except psycopg.errors.UndefinedTable:
            self._own.execute("select 1")
            return "an unknown table is an error, and the same connection answers again"
        raise Wrong("a query of a table that does not exist was no error")


class Redis:
    """A key is written, read by another connection, and removed."""

    errors: ClassVar[tuple[type[Exception], ...]] = (redis.RedisError, OSError, Wrong)

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        self._url, self._secret, self._timeout = url, secret, timeout
        self._client: redis.Redis | None = None

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the steps by name."""
        return [
            ("connects", self._connect),
            ("health", self._health),
            (f"pool of {POOL} connections", self._pool),
            ("write and read back", self._write_and_read),
            ("an invalid operation", self._invalid),
        ]

    def close(self) -> None:
        """Let the connection go."""
        if self._client is not None:
            self._client.close()

    def _open(self) -> "redis.Redis":
        """Return a client of one connection, which is made here, and tries once."""
        password = {"password": self._secret} if self._secret else {}
        return redis.Redis.from_url(
            self._url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            decode_responses=True,
            protocol=2,  # servers before version 6 know no other
            **password,
        )

    @property
    def _own(self) -> "redis.Redis":
        assert self._client is not None  # the first step connects, and the others are not tried without it
        return self._client

    def _connect(self) -> str:
        self._client = self._open()
        self._client.ping()
        return "PING is answered"

    def _health(self) -> str:
        told: dict[str, Any] = dict(self._own.info())
        if told.get("loading"):
            raise Wrong("it is still loading its data")
        if told.get("role") != "master":
            raise Wrong(f"it is a {told.get('role')}, which takes no writes")
        return f"version {told.get('redis_version')}, {told.get('used_memory_human')} in use"

    def _pool(self) -> str:
        with ExitStack() as held:
            for client in [held.enter_context(self._open()) for _ in range(POOL)]:
                client.ping()
        return f"{POOL} at once, all answer"

    def _write_and_read(self) -> str:
        key, written = f"proofload:{uuid4().hex}", uuid4().hex
        # It expires by itself too, should this process die here.
        self._own.set(key, written, ex=60)
        try:
            with self._open() as other:
                read = other.get(key)
        finally:
            self._own.delete(key)
        if read != written:
            raise Wrong(f"wrote {written} and read {read}")
        return "a key of its own, read by another connection, removed again"

    def _invalid(self) -> str:
        key = f"proofload:{uuid4().hex}"
        self._own.set(key, "text", ex=60)
        try:
            self._own.lpush(key, "no list")
        except redis.ResponseError:
            self._own.ping()
            return "a list operation on a text is an error, and the same connection answers again"
        finally:
            self._own.delete(key)
        raise Wrong("a list operation on a text was no error")
