"""What the server depends on, checked on real PostgreSQL, Redis and Prometheus, and on Qdrant's REST API.

Qdrant itself is no Debian package: a small server speaks the part of its API that the check uses, as documented.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from pydantic import ValidationError

from execution.dependencies import check
from plans.run import Precondition
from plans.schema import Plan
from tests import services
from tests.execution.harness import certify, plan_file
from tests.reports.builder import PLAN

PASSWORD = "s3cret-w0rd"
STEPS = ["connects", "health", "pool of 5 connections", "write and read back", "an invalid operation"]


def checked(**dependencies: object) -> list[Precondition]:
    return check(Plan.model_validate(PLAN | {"dependencies": {"timeout": 5, **dependencies}}))


def states(found: list[Precondition]) -> dict[str, bool]:
    return {one.name: one.held for one in found}


class Qdrant:
    """Collections and points in memory; `broken` says what it does wrong."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[int, Any]] = {}
        self.key: str | None = None
        self.broken = ""
        self.url = ""

    def answer(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, Any]:
        if self.key is not None and key != self.key:
            return 401, {"status": {"error": "Must provide an API key"}}
        match path.partition("?")[0].strip("/").split("/"):
            case [""]:
                return 200, {"title": "qdrant - vector search engine", "version": "1.15.0"}
            case ["readyz"]:
                return (503, "some shards are not ready") if self.broken == "health" else (200, "all shards are ready")
            case ["collections", *names]:
                result = self._of_collections(method, names, body)
                if result is not None:
                    return 200, {"result": result, "status": "ok"}
        return 404, {"status": {"error": f"Not found: {path}"}}

    def _of_collections(self, method: str, names: list[str], body: Any) -> object:
        """The result of an operation; None for what there is not."""
        result: object = None
        match method, names:
            case "GET", []:
                result = {"collections": [{"name": name} for name in self.collections]}
            case "PUT", [name]:
                self.collections[name], result = {}, True
            case "PUT", [name, "points"]:
                self.collections[name] |= {point["id"]: point for point in body["points"]}
                result = {"operation_id": 0, "status": "completed"}
            case "GET", [name, "points", number]:
                point = self.collections[name][int(number)]
                result = point | ({"payload": {}} if self.broken == "read" else {})
            case "DELETE", [name]:
                result = self.collections.pop(name, None) is not None
        return result


@contextmanager
def qdrant() -> Iterator[Qdrant]:
    served = Qdrant()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, told = served.answer(
                self.command, self.path, json.loads(body) if body else None, self.headers.get("api-key")
            )
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 404 and served.broken == "closes":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_DELETE = _do  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def test_postgresql_holds_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", PASSWORD)
    tables = "select tablename from pg_tables where schemaname = 'public'"
    with services.postgresql(PASSWORD) as url:
        found = checked(postgresql={"url": url, "secret_env": "MY_PASSWORD"})
        assert states(found) == {f"postgresql: {step}": True for step in STEPS}, found
        with psycopg.connect(url, password=PASSWORD, autocommit=True) as connection:
            assert connection.execute(tables).fetchall() == []
            monkeypatch.setenv("MY_PASSWORD", "wr0ng-w0rd")
            refused = checked(postgresql={"url": url, "secret_env": "MY_PASSWORD"})
            assert states(refused) == {"postgresql: connects": False}
            assert "password authentication failed" in refused[0].found
            monkeypatch.setenv("MY_PASSWORD", PASSWORD)
            connection.execute("alter system set default_transaction_read_only = on")
            connection.execute("select pg_reload_conf()")
            services.until(
                lambda: not states(checked(postgresql={"url": url, "secret_env": "MY_PASSWORD"}))["postgresql: health"]
            )
            only_reads = checked(postgresql={"url": url, "secret_env": "MY_PASSWORD"})
    named = {one.name: one.found for one in only_reads if not one.held}
    assert set(named) == {"postgresql: health", "postgresql: write and read back"}
    assert "it only reads" in named["postgresql: health"]
    assert PASSWORD not in str([*found, *refused, *only_reads])


