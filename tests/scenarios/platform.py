"""A small evaluation platform in this process, which tells the truth, or one chosen lie as fast as the truth."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = "/api/v1/evaluations/runs"
METRICS = {"accuracy": 0.5, "latency_ms": 1.0, "tokens": 10, "cost_usd": 0.1}
Lie = Callable[[str, Any], Any]


class Platform:
    """Runs in memory, behind a port of its own. `lie` is given each operation with its answer, and may change it."""

    def __init__(self, runs: int = 5) -> None:
        self.lie: Lie = lambda operation, answer: answer
        self.keeps = True
        """False: updates are confirmed and forgotten."""
        self.seen: list[tuple[str, str]] = []
        self.runs: dict[int, dict[str, Any]] = {}
        for number in range(1, runs + 1):
            self.create({"name": f"nightly baseline {number}", "status": "completed", "metrics": METRICS})
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, answer = platform.answer(self.command, self.path, body)
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing to say."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that has gone is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        number = max(self.runs, default=0) + 1
        defaults = {"template_name": "accuracy-basic", "model_name": "mixtral-8x7b", "description": ""}
        self.runs[number] = {"id": number} | defaults | body
        return dict(self.runs[number])

    def answer(self, method: str, url: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(url)
        path, query = parts.path.removeprefix(ROOT).strip("/"), parse_qs(parts.query)
        operation, status, answer = self._answer(method, path, query, body)
        self.seen.append((operation, url))
        return status, self.lie(operation, answer)

    def _answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[str, int, Any]:
        if method == "POST" and not path:
            return "create", 201, self.create(body)
        if path.isdigit():
            return self._answer_one(method, int(path), body)
        answer: Any
        match path:
            case "compare":
                a, b = (dict(self.runs[run]) for run in body["run_ids"])
                answer = {"runs": {"a": a, "b": b}, "metrics": {"tokens": {"a": 1, "b": 1}}}
            case "compare/export":
                return "export", 200, "metric,a,b\ntokens,1,2\n"
            case "search":
                answer = {"items": [run for run in self.runs.values() if query["q"][0] in run["name"]]}
            case _:
                answer = {"items": list(self.runs.values())[-int(query["limit"][0]) :]}
        return path or "list", 200, answer

    def _answer_one(self, method: str, number: int, body: Any) -> tuple[str, int, Any]:
        run = self.runs.get(number)
        if run is None:
            return "missing", 404, {"detail": "no such run"}
        if method == "DELETE":
            del self.runs[number]
            return "delete", 204, ""
        if method == "PATCH":
            if self.keeps:
                run.update(body)
            return "update", 200, run | body
        return "details", 200, dict(run)
