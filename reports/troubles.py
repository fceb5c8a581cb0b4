"""Troubles that a user meets, recognised by what was recorded: each with its figures and what to do."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reports.analysis import Finding, PhaseResult
from reports.figures import figure
from reports.rows import Mask, Rows, equals, numbers, only
from reports.windows import RunData, Scope
from samples.sample import Outcome, Protocol

_POOL_WAIT_SHARE, _POOL_WAIT_MS = 0.3, 10.0
"""From this share of the queries' time on, and this mean, the wait for a connection is a finding."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """A trouble that error texts name."""

    kind: str
    what: str
    pattern: re.Pattern[str]
    advice: str


def _sign(kind: str, what: str, pattern: str, advice: str) -> _Sign:
    return _Sign(kind, what, re.compile(pattern, re.IGNORECASE), advice)


_SIGNS = (
    _sign(
        "pool_exhausted",
        "the pool of connections on this side was exhausted",
        r"^pool exhausted",
        "raise the scenario's connections, or find out which query holds them so long (pool_wait_*, the slowest query)",
    ),
    _sign(
        "no_connection_left",
        "the database had no connection left",
        r"no connection left|too many (clients|connections)|remaining connection slots",
        "raise the database's max_connections, make the services' pools smaller, or put a pooler before it",
    ),
    _sign(
        "server_pool_exhausted",
        "the server's own pool of connections was exhausted",
        r"queuepool limit|pool (is )?(exhausted|timed? ?out|timeout)|(waiting for|acquire|get) a? ?connection from",
        "raise the size of the server's pool, up to what its database takes, or shorten what holds a connection",
    ),
    _sign(
        "database_locked",
        "the database was locked",
        r"^locked:|database (table )?is locked|deadlock|lock timeout|lock wait timeout",
        "shorten the transactions that write, let them take their rows in one order, or use a database with more than "
        "one writer (SQLite has one)",
    ),
    _sign(
        "none_left_here",
        "this machine had no port or file descriptor left",
        r"cannot assign requested address|too many open files|no file descriptors",
        "raise ulimit -n, keep connections alive, or make the load from more machines",
    ),
)
_NO_CONNECTION = frozenset({"pool_exhausted", "no_connection_left", "server_pool_exhausted"})
_REFUSED = re.compile(r"connection refused|refused the connection", re.IGNORECASE)
_OF_UPGRADE = {
    401: "the upgrade needs a token: is the variable of target.api_key_env set?",
    403: "the upgrade is forbidden: look at the token, the Origin, and the rights of the account",
    404: "nothing is at this path: look at mix.WebSocketUser.path",
    426: "a proxy on the way does not pass the upgrade on: it must hand Connection and Upgrade through",
    429: "the server limits connections: raise its limit, or connects_per_s is too high",
    503: "the server takes no more connections: raise its limit, or add servers",
}
_UPGRADE = "look at the server's log, at its limit of connections, and at a proxy that does not pass the upgrade on"


def troubles(run: RunData, phases: list[PhaseResult]) -> list[Finding]:
    """Return the troubles that the data shows, those that failed the most requests first."""
    samples = run.frames.samples
    failed = ~equals(samples, "outcome", Outcome.OK)
    sockets = failed & equals(samples, "protocol", Protocol.WEBSOCKET) & equals(samples, "name", "connect")
    found: list[tuple[int, Finding]] = []
    for sign in _SIGNS:
        rows = only(samples, failed & ~sockets & _with_text(samples, sign.pattern))
        if len(rows):
            found.append((len(rows), Finding(sign.kind, sign.what, (_seen(run, rows),), sign.advice)))
    refused = only(samples, failed & ~sockets & _with_text(samples, _REFUSED))
    if len(refused):
        advice = "is the server up, and is it the right port? It may have died under the load, or its backlog is full"
        found.append((len(refused), Finding("refused", "connections were refused", (_seen(run, refused),), advice)))
    if (rows := only(samples, sockets)) is not None and len(rows):
        found.append((len(rows), _refused_sockets(run, rows)))
    by_count = [finding for _, finding in sorted(found, key=lambda pair: -pair[0])]
    return [*by_count, *_waits(run, phases), *_growth(phases)]


def for_want_of_a_connection(rows: Rows) -> int:
    """Return how many of the rows failed because a pool, or the database, had no connection to give."""
    patterns = [sign.pattern for sign in _SIGNS if sign.kind in _NO_CONNECTION]
    failed = ~equals(rows, "outcome", Outcome.OK)
    return int((failed & np.logical_or.reduce([_with_text(rows, pattern) for pattern in patterns])).sum())


def _with_text(samples: Rows, pattern: re.Pattern[str]) -> Mask:
    """Return which rows have an error that the pattern finds; each different text is looked at once."""
    errors = samples["error"].cat
    hits = np.array([bool(pattern.search(str(text))) for text in errors.categories], dtype=np.bool_)
    codes = errors.codes.to_numpy()
    result: Mask = np.zeros(len(codes), dtype=np.bool_)
    if len(hits):
        result = (codes >= 0) & hits[np.maximum(codes, 0)]
    return result


