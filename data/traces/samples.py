"""Small recordings and data sets in the form of the public ones, made from a seed: for a first try, and for tests.

The shapes are those of the published files (columns, units, digits, order); the figures are drawn, not copied.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

_BEGIN = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
_QUESTIONS = (
    "How do I reverse a list in Python?",
    "Which planet is the largest?",
    "Translate 'good morning' into French, please.",
    "Why is the sky blue?",
    "Write a haiku about a quiet harbour.",
    "What does HTTP status 418 mean?",
)
_ANSWERS = (
    "Gladly. Here is what I know about it.",
    "That depends on what you want to do with it.",
    "In short: yes, but mind the edge cases.",
)
_PATHS = ("/health", "/v1/models", "/api/v1/evaluations/runs?page={}&limit=20", "/metrics", "/missing")


def moments(random: Random, rows: int, rate: float) -> Iterator[int]:
    """Yield times in nanoseconds from 0 on, with gaps by chance: some hours are busier than others."""
    now = 0
    for row in range(rows):
        yield now
        busy = 1.5 if row // 20 % 2 else 0.75
        now += round(random.expovariate(rate * busy) * 1e9)


def mooncake(random: Random, rows: int) -> str:
    """Milliseconds, and blocks of 512 tokens that conversations share at their beginning."""
    lines, chats = list[str](), list[list[int]]()
    for number, ns in enumerate(moments(random, rows, 4.0)):
        if not chats or random.random() < 0.6:
            chats.append([0])  # everybody has the same system prompt
        chat = random.choice(chats[-8:])
        chat += [1000 * (number + 1) + block for block in range(random.randint(1, 2))]
        length = 512 * (len(chat) - 1) + random.randint(1, 512)
        entry = {
            "timestamp": ns // 10**6,
            "input_length": length,
            "output_length": random.randint(4, 60),
            "hash_ids": list(chat),
        }
        lines.append(json.dumps(entry))
    return "\n".join(lines) + "\n"


def azure(random: Random, rows: int) -> str:
    """A date with seven digits of a second."""
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for ns in moments(random, rows, 5.0):
        whole, ticks = divmod(ns // 100, 10**7)
        lengths = f"{_tokens(random, 400, 3000)},{_tokens(random, 30, 120)}"
        lines.append(f"{_BEGIN + timedelta(seconds=whole):%Y-%m-%d %H:%M:%S}.{ticks:07d},{lengths}")
    return "\n".join(lines) + "\n"


def burstgpt(random: Random, rows: int) -> str:
    """Whole seconds; a request that failed has an answer of 0 tokens."""
    lines = ["Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"]
    for ns in moments(random, rows, 4.0):
        asked, answered = _tokens(random, 200, 2000), 0 if random.random() < 0.05 else _tokens(random, 30, 120)
        kind = random.choice(("Conversation log", "API log"))
        model = random.choice(("ChatGPT", "GPT-4"))
        lines.append(f"{ns // 10**9},{model},{asked},{answered},{asked + answered},{kind}")
    return "\n".join(lines) + "\n"


def access_log(random: Random, rows: int) -> str:
    """The combined format, in the order of the answers and not of the requests, as servers write it."""
    written = []
    for ns in moments(random, rows, 8.0):
        path = random.choice(_PATHS).format(random.randint(1, 3))
        method = random.choices(("GET", "POST"), (18, 1))[0]
        status, size = 404 if path == "/missing" else 200, random.randint(120, 20_000)
        time = f"{_BEGIN + timedelta(seconds=ns // 10**9):%d/%b/%Y:%H:%M:%S} +0000"
        line = (
            f'192.0.2.{random.randint(1, 254)} - - [{time}] "{method} {path} HTTP/1.1" {status} {size} "-" "sample/1"'
        )
        written.append((ns + round(random.expovariate(5.0) * 1e9), line))
    return "\n".join(line for _, line in sorted(written)) + "\n"


def sharegpt(random: Random, rows: int) -> str:
    """Conversations of one to three questions."""
    found = []
    for number in range(rows):
        turns: list[dict[str, str]] = []
        for _ in range(random.randint(1, 3)):
            turns += [{"from": "human", "value": random.choice(_QUESTIONS)}]
            turns += [{"from": "gpt", "value": random.choice(_ANSWERS)}]
        found.append({"id": f"sample_{number}", "conversations": turns})
    return json.dumps(found, indent=1) + "\n"


def messages(random: Random, rows: int) -> str:
    """Every other line a plain chat, the others requests of the batch API."""
    lines = []
    for number in range(rows):
        chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": random.choice(_QUESTIONS)}]
        body = {"model": "any", "messages": chat, "max_tokens": random.randint(8, 48)}
        batch = {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        lines.append(json.dumps(batch if number % 2 else {"messages": chat}))
    return "\n".join(lines) + "\n"


def lengths(random: Random, rows: int) -> str:
    """One length a line."""
    return "\n".join(str(_tokens(random, 300, 4000)) for _ in range(rows)) + "\n"


SAMPLES: dict[str, Callable[[Random, int], str]] = {
    "mooncake.jsonl": mooncake,
    "azure.csv": azure,
    "burstgpt.csv": burstgpt,
    "access.log": access_log,
    "sharegpt.json": sharegpt,
    "messages.jsonl": messages,
    "lengths.txt": lengths,
}


def write(folder: Path, seed: int = 1, rows: int = 60) -> list[Path]:
    """Write one file of each format, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in SAMPLES.items():
        (folder / name).write_text(make(Random(f"{seed}:{name}"), rows), encoding="utf-8")
    return [folder / name for name in SAMPLES]


def _tokens(random: Random, median: int, most: int) -> int:
    """Return a length with the long tail that real ones have."""
    return max(1, min(most, round(median * random.lognormvariate(0.0, 0.8))))
