"""What a plan says of connections is what the users' clients do."""

from __future__ import annotations

from typing import Any

import pytest

from clients.options import Limits, Options, Tls
from plans.connections import Connections
from plans.schema import Plan, loopback
from plans.target import Target
from scenarios.session import client_options


def plan(**connections: Any) -> Plan:
    phases = [{"name": "only", "rate": 1, "duration": 1}]
    target = {"host": "embedded", "connections": connections}
    return Plan.model_validate(
        {"id": "C-1", "title": "connections", "mix": {"ChatUser": {}}, "phases": phases, "target": target}
    )


def test_every_key_reaches_the_client() -> None:
    tls = {"ca": "ca.pem", "cert": "own.pem", "key": "own.key", "server_name": "service.test"}
    given = {
        "connect_timeout": "2s",
        "first_byte_timeout": 3,
        "idle_timeout": "250ms",
        "tls": tls,
        "proxy": False,
        "compression": True,
        "cookies": True,
        "follow_redirects": 5,
        "body_limit_mb": 2,
    }
    # `keep_alive` is the users' own: they close the connection after each request.
    assert set(given) | {"keep_alive"} == set(Connections.model_fields)
    assert client_options(plan(**given)) == Options(
        connect_timeout=2.0,
        first_byte_timeout=3.0,
        idle_timeout=0.25,
        tls=Tls(**tls),
        proxy=False,
        compression=True,
        cookies=True,
        follow_redirects=5,
        limits=Limits(body_bytes=2 * 2**20),
    )
    assert client_options(plan()) == Options()


@pytest.mark.parametrize(
    ("connections", "words"),
    [
        ({"tls": {"key": "own.key"}}, "must stand beside a cert"),
        ({"tls": {"verify": False}}, "Extra inputs are not permitted"),
        ({"follow_redirects": 100}, "less than or equal to 20"),
        ({"idle_timeout": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused(connections: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(**connections)


def test_a_unix_socket_is_this_machine_and_allowed() -> None:
    host = "http+unix://%2Frun%2Fapp.sock/v1"
    assert Target(host=host).host == host
    assert loopback(host)
    with pytest.raises(ValueError, match="must be a URL"):
        Target(host="https+unix://%2Frun%2Fapp.sock")
