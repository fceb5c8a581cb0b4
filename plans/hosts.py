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
    return url_problem(
        host,
        allow,
        example=f"http://127.0.0.1:8000 or '{EMBEDDED}'",
        secret="put a token into the environment and name it in target.api_key_env",
        schemes=frozenset({"http", "https", "http+unix"}),
    )


def url_problem(
    url: str,
    allow: tuple[str, ...],
    *,
    example: str,
    secret: str,
    schemes: frozenset[str] = frozenset({"http", "https"}),
    user: bool = False,
) -> str | None:
    """Return why nothing must be sent to `url`, or None when it may; `secret` says where a password belongs.

    A user name without a password may stand in it when `user` is True.
    """
    userinfo, at, _ = url.partition("//")[2].partition("/")[0].rpartition("@")
    if "@" in url and not (user and at and ":" not in userinfo):
        # Not quoted in the message: it may hold a password.
        return f"must not hold credentials; {secret}"
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"must be a URL such as {example.partition(' or ')[0]}, got '{url}' ({error})"
    is_socket = parts.scheme == "http+unix"  # a file of this machine
    if parts.scheme not in schemes or not name or not (is_socket or _NAME.fullmatch(name)):
        return f"must be a URL such as {example}, got '{url}'"
    if parts.query or parts.fragment:
        return f"must not hold a query or fragment, got '{url}'"
    return None if is_socket else name_problem(name, allow)


def name_problem(name: str, allow: tuple[str, ...]) -> str | None:
    """Return why load must not go to the machine of this name, or None when it may."""
    if _is_private(name) or any(fnmatchcase(name, pattern.lower()) for pattern in allow):
        return None
    return f"is not allowed: add '{name}' to target.allow or --allow-host when you may load it"


def narrowed(allow: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns of a plan's list that stay on a machine with a list of its own: what both have.

    >>> narrowed(("*.example.com", "10.0.0.5"), ("api.example.com", "10.0.0.*"))
    ('10.0.0.5', 'api.example.com')
    """

    def within(pattern: str, others: tuple[str, ...]) -> bool:
        return any(fnmatchcase(pattern.lower(), other.lower()) for other in others)

    kept = [pattern for pattern in allow if within(pattern, own)]
    return tuple(dict.fromkeys([*kept, *(pattern for pattern in own if within(pattern, allow))]))
