"""The requests of a web server's access log, replayed by method and path."""

import re
from collections import Counter
from typing import ClassVar

from locust import task

from data.traces.reading import ACCESS_LOG
from data.traces.trace import Request
from scenarios.base import ArrivingUser
from scenarios.recordings import Recordings
from scenarios.session import Session

OTHERS = "(other paths)"
_MOST_NAMES = 100
_NUMBERED = re.compile(r"/(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,})(?=/|$)")
_SUCCESS = tuple(range(200, 400))


class AccessLogUser(ArrivingUser):
    """Sends the request of the log's row that its arrival stands for, without a body.

    A request is ok with a status below 400, or with the one in the log: what was missing then may be missing now.
    """

    recordings: ClassVar[Recordings]
    names: ClassVar[dict[Request, str]]
    """Under which name each request is counted."""

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read the logs, and name the requests: ids in a path are `{id}`, and rare paths are counted together."""
        cls.recordings = Recordings(session, cls.__name__, (ACCESS_LOG,))
        requests = Counter(request for trace in cls.recordings.traces for request in trace.requests)
        named = {request: name_of(request) for request in requests}
        counts = Counter[str]()
        for request, count in requests.items():
            counts[named[request]] += count
        kept = {name for name, _ in counts.most_common(_MOST_NAMES)}
        cls.names = {request: name if name in kept else f"{request.method} {OTHERS}" for request, name in named.items()}

    @task
    def send(self) -> None:
        """One row, one request."""
        trace, row = self.recordings.row_of(self._arrival)
        request = trace.requests[row]
        with self.measure(self.names[request]) as attempt:
            expected = _SUCCESS if request.status < 400 else (*_SUCCESS, request.status)
            self.exchange(attempt.sample, request.method, request.path, expected=expected)


def name_of(request: Request) -> str:
    """Return the name of a request.

    >>> name_of(Request("GET", "/shop/items/4711/reviews?page=2", 200))
    'GET /shop/items/{id}/reviews'
    """
    return f"{request.method} {_NUMBERED.sub('/{id}', request.path.partition('?')[0])}"
