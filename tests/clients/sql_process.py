"""The SQL client at work under gevent, told as JSON. A process of its own: psycopg waits by what gevent has patched."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - what follows must see the patched modules
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402

from clients.errors import ClientError  # noqa: E402
from clients.sql import SqlClient  # noqa: E402


def error_of(act: Callable[[], object]) -> list[str]:
    try:
        act()
    except ClientError as error:
        return [type(error).__name__, str(error)]
    return []


def slow_beside_quick(client: SqlClient, slow: str) -> dict[str, float]:
    """How long quick queries take, and the loop turns, while one connection is busy for 0.6 s."""
    turns: list[float] = []

    def watch() -> None:
        while True:
            began = time.monotonic()
            gevent.sleep(0.001)
            turns.append(time.monotonic() - began)

    client.run("SELECT 1")
    busy, watcher = gevent.spawn(client.run, slow), gevent.spawn(watch)
    gevent.sleep(0.1)
    times = []
    for _ in range(50):
        began = time.monotonic()
        client.run("SELECT 1")
        times.append(time.monotonic() - began)
    still_busy = not busy.ready()
    busy.join()
    watcher.kill()
    return {"quick_s": sorted(times)[-3], "turn_s": sorted(turns)[-3], "still_busy": float(still_busy)}


def crowd(url: str, slow: str | None) -> float:
    """The median time of a query of 50 users, each with a connection of its own, while one more may be busy."""
    client = SqlClient(url, connections=51, timeout=10.0)
    times: list[float] = []

    def user(place: int) -> None:
        client.run("SELECT 1")
        gevent.sleep(0.3 + 0.002 * place)  # out of step, as users are
        for _ in range(4):
            began = time.monotonic()
            client.run("SELECT 1")
            times.append(time.monotonic() - began)
            gevent.sleep(0.1)

    users = [gevent.spawn(user, place) for place in range(50)]
    busy = gevent.spawn(client.run, slow) if slow else None
    gevent.joinall(users, raise_error=True)
    if busy is not None:
        busy.get()
    client.close()
    return sorted(times)[len(times) // 2]


def pool_wait(client: SqlClient, slow: str) -> list[float]:
    """Three queries on a pool of one: what each waited for the connection."""

    def wait() -> float:
        began = time.monotonic()
        return client.run(slow).acquired - began

    client.run("SELECT 1")
    jobs = [gevent.spawn(wait) for _ in range(3)]
    gevent.joinall(jobs)
    return sorted(job.value for job in jobs)


def killed(client: SqlClient, slow: str) -> list[object]:
    """A user that is killed in mid-query gives its place in the pool back, and no answer to the next one."""
    victim = gevent.spawn(client.run, slow)
    gevent.sleep(0.2)
    victim.kill()
    return [list(row) for row in client.run("SELECT 7").rows]


def main() -> None:
    url, slow = sys.argv[1], sys.argv[2]
    wide, narrow, hasty = (
        SqlClient(url, connections=n, timeout=timeout) for n, timeout in ((3, 10.0), (1, 10.0), (1, 0.3))
    )
    told: dict[str, object] = {"beside": slow_beside_quick(wide, slow), "pool_wait": pool_wait(narrow, slow)}
    if url.startswith("postgresql"):
        told["crowd_s"] = [crowd(url, None), crowd(url, "SELECT pg_sleep(1)")]
    told["killed"] = killed(narrow, slow)
    hasty.run("SELECT 1")
    taken = hasty._acquire()
    told["exhausted"] = error_of(lambda: hasty.run("SELECT 1"))
    hasty._release(taken)
    told["timed_out"] = error_of(lambda: hasty.run(slow))
    told["after_time_out"] = [list(row) for row in hasty.run("SELECT 8").rows]
    told["broken"] = error_of(lambda: wide.run("SELECT x FROM nowhere"))
    told["after_broken"] = [list(row) for row in wide.run("SELECT 9").rows]
    for client in (wide, narrow, hasty):
        client.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
