"""How a client may behave beside what its user asks of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form; what is not given is the machine's own, and nothing switches verification off."""

    ca: str | None = None
    """Authorities that are trusted, instead of the machine's."""
    cert: str | None = None
    """The client's own certificate; its key may stand in the same file."""
    key: str | None = None
    server_name: str | None = None
    """The name to ask for and to verify, where it is not the host's."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a response may cost. Beyond it the exchange ends as BadResponse, with the limit in the message.

    They are looked at after each read, so that up to 64 KiB more may have been taken.
    """

    header_bytes: int = 65536
    header_count: int = 1000
    body_bytes: int = 64 * 2**20
    """As it comes over the wire, and once more after decompression."""
    pieces: int = 1_000_000
    """Pieces of a body: each costs far more memory than a byte."""


@dataclass(frozen=True, slots=True)
class Options:
    """Times are seconds; None leaves a time to the one for the whole exchange."""

    connect_timeout: float | None = None
    first_byte_timeout: float | None = None
    """From the moment at which the request was written."""
    idle_timeout: float | None = None
    """Between two reads of a response."""
    tls: Tls = field(default_factory=Tls)
    proxy: bool = True
    """Obey HTTP_PROXY, HTTPS_PROXY and NO_PROXY; loopback is never asked for by a proxy."""
    compression: bool = False
    """Ask for gzip, deflate or br, and decode what comes so."""
    cookies: bool = False
    follow_redirects: int = 0
    """How many redirects of one request are followed; only to the same scheme, host and port."""
    together: bool = False
    """Read with all others that have this, once a millisecond when much arrives (`clients.batches`): for streams."""
    limits: Limits = field(default_factory=Limits)
