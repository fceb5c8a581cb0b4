"""Fetching a small page over HTTP: a limit on time and size, no redirect, no proxy, TLS verified."""

import json
import time
from email.message import Message
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

TIMEOUT_S = 5.0
_MOST_BYTES = 16 * 1024 * 1024


class Unreadable(Exception):
    """A source gave no reading; the message says why, without any secret."""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect could lead to a host that the plan does not allow."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        return None


_OPENER: OpenerDirector = build_opener(ProxyHandler({}), _NoRedirect())


def fetch(url: str, token: str = "", timeout_s: float = TIMEOUT_S) -> bytes:
    """Return the body that a GET of `url` brings. Raises Unreadable for everything but a 200 in time."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(url, headers=headers | {"Accept": "text/plain, application/json"})
    deadline, body = time.monotonic() + timeout_s, bytearray()
    try:
        with _OPENER.open(request, timeout=timeout_s) as response:
            if response.status != 200:
                raise Unreadable(f"HTTP {response.status}")
            # A socket's time limit is for one read; a server that sends a byte now and then would never end.
            while piece := response.read1(65536):
                body += piece
                if time.monotonic() > deadline:
                    raise Unreadable(f"it was not complete within {timeout_s:g} s")
                if len(body) > _MOST_BYTES:
                    raise Unreadable(f"it is longer than {_MOST_BYTES} bytes")
    except HTTPError as error:
        raise Unreadable(f"HTTP {error.code}{_explained(error)}") from None
    except URLError as error:
        raise Unreadable(str(error.reason)) from None
    except (OSError, HTTPException) as error:
        raise Unreadable(str(error) or type(error).__name__) from None
    return bytes(body)


def _explained(error: HTTPError) -> str:
    """Return what a JSON answer says of the error, as Prometheus does of a query that it cannot parse."""
    try:
        said = json.loads(error.read(4096))
        return f": {said['error'][:200]}"
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return ""
