"""Lines of a web server's access log in the common or the combined format, as Apache, nginx and others write it."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from data.traces.llm import fraction, shown
from data.traces.trace import Request, Row, RowError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing on a server that keeps to the rules of HTTP."""

# host ident user [time] "request" status bytes, and in the combined format "referrer" "user agent".
_LINE = re.compile(r'\S+ \S+ (?:\S+|.*?) \[([^\]]*)\] "((?:[^"\\]|\\.)*)" (\S+) (\S+)(?: .*)?')
_TIME = re.compile(r"(\d\d/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ([+-]\d{4})")
_REQUEST = re.compile(r"([A-Z]{1,20}) (/[!-~]*) HTTP/[0-9.]+")


def parse(line: str) -> Row | None:
    """Return the row of a line; None for what no client would send on purpose (scans, TLS on a plain port)."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise RowError(f"must be in the common or combined log format, got {shown(line)}")
    time, request, status, _ = match.groups()
    if not (status.isascii() and status.isdigit() and len(status) == 3):
        raise RowError(f"status must be a number of three digits, got {shown(status)}")
    moment = _TIME.fullmatch(time)
    if moment is None or (whole := _seconds(moment[1], moment[3])) is None:
        raise RowError(f"time must be such as 10/Oct/2000:13:55:36 -0700, got {shown(time)}")
    asked = _REQUEST.fullmatch(request)
    if asked is None:
        return None
    return Row(whole * 10**9 + fraction(moment[2]), request=Request(asked[1], asked[2], int(status)))


@lru_cache(maxsize=1024)
def _seconds(text: str, zone: str) -> int | None:
    """Return seconds since 1970; month names are English whatever the locale of this process."""
    day, month, rest = text.split("/", 2)
    months = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    if month.lower() not in months:
        return None
    year, hour, minute, second = (int(part) for part in rest.split(":"))
    try:
        local = datetime(year, months.index(month.lower()) + 1, int(day), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    ahead = int(zone[1:3]) * 3600 + int(zone[3:]) * 60
    return int(local.timestamp()) - (-ahead if zone[0] == "-" else ahead)
