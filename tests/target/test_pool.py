"""The pool of the platform's database, as its page of metrics tells it."""

import asyncio
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry, Histogram

from target.database import POOL_SIZE, Database, PoolUse


def test_what_is_lent_and_what_waits_is_told_until_it_is_given_back() -> None:
    seconds = Histogram("seconds", "of queries", ["operation"], registry=CollectorRegistry())
    asyncio.run(_lend_all(Database("", seconds)))


async def _lend_all(database: Database) -> None:
    await database.start(0, 1)
    try:
        async with AsyncExitStack() as lent:
            for _ in range(POOL_SIZE):
                await lent.enter_async_context(database._reading("held"))
            waiting = [asyncio.create_task(database.ping()) for _ in range(3)]
            await asyncio.sleep(0.05)
            assert database.pool == PoolUse(POOL_SIZE, POOL_SIZE, 3)
            waiting.pop().cancel()
            await asyncio.sleep(0.05)
            assert database.pool == PoolUse(POOL_SIZE, POOL_SIZE, 2)
        await asyncio.gather(*waiting)
        assert database.pool == PoolUse(0, POOL_SIZE, 0)
    finally:
        await database.stop()
