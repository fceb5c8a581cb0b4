"""What can go wrong on the wire.

ClientError
├── ConnectFailed    no connection: refused, unreachable, DNS, TLS
├── ConnectionLost   the connection broke before the response was complete
├── BadResponse      the server wrote something that is not the protocol
└── TimedOut         the time for the whole exchange is over

`sent` is the moment at which the exchange began on the wire, None when nothing was sent.
"""


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


class TimedOut(ClientError):
    """The exchange took longer than it may."""
