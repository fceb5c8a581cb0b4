"""Accounts of the embedded platform: tokens open the door for their time, and only to whom they were given."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import pytest

from target.accounts import Accounts
from tests.target.process import RUNS, Target

AUTH = "/api/v1/auth"
ME = {"username": "load-1", "password": "correct horse"}


@pytest.fixture
def guarded(start: Callable[..., Target]) -> Target:
    return start("--require-login")


def status(target: Target, token: str, method: str = "GET", path: str = RUNS) -> int:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=10)
    try:
        connection.request(method, path, headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_login_opens_the_door_and_a_logout_shuts_it(guarded: Target) -> None:
    assert guarded.ask("GET", RUNS).status == 401
    given = guarded.ask("POST", f"{AUTH}/login", ME).json()
    assert (given["token_type"], given["expires_in"]) == ("bearer", 900)
    assert status(guarded, given["access_token"]) == 200
    assert status(guarded, given["refresh_token"]) == 401
    assert guarded.ask("POST", f"{AUTH}/login", ME | {"password": "wrong horse"}).status == 401

    renewed = guarded.ask("POST", f"{AUTH}/refresh", {"refresh_token": given["refresh_token"]}).json()
    assert [status(guarded, one["access_token"]) for one in (given, renewed)] == [401, 200]
    assert guarded.ask("POST", f"{AUTH}/refresh", {"refresh_token": given["refresh_token"]}).status == 401

    assert status(guarded, renewed["access_token"], "POST", f"{AUTH}/logout") == 204
    assert status(guarded, renewed["access_token"]) == 401
    assert status(guarded, renewed["access_token"], "POST", f"{AUTH}/logout") == 401


def test_tokens_expire_with_time() -> None:
    now = 0.0
    accounts = Accounts(lifetime_s=10, clock=lambda: now)
    grant = accounts.log_in("a", "password")
    assert grant is not None
    now = 9.9
    assert accounts.holder(f"Bearer {grant.access}") == grant
    now = 10
    assert accounts.holder(f"Bearer {grant.access}") is None
    now = 99
    renewed = accounts.renew(grant.refresh)
    assert renewed is not None
    now = 99 + 100
    assert accounts.renew(renewed.refresh) is None
