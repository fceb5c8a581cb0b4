"""What the server depends on, checked before the load: each step by itself, and each failed one is named."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar, Protocol
from uuid import uuid4

from clients.errors import ClientError
from clients.http import HttpClient, Response
from execution.findings import POOL, Wrong
from plans.run import Precondition
from plans.schema import Plan

_CONNECTS = "connects"


class Service(Protocol):
    """One service; every step returns what it found in words, or raises one of `errors`."""

    errors: ClassVar[tuple[type[Exception], ...]]

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the steps by name; the first one connects."""

    def close(self) -> None:
        """Let the connections go."""


def check(plan: Plan) -> list[Precondition]:
    """Return one precondition per step of each service that the plan names."""
    found: list[Precondition] = []
    for kind, dependency in plan.dependencies.services():
        variable = dependency.secret_env
        secret = os.environ.get(variable, "") if variable else ""
        if variable and not secret:
            words = f"the environment variable {variable} is not set"
            found.append(Precondition(name=f"{kind}: {_CONNECTS}", held=False, found=words))
            continue
        service = _maker(kind)(dependency.url, secret, plan.dependencies.timeout)
        found += _checked(kind, service, secret)
    return found


def _maker(kind: str) -> Callable[[str, str, float], Service]:
    if kind == "qdrant":
        return Qdrant
    if kind == "prometheus":
        return PrometheusServer
    # The clients of databases cost the load generator memory and a moment of its start: only who asks pays.
    from execution.databases import PostgreSql, Redis  # noqa: PLC0415

    return PostgreSql if kind == "postgresql" else Redis


def _checked(kind: str, service: Service, secret: str) -> Iterator[Precondition]:
    try:
        for step, action in service.steps():
            begun = time.monotonic()
            try:
                words, held = action(), True
            except service.errors as error:
                words, held = str(error).strip() or type(error).__name__, False
            words = " ".join((words.replace(secret, "***") if secret else words).split())
            spent = f" ({1000 * (time.monotonic() - begun):.0f} ms)"
            yield Precondition(name=f"{kind}: {step}", held=held, found=words + spent)
            if step == _CONNECTS and not held:
                return
    finally:
        service.close()


class _Http:
    """A service with an HTTP API."""

    errors: ClassVar[tuple[type[Exception], ...]] = (ClientError, Wrong)

    def __init__(self, url: str, headers: dict[str, str], timeout: float) -> None:
        self._url, self._headers, self._timeout = url, headers, timeout
        self._client = HttpClient(url, headers)

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    def _ask(
        self, method: str, path: str, body: object = None, *, status: int = 200, client: HttpClient | None = None
    ) -> Response:
        data = b"" if body is None else json.dumps(body).encode()
        response = (client or self._client).request(method, path, data, timeout=self._timeout)
        if response.status != status:
            words = response.body[:200].decode("utf-8", "replace")
            raise Wrong(f"{method} {path} gave HTTP {response.status} and not {status}: {words}")
        return response

    def _pool(self, path: str) -> str:
        with ExitStack() as held:
            clients = [held.enter_context(HttpClient(self._url, self._headers)) for _ in range(POOL)]
            for client in clients:
                self._ask("GET", path, client=client)
        return f"{POOL} at once, all answer"

    def _survives(self, wrong: str, status: int, right: str) -> str:
        self._ask("GET", wrong, status=status)
        after = self._ask("GET", right)
        if after.connect_ms is not None:
            raise Wrong("the connection was closed after the error")
        return f"HTTP {status}, and the same connection answers again"


def _json(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except ValueError:
        raise Wrong("the answer is not JSON") from None


class Qdrant(_Http):
    """Qdrant's REST API: a collection with one point is made, read, and removed."""

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        super().__init__(url, {"api-key": secret} if secret else {}, timeout)

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the steps by name."""
        missing = f"/collections/proofload_missing_{uuid4().hex}"
        return [
            (_CONNECTS, self._connect),
            ("health", lambda: f"HTTP {self._ask('GET', '/readyz').status} from /readyz"),
            (f"pool of {POOL} connections", lambda: self._pool("/collections")),
            ("write and read back", self._write_and_read),
            ("an invalid operation", lambda: self._survives(missing, 404, "/collections")),
        ]

    def _connect(self) -> str:
        told = _json(self._ask("GET", "/"))
        return f"version {told.get('version', 'unknown')}" if isinstance(told, dict) else "an answer"

    def _write_and_read(self) -> str:
        path, payload = f"/collections/proofload_{uuid4().hex}", {"written": uuid4().hex}
        self._ask("PUT", path, {"vectors": {"size": 4, "distance": "Dot"}})
        try:
            point = {"id": 1, "vector": [0.1, 0.2, 0.3, 0.4], "payload": payload}
            self._ask("PUT", f"{path}/points?wait=true", {"points": [point]})
            told = _json(self._ask("GET", f"{path}/points/1"))
            read = told.get("result", {}).get("payload") if isinstance(told, dict) else None
        finally:
            self._ask("DELETE", path)
        if read != payload:
            raise Wrong(f"wrote {payload} and read {read}")
        return "a point in a collection of its own, removed again"


class PrometheusServer(_Http):
    """A Prometheus server; nothing is written to it, so a value that is known is computed by it."""

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        super().__init__(url, {"Authorization": f"Bearer {secret}"} if secret else {}, timeout)

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the steps by name."""
        query = "/api/v1/query?query="
        return [
            (_CONNECTS, lambda: f"HTTP {self._ask('GET', '/-/healthy').status} from /-/healthy"),
            ("health", lambda: f"HTTP {self._ask('GET', '/-/ready').status} from /-/ready"),
            (f"pool of {POOL} connections", lambda: self._pool(f"{query}vector(1)")),
            ("a query", lambda: self._query(f"{query}vector(42)")),
            ("an invalid operation", lambda: self._survives(f"{query}sum(", 400, f"{query}vector(1)")),
        ]

    def _query(self, path: str) -> str:
        told = _json(self._ask("GET", path))
        try:
            value = float(told["data"]["result"][0]["value"][1])
        except (LookupError, TypeError, ValueError):
            raise Wrong(f"vector(42) gave {str(told)[:200]}") from None
        if value != 42:
            raise Wrong(f"vector(42) gave {value:g}")
        return "vector(42) is 42"
