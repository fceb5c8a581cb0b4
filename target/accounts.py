"""Accounts that log in: tokens that expire, are renewed once, and end with the session. Everything is in memory."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

ROOT = "/api/v1/auth"
_REFRESH_FACTOR = 10
"""How much longer than an access token its refresh token can be used."""

Authorization = Annotated[str, Header()]


class Login(BaseModel):
    """Body of a login."""

    model_config = ConfigDict(extra="forbid")
    username: str = Field(min_length=1, max_length=200)
    password: str = Field(min_length=8, max_length=200)


class Refresh(BaseModel):
    """Body that renews a token."""

    model_config = ConfigDict(extra="forbid")
    refresh_token: str = Field(min_length=1, max_length=200)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one login, or one renewal of it, gave."""

    username: str
    access: str
    refresh: str
    began: float


@dataclass(slots=True)
class Accounts:
    """Who has an account, and who is logged in. The first login of a name makes its account, with that password."""

    lifetime_s: float
    clock: Callable[[], float] = time.monotonic
    _passwords: dict[str, bytes] = field(default_factory=dict)
    _by_access: dict[str, _Grant] = field(default_factory=dict)
    _by_refresh: dict[str, _Grant] = field(default_factory=dict)

    def log_in(self, username: str, password: str) -> _Grant | None:
        """Return new tokens, or None for a wrong password."""
        digest = sha256(password.encode()).digest()
        known = self._passwords.setdefault(username, digest)
        return self._grant(username) if hmac.compare_digest(known, digest) else None

    def renew(self, refresh: str) -> _Grant | None:
        """Return new tokens for a refresh token, which can be used once; None when it cannot be used any more."""
        grant = self._by_refresh.get(refresh)
        if grant is None:
            return None
        self._forget(grant)
        return self._grant(grant.username) if self._age(grant) < self.lifetime_s * _REFRESH_FACTOR else None

    def holder(self, authorization: str) -> _Grant | None:
        """Return whose valid token the header holds."""
        grant = self._by_access.get(authorization.removeprefix("Bearer "))
        return grant if grant is not None and self._age(grant) < self.lifetime_s else None

    def log_out(self, authorization: str) -> bool:
        """Make the tokens useless; False when there were none."""
        grant = self.holder(authorization)
        if grant is not None:
            self._forget(grant)
        return grant is not None

    def _grant(self, username: str) -> _Grant:
        grant = _Grant(username, secrets.token_urlsafe(24), secrets.token_urlsafe(24), self.clock())
        self._by_access[grant.access] = self._by_refresh[grant.refresh] = grant
        return grant

    def _forget(self, grant: _Grant) -> None:
        del self._by_access[grant.access], self._by_refresh[grant.refresh]

    def _age(self, grant: _Grant) -> float:
        return self.clock() - grant.began


def required(accounts: Accounts) -> Callable[[str], None]:
    """Return what a route depends on that only those may use who are logged in."""

    def check(authorization: Authorization = "") -> None:
        if accounts.holder(authorization) is None:
            raise _refused("log in first, or again: the token is missing, unknown or expired")

    return check


def router(accounts: Accounts) -> APIRouter:
    """The routes under /api/v1/auth."""
    routes = APIRouter(tags=["accounts"])

    @routes.post(f"{ROOT}/login", response_model=None, summary="Log in; the first login of a name makes its account")
    async def log_in(login: Login) -> Response:
        return _answer(accounts, accounts.log_in(login.username, login.password), "wrong name or password")

    @routes.post(f"{ROOT}/refresh", response_model=None, summary="New tokens for a refresh token, once")
    async def refresh(body: Refresh) -> Response:
        return _answer(accounts, accounts.renew(body.refresh_token), "the refresh token is unknown, used or expired")

    @routes.post(f"{ROOT}/logout", status_code=204, response_model=None, summary="Make the tokens useless")
    async def log_out(authorization: Authorization = "") -> Response:
        if not accounts.log_out(authorization):
            raise _refused("nobody is logged in with this token")
        return Response(status_code=204)

    return routes


def _answer(accounts: Accounts, grant: _Grant | None, otherwise: str) -> Response:
    if grant is None:
        raise _refused(otherwise)
    return JSONResponse(
        {
            "access_token": grant.access,
            "refresh_token": grant.refresh,
            "token_type": "bearer",
            "expires_in": accounts.lifetime_s,
        },
        headers={"cache-control": "no-store"},
    )


def _refused(why: str) -> HTTPException:
    return HTTPException(401, why, {"www-authenticate": "Bearer"})
