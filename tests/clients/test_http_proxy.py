"""Proxies as the environment names them; loopback goes to no proxy, whatever it says."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from clients import dial
from clients.address import Address
from clients.errors import ConnectFailed
from clients.http import HttpClient, Options
from tests.clients.wire import WireServer, answering, read_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_proxy_is_told_the_whole_url_and_gets_its_own_password(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def serve(sock: Any) -> None:
        while request := read_request(sock):
            seen.append(request)
            sock.sendall(OK)

    with WireServer(serve) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")  # upper case is not obeyed in CGI
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        with HttpClient("http://service.test:81/v1", {"X": "y"}) as client:
            assert client.request("GET", "/x").body == b"ok"
            assert client.request("GET", "/x").connect_ms is None
    password = base64.b64encode(b"me:p@ss").decode()
    assert seen[0].startswith(b"GET http://service.test:81/v1/x HTTP/1.1\r\nHost: service.test:81\r\n")
    assert f"\r\nProxy-Authorization: Basic {password}\r\n".encode() in seen[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://localhost", "http://[::1]", "http://a.localhost"])
def test_loopback_is_spoken_to_directly(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert dial.proxy_for(Address.parse(url)) is None
    assert dial.proxy_for(Address.parse("http://service.test")) is not None


def test_exceptions_of_the_environment_and_of_the_plan_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "service.test,.internal")
    for url in ("http://service.test:81", "http://a.internal"):
        assert dial.proxy_for(Address.parse(url)) is None
    with WireServer(answering(OK)) as server:
        monkeypatch.setattr(dial, "_is_loopback", lambda host: False)
        with HttpClient(server.url) as through, pytest.raises(ConnectFailed):
            through.request("GET", "/")
        with HttpClient(server.url, options=Options(proxy=False)) as direct:
            assert direct.request("GET", "/").body == b"ok"


def test_a_proxy_that_is_none_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:secret@127.0.0.1:1")
    with pytest.raises(ValueError, match="must be an http:// URL") as caught:
        HttpClient("http://service.test")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 407 Password\r\nContent-Length: 0\r\n\r\n", "refused the connection with HTTP 407"),
        (b"HTTP/1.1 503 No\r\n\r\n", "refused the connection with HTTP 503"),
        (b"garbage", "no answer from the proxy"),
        (b"", "no answer from the proxy"),
    ],
)
def test_a_proxy_that_makes_no_way_through_is_a_failed_connect(
    answer: bytes, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def serve(sock: Any) -> None:
        seen.append(read_request(sock))
        sock.sendall(answer)

    with WireServer(serve) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with HttpClient("https://service.test") as client, pytest.raises(ConnectFailed, match=what) as caught:
            client.request("GET", "/", timeout=3)
    assert caught.value.sent is not None
    assert seen[0].startswith(b"CONNECT service.test:443 HTTP/1.1\r\nHost: service.test:443\r\n")
