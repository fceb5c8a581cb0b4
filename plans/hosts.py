"""Where load may go: loopback and private names, and what a plan allows by name."""

import ipaddress
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

EMBEDDED = "embedded"

_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".test")


def _is_private(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        # A name without a dot exists only in a private network: a Compose service or a line in /etc/hosts.
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)


def host_problem(host: str, allow: tuple[str, ...]) -> str | None:
    """Return why load must not go to `host`, or None when it may.

    >>> host_problem("http://127.0.0.1:8000", ())
    >>> host_problem("https://api.example.com", ("*.example.com",))
    >>> host_problem("https://api.example.com", ())
    "is not allowed: add 'api.example.com' to target.allow or --allow-host when you may load it"
    """
    try:
        parts = urlsplit(host)
        name, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"must be a URL such as http://127.0.0.1:8000, got '{host}' ({error})"
    if parts.scheme not in {"http", "https"} or not name:
        return f"must be a URL such as http://127.0.0.1:8000 or '{EMBEDDED}', got '{host}'"
    if parts.username or parts.password:
        return "must not hold credentials; put a token into the environment and name it in target.api_key_env"
    if parts.query or parts.fragment:
        return f"must not hold a query or fragment, got '{host}'"
    if _is_private(name) or any(fnmatchcase(name, pattern.lower()) for pattern in allow):
        return None
    return f"is not allowed: add '{name}' to target.allow or --allow-host when you may load it"
