"""HOW the target is spoken to: times, TLS, and what a client does only when it is asked to."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from plans.durations import Duration
from plans.strict import Frozen


class TlsFiles(Frozen):
    """PEM files beside the machine's own authorities; nothing switches verification off."""

    ca: str | None = Field(None, min_length=1, description="file of authorities to trust, in place of the machine's")
    cert: str | None = Field(None, min_length=1, description="file of the client's own certificate")
    key: str | None = Field(None, min_length=1, description="file of its key, where cert does not hold it; no password")
    server_name: str | None = Field(
        None, pattern="^[A-Za-z0-9._-]+$", description="name to ask for and to verify, in place of the host's"
    )

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError(".key must stand beside a cert")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _blank(cls, value: object) -> object:
        """An empty text, as `${VAR:-}` leaves it, means: not given."""
        return None if value == "" else value


class Connections(Frozen):
    """How the users of a run connect and ask."""

    connect_timeout: Duration | None = Field(None, description="DNS, TCP and TLS together")
    first_byte_timeout: Duration | None = Field(None, description="from the written request to the first byte")
    idle_timeout: Duration | None = Field(None, description="between two reads of a response")
    keep_alive: bool = Field(True, description="one connection per user for all its requests; else a new one for each")
    tls: TlsFiles = Field(default_factory=TlsFiles)
    proxy: bool = Field(True, description="obey http_proxy, https_proxy and no_proxy; never for loopback")
    compression: bool = Field(False, description="ask for gzip, deflate and br, and decode them")
    cookies: bool = Field(False, description="keep cookies, each user its own")
    follow_redirects: int = Field(0, ge=0, le=20, description="most redirects followed, on the same host alone")
    body_limit_mb: int = Field(64, ge=1, le=4096, description="longest body of a response, in MiB")
