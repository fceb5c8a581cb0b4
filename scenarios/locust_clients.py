"""Locust's own HTTP clients, fitted for a plan: seen from the begin of a request, TLS verified, allowed hosts only."""

import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import gevent.ssl
from gevent import GreenletExit
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, insecure_ssl_context_factory
from locust.exception import CatchResponseError
from requests import RequestException

from clients.tls import client_context
from plans.hosts import host_problem
from samples.recorder import Failure
from samples.sample import Outcome
from scenarios.session import Session
from scenarios.witness import CUT, Witness

PENDING = "proofload: pending"
"""Key under which a request travels in the context of its own event."""

_KINDS = {
    Outcome.BAD_CONTENT: ("ParseError", "Decoding", "TooManyRedirects", "ForeignHost", "BadStatusCode"),
    Outcome.CONNECT_ERROR: ("Connect", "ProtocolError", "IncompleteRead", "SSL", "OSError"),
}
"""Parts of exceptions' names: each library has classes of its own for the same thing, and few have a common base."""


class ForeignHost(RequestException):
    """A request, or a redirect, to a host that the plan does not allow."""


class _ForeignHostForFast(OSError):
    """The same in a form that FastHttpUser takes for a failure."""


class _Gate:
    """Where requests may go, and what goes with those to the plan's target."""

    def __init__(self, session: Session) -> None:
        self._target, self._allow = _origin(session.host), session.plan.target.allow
        self._headers = session.headers()

    def refusal(self, url: str) -> str | None:
        """Return why nothing may be sent to a URL, None when it may."""
        origin = _origin(url)
        problem = host_problem(origin, self._allow) if origin != self._target else None
        return f"{origin} {problem}" if problem else None

    def complete(self, url: str, headers: Any) -> None:
        """Add the plan's headers for its target, and for nobody else; what the user's code has set stands."""
        if self._headers and _origin(url) == self._target:
            for name, value in self._headers.items():
                if headers.get(name) is None:
                    headers[name] = value


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def fit(client: object, witness: Witness, timeout: float) -> None:
    """Fit one of Locust's clients; any other one is left as it is."""
    if isinstance(client, HttpSession):
        _fit_session(client, _Gate(witness.session))
        _watch(client, witness, {"timeout": timeout})
    elif isinstance(client, FastHttpSession):
        _fit_fast_session(client, _Gate(witness.session), timeout)
        _watch(client, witness, {})


def _watch(client: HttpSession | FastHttpSession, witness: Witness, defaults: dict[str, Any]) -> None:
    """Note every request when it begins; its event, which carries the note, completes it."""
    request: Callable[..., Any] = client.request

    @wraps(request)
    def watched(method: str, url: str, *args: Any, **given: Any) -> Any:
        pending = witness.begin(f"{method} {given.get('name') or client.request_name or url}")
        given["context"] = {**(given.get("context") or {}), PENDING: pending}
        try:
            response = request(method, url, *args, **(defaults | given))
        except GreenletExit:
            witness.end(pending, Outcome.CUT, CUT)
            raise
        except Exception as error:
            witness.end(pending, Outcome.BAD_CONTENT, f"the scenario failed: {type(error).__name__}: {error}")
            raise
        witness.returned(pending)
        return response

    setattr(client, "request", watched)  # noqa: B010  (its methods call it by this name)


def _fit_session(client: HttpSession, gate: _Gate) -> None:
    send: Callable[..., Any] = client.send

    @wraps(send)
    def checked(request: Any, **given: Any) -> Any:
        """Every hop of a redirect comes through here."""
        if problem := gate.refusal(request.url):
            raise ForeignHost(problem, request=request)
        gate.complete(request.url, request.headers)
        if given.get("verify") in (None, True, False):
            given["verify"] = os.environ.get("SSL_CERT_FILE") or True
        return send(request, **given)

    setattr(client, "send", checked)  # noqa: B010


def _fit_fast_session(client: FastHttpSession, gate: _Gate, timeout: float) -> None:
    agent = client.client
    options: dict[str, Any] = agent.clientpool.client_args
    options["insecure"] = False
    if options.get("ssl_context_factory") in (None, insecure_ssl_context_factory):
        options["ssl_context_factory"] = _shared_context
    for name in ("connection_timeout", "network_timeout"):
        options[name] = min(options.get(name) or timeout, timeout)
    urlopen: Callable[..., Any] = agent._urlopen

    @wraps(urlopen)
    def checked(request: Any) -> Any:
        if problem := gate.refusal(request.url):
            raise _ForeignHostForFast(problem)
        gate.complete(request.url, request.headers)
        return urlopen(request)

    setattr(agent, "_urlopen", checked)  # noqa: B010


def _shared_context(cafile: str | None = None) -> gevent.ssl.SSLContext:
    """Return the context that the suite's own client uses; geventhttpclient would read its authorities per user."""
    return client_context()


def failure_of(exception: BaseException | str | None, response: Any) -> Failure | None:
    """Return how the request of an event failed, None when it did not.

    An answer is judged by the user's own check when there is one. Without an answer nothing is well.
    """
    status = getattr(response, "status_code", None) or None
    error = getattr(response, "error", None) if status is None or exception is not None else None
    if exception is None and error is None:
        return None
    said = str(exception or error) or type(exception or error).__name__
    judged = isinstance(exception, CatchResponseError)
    if isinstance(status, int) and status >= 400:
        return Failure(Outcome.HTTP_ERROR, f"HTTP {status}: {said}" if judged else f"HTTP {status}", status)
    return Failure(_kind(error if judged else exception or error), said, status)


def _kind(error: BaseException | str | None) -> Outcome:
    if not isinstance(error, BaseException):
        return Outcome.BAD_CONTENT
    if any("Timeout" in cls.__name__ for cause in _causes(error) for cls in type(cause).__mro__):
        return Outcome.TIMEOUT
    for cls in type(error).__mro__:
        for outcome, parts in _KINDS.items():
            if any(part in cls.__name__ for part in parts):
                return outcome
    return Outcome.BAD_CONTENT


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from; at most ten, since a chain may lead back to itself."""
    current: BaseException | None = error
    for _ in range(10):
        if current is None:
            return
        yield current
        original = getattr(current, "original", None)  # geventhttpclient's RetriesExceeded
        current = original if isinstance(original, BaseException) else current.__cause__ or current.__context__
