"""A bare open-model client over aiohttp on uvloop, the noise floor of arrivals: URL RATE SECONDS.

Each stream begins at its place on an even grid, by the loop's own timers, whatever became of those before.
"""

import asyncio
import sys
import time

import aiohttp
import uvloop

BODY = {"model": "known", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


async def stream(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(url, json=BODY) as response:
        async for _ in response.content.iter_any():
            pass


async def main() -> None:
    url, rate, seconds = f"{sys.argv[1]}/v1/chat/completions", float(sys.argv[2]), float(sys.argv[3])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        begin, streams = time.monotonic() + 0.5, []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(begin + number / rate - time.monotonic())
            streams.append(asyncio.create_task(stream(session, url)))
        await asyncio.gather(*streams)


uvloop.run(main())
