"""Connections of the server under test: do they leak, and did a pool of them run dry?"""

import numpy as np

from plans.run import SHORTEST_TREND_S
from reports.analysis import Measured
from reports.rows import numbers
from reports.statistics import Floats
from reports.trends import leaks
from reports.troubles import for_want_of_a_connection
from reports.windows import Window

_FEWEST = 60
_GROWTH, _LEAST = 0.1, 3.0
_OFTEN = 0.05
"""Share of the readings from which on a full pool is no single burst."""


def connection_leak(window: Window) -> Measured:
    """Return whether connections that nobody uses grew without end.

    Of the server's process: its sockets beyond those before the load and one for each user of ours. Of a database: the
    connections of others beyond those before the load.
    """
    judged = [found for found in (_of_process(window), _of_database(window)) if found is not None]
    if not judged:
        return Measured(None, 0, "there are no readings of the target's connections, nor of a database's")
    leaking = next((found for found in judged if found.value is True), None)
    return leaking or next((found for found in judged if found.value is not None), judged[0])


def _of_process(window: Window) -> Measured | None:
    times, values = window.readings("connections")
    at, users = window.readings("users", "generator")
    if not len(values):
        return None
    ours = np.interp(times, at, users) if len(at) else np.zeros(len(times))
    return _leaks(window, times, values, values - ours - _before(window, "connections", "target"))


def _of_database(window: Window) -> Measured | None:
    times, values = window.readings("open_connections", "database")
    at, own = window.readings("own_connections", "database")
    if not len(values) or not len(at):
        return None
    others_before = _before(window, "open_connections", "database") - _before(window, "own_connections", "database")
    return _leaks(window, times, values, values - np.interp(times, at, own) - others_before)


def _before(window: Window, metric: str, source: str) -> float:
    _, values = window.run.readings(metric, source, -np.inf, np.nextafter(window.run.start_s, -np.inf))
    return float(np.median(values)) if len(values) else 0.0


def _leaks(window: Window, times: Floats, every: Floats, unexplained: Floats) -> Measured:
    """Hold the growth of the floor against 10 % of all, as for memory."""
    if len(every) < _FEWEST or window.length_s < SHORTEST_TREND_S:
        needed = f"{_FEWEST} and {SHORTEST_TREND_S:.0f} s are needed"
        why = f"too short to tell: {len(every)} readings of connections in {window.length_s:.0f} s, {needed}"
        return Measured(None, len(every), why)
    least = max(_GROWTH * float(np.median(every)), _LEAST)
    grew = leaks(times, np.maximum(unexplained, 0.0), window.start_s, window.end_s, least)
    return Measured(grew, len(every))


def pool_exhausted(window: Window) -> Measured:
    """Return whether requests failed for want of a connection, or a pool was often empty while somebody waited."""
    failed = for_want_of_a_connection(window.rows)
    pool, database = _pool_empty(window), _database_full(window)
    if failed:
        return Measured(True, failed)
    known = [shares for shares in (pool, database) if shares is not None]
    if not known and not np.isfinite(numbers(window.sql, "pool_wait_ms")).any():
        return Measured(None, 0, "there are no queries of ours, and no readings of a pool or of a database")
    empty = any(float(shares.mean()) > _OFTEN for shares in known)
    return Measured(empty, sum(map(len, known)) or len(window.sql))


def _pool_empty(window: Window) -> Floats | None:
    """Return 1 for each reading at which every connection was lent and an operation waited."""
    (at, used), (_, size) = window.readings("pool_in_use", "server"), window.readings("pool_size", "server")
    since, waiting = window.readings("pool_waiting", "server")
    if not len(used) or len(used) != len(size):
        return None
    queued = np.interp(at, since, waiting) if len(since) else np.zeros(len(at))
    return ((used >= size) & (queued >= 1)).astype(np.float64)


def _database_full(window: Window) -> Floats | None:
    """Return 1 for each reading at which the database had no connection left for a usual client."""
    (_, used), (_, most) = (window.readings(name, "database") for name in ("open_connections", "most_connections"))
    if not len(used) or len(used) != len(most):
        return None
    return (used >= most).astype(np.float64)
