"""A browser's recording becomes a scenario: `python -m scenarios.har recording.har > my_users.py`.

What is written is a Python file with a user class, for `mix: {Recorded: {file: my_users.py}}`, to be read and changed.
Requests to other hosts and whatever is secret are left out; both the file and standard error say so.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_BROKEN = 2
_SECRET = re.compile(r"passw|secret|token|api[-_]?key|auth|session|credential|csrf|otp|signature", re.IGNORECASE)
_HIDDEN = "left-out"
_SAFE = "/:@!$&'()*+,;=-._~%[]?"
_FORM = "application/x-www-form-urlencoded"
_TEMPLATE = '''"""{title}

{notes}
"""

from locust import task

from scenarios.base import ArrivingUser

STEPS: tuple[tuple[str, str, bytes, str, int], ...] = (
    # method, path, body, content type, status
{steps}
)


class {name}(ArrivingUser):
    """Makes the recorded requests in their order, one per arrival, and begins anew after the last."""

    _place = 0

    @task
    def replay(self) -> None:
        """The next request of the recording."""
        method, path, body, content_type, status = STEPS[self._place % len(STEPS)]
        self._place += 1
        with self.measure(f"{{method}} {{path.partition('?')[0]}}") as attempt:
            self.exchange(attempt.sample, method, path, body, content_type=content_type, expected=(status,))
'''


class HarError(ValueError):
    """A recording that cannot be used; the message says why."""


@dataclass(slots=True)
class Recording:
    """The requests of a recording that go to one server."""

    origin: str
    steps: list[tuple[str, str, bytes, str, int]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """What is not in the steps, in words, with how often it was there."""

    def source(self, name: str, title: str) -> str:
        """Return the Python file."""
        return _TEMPLATE.format(
            name=name,
            title=_harmless(
                f"{title}: {len(self.steps)} requests to {self.origin}. Made by `python -m scenarios.har`."
            ),
            notes="\n".join(f"Left out: {line}." for line in self.said()) or "Nothing was left out.",
            steps="\n".join(f"    {step!r}," for step in self.steps),
        )

    def said(self) -> list[str]:
        """Return what was left out, in words."""
        return [_harmless(f"{count} x {what}") for what, count in self.left_out.items()]


def read(path: Path, origin: str = "") -> Recording:
    """Return what a recording has of one server: of `origin`, or of its first request. Raises HarError."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))["log"]["entries"]
        requests = [(entry["request"], int(entry["response"]["status"])) for entry in entries]
        urls = [urlsplit(request["url"]) for request, _ in requests]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        raise HarError(f"must be a HAR file (log.entries with request and response): {reason}") from None
    origins = [f"{url.scheme}://{url.netloc.rpartition('@')[2]}" for url in urls]
    web = [one for one in origins if one.startswith("http")]
    recording = Recording(origin.rstrip("/") or (web[0] if web else ""))
    for (request, status), own, url in zip(requests, origins, urls, strict=True):
        if own != recording.origin:
            recording.left_out[f"a request to another host, {own}"] += 1
        elif status <= 0:
            recording.left_out["a request without an answer"] += 1
        elif request["method"] == "OPTIONS":
            recording.left_out["a question of the browser (OPTIONS)"] += 1
        else:
            _add(recording, request, status, url.path or "/", url.query)
    if not recording.steps:
        known = ", ".join(dict.fromkeys(web)) or "none"
        raise HarError(f"has no request to {recording.origin or 'any host'}; its hosts: {known}")
    return recording


def _add(recording: Recording, request: dict[str, Any], status: int, path: str, query: str) -> None:
    left_out = recording.left_out
    for header in request.get("headers", ()):
        name = str(header.get("name", "")).lower()
        if name == "cookie" or _SECRET.search(name):
            left_out[f"the header {name}"] += 1
    posted = request.get("postData") or {}
    content_type = str(posted.get("mimeType", "")).strip()
    text = posted.get("text")
    if text is None and posted.get("params") and content_type.startswith(_FORM):
        text = urlencode([(one["name"], one.get("value", "")) for one in posted["params"]])
    if text is None and posted:
        left_out["a request whose body was not recorded"] += 1
        return
    query = _without_secrets(query, left_out)
    if content_type.startswith(_FORM):
        text = _without_secrets(text or "", left_out)
    elif text and "json" in content_type:
        text = _json_without_secrets(text, left_out)
    target = quote(path, safe=_SAFE) + (f"?{quote(query, safe=_SAFE)}" if query else "")
    fresh = 200 if status == 304 else status  # nothing is cached here
    recording.steps.append(
        (request["method"], target, (text or "").encode(), content_type or "application/json", fresh)
    )


def _without_secrets(pairs: str, left_out: Counter[str]) -> str:
    """Return a query or form with the values of secrets replaced, otherwise as it was."""
    found = [name for name, _ in parse_qsl(pairs, keep_blank_values=True) if _SECRET.search(name)]
    if not found:
        return pairs
    left_out.update(f"the value of {name}" for name in found)
    kept = parse_qsl(pairs, keep_blank_values=True)
    return urlencode([(name, _HIDDEN if _SECRET.search(name) else value) for name, value in kept])


def _json_without_secrets(text: str, left_out: Counter[str]) -> str:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    before = left_out.total()
    content = _cleaned(content, left_out)
    return json.dumps(content) if left_out.total() > before else text


def _cleaned(node: Any, left_out: Counter[str]) -> Any:
    if isinstance(node, list):
        return [_cleaned(one, left_out) for one in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for name, value in node.items():
        secret = _SECRET.search(name) is not None and not isinstance(value, bool | None)
        if secret:
            left_out[f"the value of {name}"] += 1
        result[name] = _HIDDEN if secret else _cleaned(value, left_out)
    return result


def _harmless(text: str) -> str:
    """Return a text that ends no comment of a program: a recording is somebody else's words."""
    return re.sub(r"[^ -~]", "?", text).replace("\\", "/").replace('"', "'")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the Python file, and return the exit code: 0, or 2 for a recording that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m scenarios.har", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("recording", type=Path, help="HAR file, as browsers save it")
    parser.add_argument("--host", default="", help="whose requests are kept; left out, those of the first one's host")
    parser.add_argument("--name", default="Recorded", help="name of the user class")
    given = parser.parse_args(arguments)
    try:
        if not (given.name.isidentifier() and given.name.isascii()):
            raise HarError(f"--name must be the name of a Python class, got '{given.name}'")
        recording = read(given.recording, given.host)
    except HarError as error:
        print(f"{given.recording}: {error}", file=sys.stderr)
        return _BROKEN
    print(recording.source(given.name, given.recording.name), end="")
    for line in recording.said():
        print(f"left out: {line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
