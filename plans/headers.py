"""Headers that every request carries: names that are checked, values that are kept from every record."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[!-~]([ !-~]*[!-~])?")
_OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "accept-encoding", "connection", "upgrade"}
)


def _checked(given: object) -> object:
    """Refuse what would break a request. No message shows a value: it may be a secret."""
    if not isinstance(given, dict):
        return given
    kept: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f" must have names of letters, digits and dashes, got {name!r}")
        if name.lower() in _OURS:
            raise ValueError(f".{name} is written by the client and must not be given")
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text == "":
            continue  # as `${VAR:-}` leaves it: not given
        if not isinstance(text, str) or not _VALUE.fullmatch(text):
            raise ValueError(f".{name} must be printable ASCII text without line breaks, and in quotes if a number")
        kept[name] = text  # a text and no SecretStr, which JSON has not: run.json is read by this, too
    return kept


Headers = Annotated[
    dict[str, SecretStr],
    BeforeValidator(_checked),
    Field(description="sent with every request and connect; their values are kept from every record"),
]
"""Name to value; a value shows as asterisks wherever a plan is written down."""
