"""A user's account on the server: logged in before its first request, renewed in time, logged out at the end."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from math import inf
from typing import Any, Protocol

from clients.http import Response
from plans.accounts import Accounts
from samples.recorder import Attempt, Failure, Recorder
from samples.sample import Outcome, Sample

_RENEWED_AT = 0.8
"""Part of a token's life after which it is renewed."""
_FAREWELL_S = 2.0
_UNAUTHORIZED = 401


class Exchange(Protocol):
    """How a user makes a request and puts its times into a sample."""

    def __call__(
        self, sample: Sample, method: str, path: str, body: bytes = b"", *, expected: tuple[int, ...], timeout: float
    ) -> Response:
        """Raises Failure for whatever is not as expected."""


class Account:
    """Who one user is. Its requests are extra attempts, and what they tell is never recorded."""

    def __init__(
        self,
        options: Accounts,
        number: int,
        recorder: Recorder,
        measure: Callable[[str], Attempt],
        exchange: Exchange,
        authorize: Callable[[str], None],
        timeout: float,
    ) -> None:
        self._options, self._recorder, self._timeout = options, recorder, timeout
        self._measure, self._exchange, self._authorize = measure, exchange, authorize
        self.name = options.name_of(number)
        self._password = _password(options, self.name)
        self._hidden: tuple[str, ...] = ()
        self._forget()
        recorder.hide(self._password)

    def _forget(self) -> None:
        self._access, self._refresh = "", ""
        self._renew_at = self._ends_at = inf

    def log_in(self) -> Attempt:
        """Take new tokens for name and password, as an extra request `login`."""
        return self._obtain("login", self._options.login, {"username": self.name, "password": self._password})

    def ensure(self, sample: Sample) -> None:
        """See to a valid token before a request. Raises Failure when there is none."""
        now = self._recorder.clock()
        if self._access and now < self._renew_at:
            return
        sample.waited = True  # what follows starts late because of this, and not because the load generator is slow
        refresh = self._options.refresh
        if self._access and self._refresh and refresh is not None:
            self._obtain("token refresh", refresh, {"refresh_token": self._refresh})
        if not self._access or self._recorder.clock() >= self._renew_at:
            tried = self.log_in().sample
            if not self._access:
                sample.sent_s = tried.sent_s  # what was sent of it is the login
                raise Failure(tried.outcome, f"not logged in: {tried.error}", tried.status)

    def heard(self, status: int | None) -> None:
        """Take notice of an answer: a token that the server refuses is no longer used."""
        if status == _UNAUTHORIZED:
            self._forget()

    def log_out(self) -> None:
        """Give a token back that is still good, as an extra `logout`; the end of a run does not wait long for it."""
        path = self._options.logout
        if path is not None and self._access and self._recorder.clock() < self._ends_at:
            with self._measure("logout") as attempt:
                self._exchange(attempt.sample, "POST", path, expected=(200, 204), timeout=_FAREWELL_S)
        self._forget()

    def _obtain(self, name: str, path: str, fields: dict[str, str]) -> Attempt:
        body = json.dumps(fields).encode()
        self._forget()
        with self._measure(name) as attempt:
            answer = self._exchange(attempt.sample, "POST", path, body, expected=(200, 201), timeout=self._timeout)
            self._accept(_tokens(answer))
        return attempt

    def _accept(self, answer: dict[str, Any]) -> None:
        self._access, self._refresh = answer["access_token"], answer.get("refresh_token") or ""
        lifetime, now = answer.get("expires_in") or inf, self._recorder.clock()
        self._renew_at, self._ends_at = now + lifetime * _RENEWED_AT, now + lifetime
        for old in self._hidden:
            self._recorder.reveal(old)
        self._hidden = tuple(word for word in (self._access, self._refresh) if word)
        for word in self._hidden:
            self._recorder.hide(word)
        self._authorize(f"Bearer {self._access}")


def _password(options: Accounts, name: str) -> str:
    if options.password_env is not None:
        return os.environ[options.password_env]
    return sha256(f"proofload {name}".encode()).hexdigest()[:24]


def _tokens(response: Response) -> dict[str, Any]:
    """Return the answer to a login. What it holds is in no message."""
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        access, refresh, lifetime = (answer.get(key) for key in ("access_token", "refresh_token", "expires_in"))
        if (
            isinstance(access, str)
            and access.isascii()
            and access.isprintable()
            and access
            and isinstance(refresh, str | None)
            and (lifetime is None or (isinstance(lifetime, int | float) and lifetime > 0))
        ):
            return answer
    raise Failure(Outcome.BAD_CONTENT, "the answer has no access_token, or its expires_in is no time")
