"""Streams over OpenAI's own asynchronous client on uvloop: a stamp of each chunk."""

import asyncio
import sys
import time

import openai
import uvloop


async def stream(client: openai.AsyncOpenAI, until: float) -> None:
    while time.monotonic() < until:
        stamps = []
        messages = [{"role": "user", "content": "Hello"}]
        async for _ in await client.chat.completions.create(model="known", messages=messages, stream=True):
            stamps.append(time.monotonic())  # noqa: PERF401 - the same


async def main() -> None:
    until = time.monotonic() + float(sys.argv[3])
    async with openai.AsyncOpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none") as client:
        await asyncio.gather(*(stream(client, until) for _ in range(int(sys.argv[2]))))


uvloop.run(main())
