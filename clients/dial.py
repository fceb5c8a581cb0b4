"""From an address to a connection: names, sockets, proxies, TLS, and what each took."""

import base64
import ipaddress
import ssl
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import gevent.socket as sockets
import httptools

from clients.address import Address
from clients.connection import Connection, TlsConnection
from clients.errors import BadResponse, ConnectFailed, ConnectionLost
from clients.options import Options
from clients.response import Response


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy as the environment names it; `authorization` is a header line."""

    host: str
    port: int
    authorization: bytes


def proxy_for(address: Address) -> Proxy | None:
    """Return the proxy that the environment has for an address. Raises ValueError for one of another kind than http."""
    if address.socket is not None or _is_loopback(address.host):
        return None
    proxies = getproxies_environment()
    url = proxies.get("https" if address.secure else "http")
    if not url or proxy_bypass_environment(f"{address.host}:{address.port}", proxies):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        # Not quoted: it may hold a password.
        raise ValueError(f"the proxy for {address.origin} must be an http:// URL")
    return Proxy(parts.hostname, parts.port or 80, _authorization(parts))


def _authorization(parts: SplitResult) -> bytes:
    if parts.username is None:
        return b""
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return b"Proxy-Authorization: Basic " + base64.b64encode(credentials.encode()) + b"\r\n"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def dial(
    address: Address,
    proxy: Proxy | None,
    tls: ssl.SSLContext | None,
    options: Options,
    response: Response,
    *,
    tunnel: bool = False,
) -> Connection:
    """Return a new connection and put into the response what names, TCP and TLS took. Raises OSError, ConnectFailed.

    With `tunnel` a proxy is asked for a way through without TLS, too: for what is no HTTP request.
    """
    began = monotonic()
    sock = _unix(address.socket) if address.socket else _tcp(address, proxy, response)
    if proxy is not None and (tunnel or tls is not None):
        sock = _tunnelled(sock, address, proxy, options)
    if tls is None:
        connection = Connection(sock, options)
    else:
        connection = _secured(TlsConnection(sock, tls, options.tls.server_name or address.host, options), response)
    response.connect_ms = (monotonic() - began) * 1000
    return connection


def _unix(path: str) -> Any:
    sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    return _connected(sock, path)


def _tcp(address: Address, proxy: Proxy | None, response: Response) -> Any:
    host, port = (proxy.host, proxy.port) if proxy else (address.host, address.port)
    began = monotonic()
    places = _resolved(host, port)
    response.dns_ms = (monotonic() - began) * 1000
    for number, (family, place) in enumerate(places, 1):
        try:
            sock = _connected(sockets.socket(family, sockets.SOCK_STREAM), place)
        except OSError:
            if number == len(places):
                raise
        else:
            sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            return sock
    raise OSError("the name has no address")


def _resolved(host: str, port: int) -> list[tuple[int, Any]]:
    """Return families and socket addresses; numbers need no resolver, which works in another thread."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        found = sockets.getaddrinfo(host, port, 0, sockets.SOCK_STREAM)
        return [(family, place) for family, _, _, _, place in found]
    return [(sockets.AF_INET, (host, port))]


def _connected(sock: Any, place: Any) -> Any:
    try:
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


def _tunnelled(sock: Any, address: Address, proxy: Proxy, options: Options) -> Any:
    """Return the socket when a proxy has made a way through. Raises ConnectFailed."""
    place = f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
    request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n".encode("ascii") + proxy.authorization + b"\r\n"
    connection, answer = Connection(sock, options), Response()
    connection.incoming.begin(answer, without_body=True)
    try:
        connection.exchange(request)
        if answer.status != 200:
            raise ConnectFailed(f"the proxy refused the connection with HTTP {answer.status}")
    except (BadResponse, ConnectionLost, OSError, httptools.HttpParserError) as error:
        connection.close()
        raise ConnectFailed(f"no answer from the proxy: {error}") from None
    except BaseException:
        connection.close()
        raise
    return connection.release()


def _secured(connection: TlsConnection, response: Response) -> Connection:
    began = monotonic()
    try:
        connection.shake_hands()
    except BaseException:
        connection.close()
        raise
    response.tls_ms = (monotonic() - began) * 1000
    return connection
