"""The login of the web UI (`--web-login`): one account, from the environment."""

import hmac
import secrets
from collections.abc import Mapping

import gevent
from flask import Response, redirect, request, session, url_for
from flask_login import current_user, login_user
from locust.web import WebUI

from plans.problems import Problem

USER, PASSWORD = "PROOFLOAD_WEB_USER", "PROOFLOAD_WEB_PASSWORD"
_SHORTEST = 8
_WRONG_S = 1.0
"""How long the answer to a wrong password takes: guessing is slow, and the load goes on."""


class _Account:
    """Whoever gave name and password, in the form that Flask-Login asks for."""

    is_authenticated = is_active = True
    is_anonymous = False

    def __init__(self, name: str) -> None:
        self.get_id = lambda: name


def problems(environ: Mapping[str, str]) -> list[Problem]:
    """Return what keeps a login from being asked for; a value is never repeated."""
    found = [
        Problem("environment", variable, "must be set: --web-login asks for it")
        for variable in (USER, PASSWORD)
        if not environ.get(variable)
    ]
    if not found and len(environ[PASSWORD]) < _SHORTEST:
        found.append(Problem("environment", PASSWORD, f"must have at least {_SHORTEST} characters"))
    return found


def require(web_ui: WebUI, base_path: str, environ: Mapping[str, str]) -> None:
    """Let nobody in without the account's name and password. A session ends with this process.

    The page of metrics stays open, as figures only; `problems` must have found none.
    """
    app = web_ui.app
    assert app is not None  # made by the constructor of WebUI
    user, password = environ[USER], environ[PASSWORD]
    app.secret_key = secrets.token_bytes(32)
    # Strict: no other site can start a load with the cookie of somebody who is logged in.
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Strict")
    app.config.update(SESSION_COOKIE_SECURE=bool(web_ui.tls_cert))
    web_ui.login_manager.user_loader(lambda name: _Account(user) if name == user else None)

    def submit() -> Response:
        given = (request.form.get("username", ""), request.form.get("password", ""))
        if all([_same(given[0], user), _same(given[1], password)]):
            session.pop("auth_error", None)
            login_user(_Account(user))
            return _to("locust.index")
        gevent.sleep(_WRONG_S)
        session["auth_error"] = "Wrong name or password"
        return _to("locust.login")

    path = f"{base_path.rstrip('/')}/login/submit"
    app.add_url_rule(path, "proofload_login", submit, methods=["POST"])
    web_ui.auth_args = {"username_password_callback": path}


def passed(web_ui: WebUI) -> bool:
    """Return whether the request under way comes from somebody who may make it."""
    return not web_ui.web_login or bool(current_user.is_authenticated)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _to(endpoint: str) -> Response:
    answer: Response = redirect(url_for(endpoint))  # type: ignore[assignment]
    return answer
