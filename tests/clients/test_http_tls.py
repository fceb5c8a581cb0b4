"""TLS is verified, always; a private authority is trusted when the machine is told to trust it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest

from clients.errors import BadResponse, ConnectFailed, ConnectionLost, TimedOut
from clients.http import HttpClient
from clients.tls import client_context
from tests.clients.servers import CHUNKED, Script, ScriptServer, chunk, plain

TELL = Script().request().path()


@dataclass(frozen=True)
class Certificates:
    authority: Path
    signed: Path
    self_signed: Path
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
    openssl("req", "-x509", "-key", "server.key", "-out", "self.pem", "-subj", "/CN=localhost", "-days", "2")
    return Certificates(folder / "ca.pem", folder / "signed.pem", folder / "self.pem", folder / "server.key")


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