def test_redis_holds_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_PASSWORD", PASSWORD)
    with services.redis(tmp_path, PASSWORD) as url:
        found = checked(redis={"url": url, "secret_env": "MY_PASSWORD"})
        assert states(found) == {f"redis: {step}": True for step in STEPS}, found
        with redis.Redis.from_url(url, password=PASSWORD) as client:
            assert client.dbsize() == 0
            refused = checked(redis=url)
            assert states(refused) == {"redis: connects": False}
            assert "Authentication required" in refused[0].found
            client.config_set("maxclients", 4)
            crowded = checked(redis={"url": url, "secret_env": "MY_PASSWORD"})
            client.config_set("maxclients", 100)
            client.config_set("min-replicas-to-write", 1)
            alone = checked(redis={"url": url, "secret_env": "MY_PASSWORD"})
    assert {name for name, held in states(crowded).items() if not held} == {"redis: pool of 5 connections"}
    assert not states(alone)["redis: write and read back"]
    assert "enough good replicas" in next(one.found for one in alone if "write" in one.name)


def test_prometheus_computes_what_is_known(tmp_path: Path) -> None:
    with services.prometheus(tmp_path) as url:
        services.until(lambda: states(checked(prometheus=url)).get("prometheus: health", False))
        found = checked(prometheus=url)
    steps = ["connects", "health", "pool of 5 connections", "a query", "an invalid operation"]
    assert states(found) == {f"prometheus: {step}": True for step in steps}, found


def test_qdrant_holds_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", PASSWORD)
    with qdrant() as served:
        served.key = PASSWORD
        found = checked(qdrant={"url": served.url, "secret_env": "MY_KEY"})
        assert states(found) == {f"qdrant: {step}": True for step in STEPS}, found
        assert served.collections == {}
        refused = checked(qdrant=served.url)
        assert states(refused) == {"qdrant: connects": False}
        assert "HTTP 401" in refused[0].found


@pytest.mark.parametrize(
    ("broken", "step"), [("health", "health"), ("read", "write and read back"), ("closes", "an invalid operation")]
)
def test_a_step_that_fails_is_named_and_the_others_are_tried(broken: str, step: str) -> None:
    with qdrant() as served:
        served.broken = broken
        found = checked(qdrant=served.url)
        assert served.collections == {}
    assert {name for name, held in states(found).items() if not held} == {f"qdrant: {step}"}
    assert len(found) == len(STEPS)


@pytest.mark.parametrize("kind", ["postgresql", "redis", "qdrant", "prometheus"])
def test_a_service_that_is_not_there_fails_to_connect(kind: str) -> None:
    scheme = kind if kind in ("postgresql", "redis") else "http"
    found = checked(**{kind: f"{scheme}://127.0.0.1:{services.free_port()}"})
    assert states(found) == {f"{kind}: connects": False}
    assert "refused" in found[0].found.lower()


def test_a_secret_that_is_not_set_is_said_and_nothing_is_sent() -> None:
    found = checked(redis={"url": "redis://127.0.0.1:1", "secret_env": "NO_SUCH_VARIABLE"})
    assert [one.found for one in found] == ["the environment variable NO_SUCH_VARIABLE is not set"]


@pytest.mark.parametrize(
    ("kind", "url", "problem"),
    [
        (
            "postgresql",
            "postgresql://me:s3cret@db/llm",
            r"\.dependencies\.postgresql must not hold credentials; put the",
        ),
        ("postgresql", "mysql://db/llm", r"\.dependencies\.postgresql must be a URL such as postgresql://me@127"),
        ("redis", "redis://8.8.8.8:6379", r"\.dependencies\.redis is not allowed: add '8\.8\.8\.8'"),
        ("qdrant", "http://qdrant.example.com", r"\.dependencies\.qdrant is not allowed"),
        ("prometheus", "prometheus:9090", r"\.dependencies\.prometheus must be a URL such as http"),
    ],
)
def test_a_url_that_nothing_must_be_sent_to_is_refused(kind: str, url: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        checked(**{kind: url})
    assert "s3cret" not in caught.value.errors()[0]["msg"]


def test_an_empty_url_is_none() -> None:
    assert checked(redis="", postgresql={"url": "", "secret_env": "X"}) == []


def test_a_run_names_what_failed_and_goes_on(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{services.free_port()}"
    with qdrant() as served:
        run = certify(plan_file(tmp_path, dependencies={"redis": url, "qdrant": served.url}))
    assert run.code == 0, run.out
    assert any(note.startswith("precondition failed: redis: connects: ") for note in run.verdict["notes"])
    held = {one.name for one in run.record.preconditions if one.held}
    assert {f"qdrant: {step}" for step in STEPS} <= held
