"""A WebSocket server made with the `websockets` library: `python -m tests.clients.websocket_server`.

It prints its port and stops at the end of its standard input. The path says what it does with a connection.
"""

from __future__ import annotations

import asyncio
import http
import json
import os
import sys
import time
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

AGE_S = 0.25
"""What a message of `/mangled` claims to be old when it is sent."""


async def mangle(connection: ServerConnection) -> None:
    """Of 1 to 100 lose 10, 11 and 50, send 20 and 30 twice, and 40 after 42; the order on the wire is the list's."""
    numbers = [number for number in range(1, 101) if number not in {10, 11, 40, 50}]
    for number in (20, 30):
        numbers.insert(numbers.index(number) + 1, number)
    numbers.insert(numbers.index(42) + 1, 40)
    await connection.recv()
    await connection.send(json.dumps({"type": "subscribed", "sequence": 0, "timestamp": time.time() - AGE_S}))
    for number in numbers:
        await asyncio.sleep(0.01)
        await connection.send(json.dumps({"type": "news", "sequence": number, "timestamp": time.time() - AGE_S}))
    await connection.wait_closed()


async def behave(connection: ServerConnection) -> None:  # noqa: PLR0912 - a branch for each path
    assert connection.request is not None
    parts = urlsplit(connection.request.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path == "/echo":
        async for message in connection:
            await connection.send(message)
    elif parts.path == "/headers":
        await connection.send(json.dumps(dict(connection.request.headers.raw_items())))
    elif parts.path == "/paced":
        begun = time.monotonic()
        for number in range(int(query["count"])):
            await asyncio.sleep(begun + number * float(query["gap"]) - time.monotonic())
            await connection.send(json.dumps({"sequence": number, "sent": time.monotonic()}))
        await connection.wait_closed()
    elif parts.path == "/mangled":
        await mangle(connection)
    elif parts.path == "/late-echo":
        async for message in connection:
            await asyncio.sleep(0.1)
            await connection.send(message)
    elif parts.path == "/types":
        for number in range(150):
            await connection.send(json.dumps({"type": f"{number} {'x' * 500}", "sequence": number}))
        await connection.wait_closed()
    elif parts.path == "/fragments":
        await connection.send([f"part {number};" for number in range(5)])
        await connection.send(b"caf\xc3\xa9 \xff")
        await connection.wait_closed()
    elif parts.path == "/ping":
        pong = await connection.ping()
        await asyncio.wait_for(pong, 2)
        await connection.send("answered")
        await connection.wait_closed()
    elif parts.path == "/close":
        await connection.send("last words")
        await connection.close(int(query["code"]), "because")
    elif parts.path == "/drop":
        await connection.send("last words")
        connection.transport.abort()
    elif parts.path == "/saw-close":
        await connection.wait_closed()
        print(json.dumps({"close_code": connection.close_code}), flush=True)
    else:
        await connection.wait_closed()


async def admit(connection: ServerConnection, request: Request) -> Response | None:
    parts = urlsplit(request.path)
    if parts.path == "/refuse":
        return connection.respond(http.HTTPStatus(int(parse_qs(parts.query)["status"][0])), "no\n")
    if parts.path == "/elsewhere":
        response = connection.respond(http.HTTPStatus.FOUND, "")
        response.headers["Location"] = "ws://" + request.headers["Host"] + "/echo"
        return response
    if parts.path == "/slow":
        await asyncio.sleep(3)
    if parts.path == "/vanish":
        connection.transport.abort()
    return None


async def main() -> None:
    async with serve(behave, "127.0.0.1", 0, process_request=admit, close_timeout=0.2) as server:
        print(json.dumps({"port": next(iter(server.sockets)).getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)  # nobody waits for the connections that tests left open


if __name__ == "__main__":
    asyncio.run(main())
