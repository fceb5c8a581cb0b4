"""Streams over aiohttp on uvloop: stamps at arrival, JSON decoded when the stream has ended."""

import asyncio
import json
import sys
import time

import aiohttp
import uvloop

BODY = {"model": "known", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


async def stream(session: aiohttp.ClientSession, url: str, until: float) -> None:
    while time.monotonic() < until:
        chunks = []
        async with session.post(url, json=BODY) as response:
            async for data in response.content.iter_any():
                chunks.append((time.monotonic(), data))  # noqa: PERF401 - the stamp is what it is about
        text = b"".join(data for _, data in chunks)
        for line in text.split(b"\n\n"):
            if line.startswith(b"data: {"):
                json.loads(line[6:])


async def main() -> None:
    url, streams, seconds = f"{sys.argv[1]}/v1/chat/completions", int(sys.argv[2]), float(sys.argv[3])
    until = time.monotonic() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(stream(session, url, until) for _ in range(streams)))


uvloop.run(main())
