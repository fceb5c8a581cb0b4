"""Where a server is, as its URL says it."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server; `socket` is the path of a Unix socket, and host and port then only fill the `Host` header."""

    secure: bool
    host: str
    port: int
    authority: str
    """Host and port as the URL writes them."""
    prefix: str
    """The URL's path: stands before the path of every request."""
    socket: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address in an http, https or http+unix URL. Raises ValueError.

        >>> Address.parse("http+unix://%2Frun%2Fapp.sock/v1").socket
        '/run/app.sock'
        """
        parts = urlsplit(url)
        if parts.scheme == "http+unix" and parts.netloc:
            return cls(False, "localhost", 80, "localhost", parts.path.rstrip("/"), unquote(parts.netloc))
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"base_url must be an http or https URL, or http+unix://, without user, got {url!r}")
        port = parts.port or _PORTS[parts.scheme]
        return cls(parts.scheme == "https", parts.hostname, port, parts.netloc, parts.path.rstrip("/"))

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"
