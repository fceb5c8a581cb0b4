"""A server in front of a server, which answers some of the requests in its own way."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def in_between(port: int, method: str, path: str, status: int) -> Iterator[str]:
    """Pass requests on to a server, but answer those of one kind with a status of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == method and self.path.startswith(path):
                return self.say(status, b'{"oops": true}')
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                upstream.request(self.command, self.path, body, {"content-type": "application/json"} if body else {})
                answer = upstream.getresponse()
                return self.say(answer.status, answer.read())
            finally:
                upstream.close()

        def say(self, code: int, data: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PATCH = pass_on  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
