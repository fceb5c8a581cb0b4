"""TLS is verified, always; a private authority is trusted when the machine is told to trust it."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import gevent.ssl
import pytest

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut
from clients.http import HttpClient, Options
from clients.options import Tls
from clients.tls import client_context
from tests.clients.servers import CHUNKED, Script, ScriptServer, chunk, plain
from tests.clients.wire import WireServer, answering, read_request

TELL = Script().request().path()


@dataclass(frozen=True)
class Certificates:
    authority: Path
    signed: Path
    self_signed: Path
    expired: Path
    key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    authority = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Private CA", *authority)
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n", encoding="utf-8")
    issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "server.csr", "-out", "signed.pem", *issuer)
    openssl("x509", "-req", "-in", "server.csr", "-out", "expired.pem", *issuer, "-days", "-1")
    openssl("req", "-x509", "-key", "server.key", "-out", "self.pem", "-subj", "/CN=localhost", "-days", "2")
    return Certificates(*(folder / name for name in ("ca.pem", "signed.pem", "self.pem", "expired.pem", "server.key")))


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[ScriptServer]:
    with ScriptServer("--certificate", str(certificates.signed), "--key", str(certificates.key)) as server:
        yield server


@pytest.fixture
def trusting(secure: ScriptServer, certificates: Certificates) -> Iterator[HttpClient]:
    context = client_context(str(certificates.authority))
    with HttpClient(secure.named_url, tls=context) as client:
        yield client


def request_number(client: HttpClient) -> int:
    return int(json.loads(client.request("GET", TELL).body)["request"])


def test_a_self_signed_certificate_is_refused(certificates: Certificates) -> None:
    with (
        ScriptServer("--certificate", str(certificates.self_signed), "--key", str(certificates.key)) as server,
        HttpClient(server.named_url) as client,
        pytest.raises(ConnectFailed, match="TLS: certificate verify failed: self-signed certificate") as caught,
    ):
        client.request("GET", TELL)
    assert caught.value.sent is not None


def test_an_authority_that_the_machine_does_not_know_is_refused(secure: ScriptServer) -> None:
    with HttpClient(secure.named_url) as client, pytest.raises(ConnectFailed, match="certificate verify failed"):
        client.request("GET", TELL)


def test_an_authority_of_the_environment_is_trusted(
    secure: ScriptServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    client_context.cache_clear()
    try:
        with HttpClient(secure.named_url) as client:
            assert client.request("GET", TELL).status == 200
    finally:
        client_context.cache_clear()


@pytest.mark.alone
def test_waiting_for_a_tls_server_stops_nobody_else(secure: ScriptServer, certificates: Certificates) -> None:
    def ask() -> int:
        with HttpClient(secure.named_url, tls=client_context(str(certificates.authority))) as client:
            return client.request("GET", Script().at(0.3).send(b"HTTP/1.1 204 No\r\n\r\n").path()).status

    began = time.monotonic()
    jobs = [gevent.spawn(ask) for _ in range(20)]
    assert [job.get() for job in jobs] == [204] * 20
    assert time.monotonic() - began < 3  # one after the other they would take 6 s


def test_a_certificate_for_another_name_is_refused(secure: ScriptServer, certificates: Certificates) -> None:
    context = client_context(str(certificates.authority))
    with HttpClient(secure.url, tls=context) as client, pytest.raises(ConnectFailed, match=r"127\.0\.0\.1"):
        client.request("GET", TELL)


def test_a_tls_connection_is_kept_and_its_connect_time_holds_the_handshake(trusting: HttpClient) -> None:
    responses = [trusting.request("GET", TELL) for _ in range(5)]
    assert [json.loads(response.body)["request"] for response in responses] == [1, 2, 3, 4, 5]
    assert responses[0].connect_ms is not None
    assert [response.connect_ms for response in responses[1:]] == [None] * 4


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_tls_connection_closed_while_idle_is_replaced_without_a_failure(trusting: HttpClient, method: str) -> None:
    trusting.request("GET", plain().close().path())
    gevent.sleep(0.05)
    assert json.loads(trusting.request(method, TELL).body)["request"] == 1


def test_streams_under_tls_are_stamped_piece_by_piece(trusting: HttpClient) -> None:
    script = Script().send(CHUNKED + chunk(b"first")).at(0.15).send(chunk(b"second") + b"0\r\n\r\n")
    response = trusting.request("GET", script.path(), stream=True)
    assert [data for _, data in response.chunks] == [b"first", b"second"]
    assert response.chunks[1][0] - response.chunks[0][0] > 0.1


def test_a_large_body_comes_through_whole(trusting: HttpClient) -> None:
    body = bytes(range(256)) * 4000
    assert trusting.request("GET", plain(body).path()).body == body


def test_a_tls_stream_that_breaks_off_is_broken(trusting: HttpClient) -> None:
    path = Script().send(CHUNKED + chunk(b"half")).at(0.02).reset().path()
    assert trusting.request("GET", path, stream=True).broken is not None
    with pytest.raises(ConnectionLost):
        trusting.request("GET", path)


def test_timeouts_and_kills_leave_a_tls_client_usable(trusting: HttpClient) -> None:
    with pytest.raises(TimedOut):
        trusting.request("GET", Script().at(2).path(), timeout=0.1)
    killed = gevent.spawn(trusting.request, "GET", Script().at(2).path())
    gevent.sleep(0.1)
    killed.kill()
    assert request_number(trusting) == 1


def test_tls_to_a_port_that_does_not_speak_it_runs_into_the_timeout() -> None:
    # The server takes the first bytes of the handshake for a request that never ends.
    with (
        ScriptServer() as server,
        HttpClient(server.url.replace("http:", "https:")) as client,
        pytest.raises(TimedOut),
    ):
        client.request("GET", TELL, timeout=0.2)


def test_plain_http_to_a_tls_port_is_no_response(secure: ScriptServer) -> None:
    with (
        HttpClient(secure.url.replace("https:", "http:")) as client,
        pytest.raises((BadResponse, ConnectionLost)),
    ):
        client.request("GET", TELL, timeout=2)


# -- what a plan may ask for, and servers that do TLS wrong -----------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def server_context(certificate: Path, key: Path, clients_authority: Path | None = None) -> Any:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_authority)
    return context


def options(certificates: Certificates, **tls: Any) -> Options:
    return Options(tls=Tls(ca=str(certificates.authority), **tls))


def test_an_expired_certificate_is_refused(certificates: Certificates) -> None:
    context = server_context(certificates.expired, certificates.key)
    with (
        WireServer(answering(OK), tls=context) as server,
        HttpClient(server.url.replace("127.0.0.1", "localhost"), options=options(certificates)) as client,
        pytest.raises(ConnectFailed, match="TLS: certificate verify failed: certificate has expired"),
    ):
        client.request("GET", "/")


def test_the_name_to_ask_for_and_to_verify_may_be_another_one(certificates: Certificates) -> None:
    asked: list[str] = []
    context = server_context(certificates.signed, certificates.key)
    context.sni_callback = lambda _, name, __: asked.append(name)
    with WireServer(answering(OK), tls=context) as server:
        with HttpClient(server.url, options=options(certificates, server_name="localhost")) as client:
            response = client.request("GET", "/")
        with (
            HttpClient(server.url, options=options(certificates, server_name="elsewhere.test")) as client,
            pytest.raises(ConnectFailed, match=r"elsewhere\.test"),
        ):
            client.request("GET", "/")
    assert asked == ["localhost", "elsewhere.test"]
    assert response.dns_ms is not None
    assert response.tls_ms is not None
    assert response.connect_ms is not None
    assert 0 <= response.dns_ms < response.tls_ms < response.connect_ms


def test_a_client_shows_its_own_certificate(certificates: Certificates) -> None:
    context = server_context(certificates.signed, certificates.key, certificates.authority)
    own = options(certificates, server_name="localhost", cert=str(certificates.signed), key=str(certificates.key))
    with WireServer(answering(OK), tls=context) as server:
        with HttpClient(server.url, options=own) as client:
            assert client.request("GET", "/").body == b"ok"
        with (
            HttpClient(server.url, options=options(certificates, server_name="localhost")) as client,
            pytest.raises((ConnectFailed, ConnectionLost), match=r"TLS|reset"),
        ):
            client.request("GET", "/")


@pytest.mark.parametrize("properly", [True, False])
def test_a_body_that_ends_with_the_connection_must_end_with_the_session(
    certificates: Certificates, properly: bool
) -> None:
    def serve(sock: Any) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if properly:
            sock.unwrap()

    context = server_context(certificates.signed, certificates.key)
    with (
        WireServer(serve, tls=context) as server,
        HttpClient(server.url, options=options(certificates, server_name="localhost")) as client,
    ):
        response = client.request("GET", "/", stream=True, timeout=3)
    assert response.body == b"hello"
    assert (response.broken is None) == properly


def test_a_handshake_that_breaks_off_is_a_failed_connect() -> None:
    with (
        WireServer(lambda sock: sock.sendall(b"\x16\x03\x03") if sock.recv(10) else None) as server,
        HttpClient(server.url.replace("http:", "https:")) as client,
        pytest.raises(ConnectFailed, match=r"TLS|reset"),
    ):
        client.request("GET", "/", timeout=3)


def test_a_large_upload_and_an_early_answer_to_one_work_under_tls(certificates: Certificates) -> None:
    def serve(sock: Any) -> None:
        request = read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08d" % len(request))
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")
        gevent.sleep(3)

    context = server_context(certificates.signed, certificates.key)
    with (
        WireServer(serve, tls=context) as server,
        HttpClient(server.url, options=options(certificates, server_name="localhost")) as client,
    ):
        assert int(client.request("POST", "/", b"x" * 5_000_000, timeout=5).body) > 5_000_000
        second = client.request("POST", "/", b"x" * 30_000_000, timeout=5)
        assert (second.status, second.connect_ms) == (413, None)


def test_a_proxy_is_asked_for_a_tunnel_and_tls_goes_through_it(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    context = server_context(certificates.signed, certificates.key)
    with WireServer(answering(OK, OK), tls=context) as server:

        def tunnel(sock: Any) -> None:
            seen.append(read_request(sock))
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with gevent.socket.create_connection(("127.0.0.1", server.port)) as behind:
                back = gevent.spawn(_copy, behind, sock)
                _copy(sock, behind)
                back.kill()

        with WireServer(tunnel) as proxy:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            with HttpClient("https://service.test", options=options(certificates, server_name="localhost")) as client:
                assert client.request("GET", "/", timeout=3).body == b"ok"
                assert client.request("GET", "/", timeout=3).connect_ms is None
    assert seen[0].startswith(b"CONNECT service.test:443 HTTP/1.1\r\n")
    assert seen[0].count(b"\r\n\r\n") == 1


def _copy(source: Any, sink: Any) -> None:
    while data := source.recv(65536):
        sink.sendall(data)
