"""Users with accounts: they log in, renew their tokens and log out, and no record has a password or token."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from plans.accounts import Accounts
from tests.execution.harness import ENVIRONMENT, Finished, certify, plan_file
from tests.target.process import Target

PASSWORD = "canary-of-the-password"


def guarded_plan(folder: Path, target: Target, **accounts: object) -> Path:
    return plan_file(
        folder,
        target={"host": target.url, "accounts": {"count": 3} | accounts},
        phases=[{"name": "only", "rate": 15, "duration": 4}],
        pool={"expected_latency": 0.1},
    )


def everything(run: Finished) -> str:
    kept = "".join(file.read_bytes().decode("latin-1") for file in run.folder.rglob("*") if file.is_file())
    return run.out + run.err + kept


def test_users_log_in_renew_their_tokens_and_log_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "LOAD_PASSWORD", PASSWORD)
    target = Target("--require-login", "--token-s", "1.5")
    try:
        run = certify(guarded_plan(tmp_path, target, password_env="LOAD_PASSWORD"))
    finally:
        target.stop()
    assert run.code == 0, run.out + run.err
    names = Counter(row["name"] for row in run.samples)
    assert len(run.iterations) == 60
    assert {row["name"] for row in run.iterations} == {"list"}
    assert {row["outcome"] for row in run.samples} == {"ok"}, [row for row in run.samples if row["error"]]
    assert names["login"] >= names["logout"] > 0
    assert names["token refresh"] > 0
    assert PASSWORD not in everything(run)


def test_a_request_without_an_account_fails_as_the_login_did(tmp_path: Path) -> None:
    target = Target("--require-login")
    try:
        # Somebody else has taken these names, with passwords that nobody here knows.
        for number in (1, 2, 3):
            body = {"username": f"load-{number:05d}", "password": "not the one made from the name"}
            assert target.ask("POST", "/api/v1/auth/login", body).status == 200
        run = certify(guarded_plan(tmp_path, target))
    finally:
        target.stop()
    assert run.code == 1
    assert {row["outcome"] for row in run.iterations} == {"http_error"}
    assert all(row["error"].startswith("not logged in: HTTP 401") for row in run.iterations)
    assert {row["name"] for row in run.iterations} == {"list"}


def test_the_accounts_are_the_same_ones_in_every_run() -> None:
    accounts = Accounts(count=2, name="u{number}@example.test")
    assert [accounts.name_of(number) for number in (1, 2, 3)] == [
        "u1@example.test",
        "u2@example.test",
        "u1@example.test",
    ]


@pytest.mark.parametrize("name", ["load", "{number", "{other}", "{number.x}"])
def test_names_without_a_number_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must hold \{number\}"):
        Accounts(name=name)


def test_a_missing_password_ends_the_start(tmp_path: Path) -> None:
    plan = plan_file(tmp_path, target={"accounts": {"password_env": "NO_SUCH_PASSWORD"}})
    run = certify(plan)
    assert run.code == 2
    assert "NO_SUCH_PASSWORD must be set" in (run.out + run.err).replace(":", "")
