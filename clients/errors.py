"""What can go wrong on the wire.

ClientError
├── ConnectFailed    no connection: refused, unreachable, DNS, TLS
├── ConnectionLost   the connection broke before the response was complete
├── BadResponse      the server wrote something that is not the protocol
│   └── TooLong      more than the client was told to take
├── QueryFailed      the database answered with an error
└── TimedOut         the time for the whole exchange is over

`sent` is the moment at which the exchange began on the wire, None when nothing was sent.
"""

import ssl


class ClientError(Exception):
    """An exchange that did not end with a complete response."""

    def __init__(self, message: str, sent: float | None = None) -> None:
        super().__init__(message)
        self.sent = sent


class ConnectFailed(ClientError):
    """No connection could be made."""


class ConnectionLost(ClientError):
    """The connection broke before the response was complete."""


class BadResponse(ClientError):
    """What arrived is not valid in the protocol. `status`: of a refused WebSocket upgrade."""

    def __init__(self, message: str, sent: float | None = None, status: int | None = None) -> None:
        super().__init__(message, sent)
        self.status = status


class TooLong(BadResponse):
    """A body beyond the limits."""


class QueryFailed(ClientError):
    """The database answered with an error: a broken statement, a constraint, a lock that was not given."""


class TimedOut(ClientError):
    """The exchange took longer than it may."""


def reason(error: BaseException) -> str:
    """Return an error of the operating system in a stable form, without addresses or numbers of this run."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
