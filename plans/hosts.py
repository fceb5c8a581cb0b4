"""Where load may go: loopback and private names, and what a plan allows by name."""

import ipaddress
import re
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

EMBEDDED = "embedded"

_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".test")


_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(%\w+)?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


def _is_private(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        # A name without a dot exists only in a private network: a Compose service or a line in /etc/hosts.
        # A bare number is an address in disguise: http://134744072 is 8.8.8.8.
        plain = "." not in name and not _NUMBER.fullmatch(name)
        return _NAME.fullmatch(name) is not None and (plain or name.endswith(_PRIVATE_SUFFIXES))


def host_problem(host: str, allow: tuple[str, ...]) -> str | None:
    """Return why load must not go to `host`, or None when it may.

    >>> host_problem("http://127.0.0.1:8000", ())
    >>> host_problem("https://api.example.com", ("*.example.com",))
    >>> host_problem("https://api.example.com", ())
    "is not allowed: add 'api.example.com' to target.allow or --allow-host when you may load it"
    """
    if "@" in host:
        # Not quoted in the message: it may hold a password.
        return "must not hold credentials; put a token into the environment and name it in target.api_key_env"
    try:
        parts = urlsplit(host)
        name, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"must be a URL such as http://127.0.0.1:8000, got '{host}' ({error})"
    if parts.scheme not in {"http", "https"} or not name or not _NAME.fullmatch(name):
        return f"must be a URL such as http://127.0.0.1:8000 or '{EMBEDDED}', got '{host}'"
    if parts.query or parts.fragment:
        return f"must not hold a query or fragment, got '{host}'"
    if _is_private(name) or any(fnmatchcase(name, pattern.lower()) for pattern in allow):
        return None
    return f"is not allowed: add '{name}' to target.allow or --allow-host when you may load it"