def _seen(run: RunData, rows: Rows) -> str:
    due = numbers(rows, "due_s")
    scenarios = [str(name) for name, count in rows["scenario"].value_counts().items() if count]
    total = sum(len(run.rows(Scope(scenario=name))) for name in scenarios)
    where = ", ".join(str(name) for name, count in rows["phase"].value_counts().items() if count)
    times = f"from {due.min():.1f} s to {due.max():.1f} s" if len(rows) > 1 else f"at {due.min():.1f} s"
    text = rows["error"].dropna()
    example = f": {text.value_counts().index[0]}" if len(text) else ""
    return f"{len(rows):,} of {total:,} attempts of {' and '.join(scenarios)} in {where}, {times}{example}"


def _refused_sockets(run: RunData, rows: Rows) -> Finding:
    statuses = numbers(rows, "status")
    known = statuses[np.isfinite(statuses)]
    advice = _UPGRADE
    if len(known):
        values, counts = np.unique(known, return_counts=True)
        advice = _OF_UPGRADE.get(int(values[counts.argmax()]), _UPGRADE)
    elif _with_text(rows, _REFUSED).any():
        advice = "is the server up, and is it the right port? Its backlog may be full: lower connects_per_s"
    return Finding("websocket_refused", "WebSocket connections were refused", (_seen(run, rows),), advice)


def _waits(run: RunData, phases: list[PhaseResult]) -> list[Finding]:
    evidence = [text for phase in phases if (text := pool_wait(run, phase.name)) is not None]
    if not evidence:
        return []
    what, advice = (
        "queries waited for the pool of connections on this side",
        "raise the scenario's connections if the database takes more; if not, that wait is the limit of the system",
    )
    return [Finding("pool_wait", what, tuple(evidence), advice)]


def pool_wait(run: RunData, phase: str | None) -> str | None:
    """Return how much of the queries' time in a phase was the wait for a connection of ours, when it was much."""
    rows = run.window(Scope(phase)).sql
    waited = numbers(rows, "pool_wait_ms")
    service = (numbers(rows, "done_s") - numbers(rows, "sent_s")) * 1000
    known = np.isfinite(waited) & np.isfinite(service)
    if not known.any() or service[known].sum() <= 0:
        return None
    share, mean = float(waited[known].sum() / service[known].sum()), float(waited[known].mean())
    if share < _POOL_WAIT_SHARE or mean < _POOL_WAIT_MS:
        return None
    options = run.plan.mix.DatabaseUser
    pool = f"one of the {options.connections} connections" if options else "a connection"
    where = f" in {phase}" if phase else ""
    return (
        f"{figure(share, 'ratio')} of the time of the queries{where} was the wait for {pool} ({mean:.0f} ms on average)"
    )


_GROWING: tuple[tuple[str, str, str, Callable[[PhaseResult], str], str], ...] = (
    (
        "memory_growth",
        "memory_leak",
        "the target's memory grew without end",
        lambda p: (
            f"by {figure(p.metrics['memory_growth'].value, 'ratio')} in {p.name}, from {p.start_s:.0f} s to "
            f"{p.end_s:.0f} s, up to {figure(p.metrics['memory_max_bytes'].value, 'bytes')}"
        ),
        "look for caches without a bound, lists that are never emptied and sessions that are never closed; take a heap "
        "profile at the begin and the end of such a phase",
    ),
    (
        "connection_leak",
        "connection_leak",
        "connections of the target grew without end, beyond those that are in use",
        lambda p: f"in {p.name}, from {p.start_s:.0f} s to {p.end_s:.0f} s",
        "look for connections that are not closed after an error or a timeout (netstat: CLOSE_WAIT), and for clients "
        "that are made anew for each request",
    ),
    (
        "file_leak",
        "file_leak",
        "open files of the target grew without end",
        lambda p: f"in {p.name}, from {p.start_s:.0f} s to {p.end_s:.0f} s",
        "look for files, pipes and locks that are opened for a request and not closed (lsof); the end is at ulimit -n",
    ),
    (
        "thread_leak",
        "thread_leak",
        "threads of the target grew without end",
        lambda p: f"in {p.name}, from {p.start_s:.0f} s to {p.end_s:.0f} s",
        "look for threads and pools of them that are made for a request and not ended; take a dump of their stacks",
    ),
)


def _growth(phases: list[PhaseResult]) -> list[Finding]:
    found = []
    for kind, metric, what, evidence, advice in _GROWING:
        grown = tuple(evidence(phase) for phase in phases if phase.metrics[metric].value is True)
        if grown:
            found.append(Finding(kind, what, grown, advice))
    return found
