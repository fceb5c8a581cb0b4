"""What the server can be told on its command line, and what is refused there."""

from __future__ import annotations

import argparse
import ipaddress
import math
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LOCAL_DATABASE = ""
"""Stands for "a private SQLite file in a temporary folder, removed at exit"."""

DEFAULT_MODELS = ("mixtral-8x7b", "hermes-2", "openchat-3.5", "phi-3-mini")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Size and speed of the simulated engine; `engine.py` gives the capacity that follows from them."""

    slots: int
    queue_limit: int
    prefill_us_per_token: float
    decode_base_ms: float
    decode_per_seq_ms: float


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that one server process was started with."""

    host: str
    port: int
    database: str
    exit_with_parent: bool
    seed: int
    seed_runs: int
    models: tuple[str, ...]
    strict_models: bool
    tokens_per_event: int
    keep_alive_s: int
    stop_grace_s: int
    token_s: float
    require_login: bool
    engine: EngineOptions


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; anything wrong ends the process with exit code 2 and a sentence on stderr."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.allow_remote and not is_loopback(given.host):
        parser.error(
            f"argument --host: {given.host!r} is not a loopback address; this server has no access control,"
            " so it is only opened to other machines with --allow-remote"
        )
    models = tuple(name.strip() for name in given.models.split(",") if name.strip())
    if not models:
        parser.error("argument --models: name at least one model, separated by commas")
    return Options(
        host=given.host,
        port=given.port,
        database=given.database,
        exit_with_parent=given.exit_with_parent,
        seed=given.seed,
        seed_runs=given.seed_runs,
        models=models,
        strict_models=given.strict_models,
        tokens_per_event=given.tokens_per_event,
        keep_alive_s=given.keep_alive_s,
        stop_grace_s=given.stop_grace_s,
        token_s=given.token_s,
        require_login=given.require_login,
        engine=EngineOptions(
            slots=given.slots,
            queue_limit=given.queue_limit,
            prefill_us_per_token=given.prefill_us_per_token,
            decode_base_ms=given.decode_base_ms,
            decode_per_seq_ms=given.decode_per_seq_ms,
        ),
    )


def is_loopback(host: str) -> bool:
    """Whether every address that `host` stands for is a loopback address (an unknown name is not)."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_loopback for entry in found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m target",
        description="The embedded platform under test. Prints one JSON line, url and pid, when it serves.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=_whole(0, 65535), default=0, help="port to listen on; 0 takes a free one")
    add("--allow-remote", action="store_true", help="permit a --host that other machines can reach")
    add(
        "--database",
        type=_database_url,
        default=LOCAL_DATABASE,
        help="sqlite+aiosqlite:///PATH or postgresql://USER@HOST/NAME; empty: a private file, gone at exit",
    )
    add("--exit-with-parent", action="store_true", help="exit when standard input reaches its end")
    add("--seed", type=_whole(0, 2**63 - 1), default=1, help="seed of answers, seeded rows and random faults")
    add("--seed-runs", type=_whole(0, 1_000_000), default=300, help="evaluation runs present at the start")
    add("--models", default=",".join(DEFAULT_MODELS), help="model names listed, separated by commas")
    add(
        "--strict-models",
        action="store_true",
        help="refuse a model that is not listed (404) instead of serving it",
    )
    add("--tokens-per-event", type=_whole(1, 1000), default=1, help="tokens in one streamed event")
    add("--keep-alive-s", type=_whole(1, 86400), default=75, help="seconds an idle connection stays open")
    add(
        "--stop-grace-s",
        type=_whole(0, 600),
        default=1,
        help="seconds open requests get to finish after SIGTERM",
    )
    _add_accounts(add)
    _add_engine(add)
    return parser


def _add_accounts(add: Callable[..., object]) -> None:
    add("--token-s", type=_number(0.1), default=900.0, help="seconds for which the token of a login can be used")
    add("--require-login", action="store_true", help="serve the evaluation runs only to those who are logged in")


def _add_engine(add: Callable[..., object]) -> None:
    add("--slots", type=_whole(1, 100_000), default=64, help="sequences decoded together")
    add("--queue-limit", type=_whole(0, 1_000_000), default=256, help="requests that may wait; more get 429")
    add("--prefill-us-per-token", type=_number(0), default=20.0, help="microseconds per prompt token")
    add(
        "--decode-base-ms",
        type=_number(0.1),
        default=8.0,
        help="milliseconds of one decode step, empty batch",
    )
    add(
        "--decode-per-seq-ms",
        type=_number(0),
        default=0.1,
        help="milliseconds added per sequence in the batch",
    )


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, got {text!r}")
        return value

    return convert


def _number(low: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= low):
            raise argparse.ArgumentTypeError(f"must be a number of at least {low:g}, got {text!r}")
        return value

    return convert


def _database_url(text: str) -> str:
    """Normalise to the URL that the driver needs, so that operators can paste an ordinary PostgreSQL URL."""
    scheme, separator, rest = text.partition("://")
    drivers = {
        "sqlite+aiosqlite": "sqlite+aiosqlite",
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
        "postgresql+psycopg": "postgresql+psycopg",
    }
    if not text:
        return LOCAL_DATABASE
    if not separator or scheme not in drivers or not rest.strip("/"):
        # The URL may hold a password, so only its scheme is repeated.
        raise argparse.ArgumentTypeError(
            f"must be sqlite+aiosqlite:///PATH or postgresql://USER@HOST/NAME, got scheme {scheme!r}"
        )
    return f"{drivers[scheme]}://{rest}"
