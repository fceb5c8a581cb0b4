"""A run in a few lines for a chat: the JSON that incoming webhooks take, and sending it to a host that is allowed."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from reports.analysis import Analysis, State, Verdict
from reports.figures import length, measured_text, pair
from reports.texts import one_line

HOSTS = "PROOFLOAD_WEBHOOK_HOSTS"
"""Environment variable with the hosts that a report may be sent to, separated by commas; empty: none."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SEALS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.INVALID: "❓"}
_HEADLINES = (
    ("rate", "throughput_rps"),
    ("success", "success_rate"),
    ("p50", "latency_p50_ms"),
    ("p95", "latency_p95_ms"),
)
_MOST_BROKEN, _TIMEOUT_S = 5, 10.0


class ChatForm(StrEnum):
    """Who reads the payload."""

    SLACK = "slack"
    """`{"text": ...}`: Slack, Mattermost, Rocket.Chat, Google Chat."""
    TEAMS = "teams"
    """An adaptive card, as the webhooks of Microsoft Teams (Workflows) take it."""


class NotAllowed(Exception):
    """The URL is none that a report may be sent to; the message says why and what is allowed."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None  # an allowed host may not hand a report on to another


def lines(analysis: Analysis) -> list[str]:
    """Return the run in at most ten lines of plain text: verdict, reasons, what broke, figures, what to do."""
    run, total = analysis.run, analysis.total.metrics
    rehearsal = " (rehearsal, no certificate)" if run.rehearsal else ""
    head = f"{_SEALS[analysis.verdict]} {analysis.verdict.value}{rehearsal} · {run.plan.id} · {run.plan.title}"
    found = [f"{label} {measured_text(total[name], name)}" for label, name in _HEADLINES if name in total]
    broken = [result for result in analysis.criteria if result.state in (State.FAIL, State.NO_DATA)]
    text = [
        head,
        *analysis.reasons[: 1 if broken else 2],
        *(
            f"• {result.criterion.phase or 'whole run'}: {result.criterion.metric} {' '.join(pair(result))}"
            for result in broken[:_MOST_BROKEN]
        ),
        *([f"and {len(broken) - _MOST_BROKEN} more limits"] if len(broken) > _MOST_BROKEN else []),
        f"{run.host} · {length(analysis.length_s)} · {analysis.samples:,} samples · {' · '.join(found)}",
        *(f"→ {step}" for step in analysis.next_steps[:1]),
    ]
    return [one_line(line, 300) for line in text]


def payload(analysis: Analysis, form: ChatForm) -> bytes:
    """Return the JSON of a webhook in UTF-8. Nothing in it mentions anybody or becomes a link by itself."""
    text = lines(analysis)
    content: Mapping[str, object]
    if form is ChatForm.TEAMS:
        blocks = [
            {"type": "TextBlock", "text": _plain(line), "wrap": True, **({"weight": "bolder"} if not i else {})}
            for i, line in enumerate(text)
        ]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
        }
        kind = "application/vnd.microsoft.card.adaptive"
        content = {"type": "message", "attachments": [{"contentType": kind, "content": card}]}
    else:
        content = {"text": "\n".join(_plain(line) for line in text)}
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"


def _plain(text: str) -> str:
    """Return the text with the three signs that chats act on escaped, as Slack asks for; mentions begin with one."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u2060")


def check_url(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL. Raises NotAllowed unless its host is on the list, and TLS or this machine carries it."""
    parts = urlsplit(url)
    allowed = {host.strip().lower() for host in environ.get(HOSTS, "").split(",") if host.strip()}
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("https", "http") or not host:
        raise NotAllowed(f"--webhook must be an https URL, got {one_line(parts.scheme or url, 20)}")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise NotAllowed(f"--webhook must be an https URL: a report does not go to {host} unencrypted")
    if host not in allowed:
        raise NotAllowed(f"--webhook: {host} is not in {HOSTS} ({', '.join(sorted(allowed)) or 'which is empty'})")
    return url


def send(url: str, content: bytes) -> str | None:
    """Post the payload to a URL that was checked; return None, or why it was not taken. The URL itself is a secret."""
    request = urllib.request.Request(url, content, {"Content-Type": "application/json; charset=utf-8"})
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {one_line(str(getattr(error, 'reason', '') or error), 200)}"
