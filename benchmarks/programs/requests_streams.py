"""Streams over requests, a thread each: a stamp and the decoded JSON of each line."""

import json
import sys
import threading
import time

import requests

BODY = {"model": "known", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


def stream(url: str, until: float) -> None:
    session = requests.Session()
    session.trust_env = False
    while time.monotonic() < until:
        stamps = []
        with session.post(url, json=BODY, stream=True, timeout=60) as response:
            for line in response.iter_lines(chunk_size=None):
                stamps.append(time.monotonic())
                if line.startswith(b"data: {"):
                    json.loads(line[6:])


if __name__ == "__main__":
    end = time.monotonic() + float(sys.argv[3])
    target = f"{sys.argv[1]}/v1/chat/completions"
    threads = [threading.Thread(target=stream, args=(target, end)) for _ in range(int(sys.argv[2]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
