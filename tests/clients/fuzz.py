"""Harmed bytes for the HTTP client and the event-stream parser: `python -m tests.clients.fuzz --seconds 300`.

Every exchange must end, with a response or one of the client's own errors; the memory of the process must not grow.
The seed of each exchange is the run's seed and its number, so that a finding can be made again with `--from`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import gevent
import psutil

from clients import sse
from clients.errors import ClientError, TimedOut
from clients.http import HttpClient, Options
from clients.options import Limits
from tests.clients.generated import cut, harmed, valid
from tests.clients.wire import WireServer, in_pieces, read_request

_TIMEOUT_S = 5.0
_GROWTH_BYTES = 64 * 2**20
_WARM = 500
_OPTIONS = Options(compression=True, cookies=True, follow_redirects=2, limits=Limits(body_bytes=2**20))
_WORDS = [b"data:", b"data: x", b"id: 1", b"id:\0", b"event: e", b"retry: 5", b"\r", b"\n", b"\r\n", b"\n\n", b":",
          b"\xef\xbb\xbf", b"\xe2\x82", b"\xff", b" ", "é€😀".encode()]  # fmt: skip


@dataclass(slots=True)
class Report:
    """What came of a run."""

    exchanges: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def run(seed: int, seconds: float, most: int | None = None, first: int = 0) -> Report:
    """Make exchanges until the time is over, `most` are done or a problem is found."""
    report, process = Report(), psutil.Process()
    end = time.monotonic() + seconds
    pieces: list[list[bytes]] = []

    def serve(sock: Any) -> None:
        while read_request(sock):
            # A redirect or a request that is repeated gets the same answer; then the connection ends, so that
            # nothing has to wait for a timeout and whatever does wait is a finding.
            in_pieces(sock, pieces[-1])
            return

    warm = 0
    with WireServer(serve) as server:
        for number in range(first, sys.maxsize):
            if report.problems or time.monotonic() > end or report.exchanges == most:
                break
            dice = random.Random(f"{seed}/{number}")
            one = valid(dice)
            pieces.append(cut(dice, harmed(dice, one.interim + one.raw)))
            _exchange(server.url, one.method, dice.random() < 0.5, f"exchange {number}", report)
            pieces.clear()
            _events(dice, f"stream {number}", report)
            report.exchanges += 1
            if report.exchanges == _WARM:
                warm = process.memory_info().rss
    if warm and (grown := process.memory_info().rss - warm) > _GROWTH_BYTES:
        report.problems.append(f"memory grew by {grown / 2**20:.0f} MiB in {report.exchanges} exchanges")
    return report


def _exchange(url: str, method: str, stream: bool, name: str, report: Report) -> None:
    try:
        with HttpClient(url, options=_OPTIONS) as client:
            response = client.request(method, "/", timeout=_TIMEOUT_S, stream=stream)
            outcome = "broken" if response.broken else "response"
            _ = response.headers, response.body
    except TimedOut as error:
        report.problems.append(f"{name}: {error}")
        outcome = "hang"
    except ClientError as error:
        outcome = type(error).__name__
    except Exception as error:
        report.problems.append(f"{name}: {type(error).__name__}: {error}")
        outcome = "crash"
    report.outcomes[outcome] += 1


def _events(dice: random.Random, name: str, report: Report) -> None:
    raw = b"".join(dice.choices(_WORDS, k=dice.randint(0, 40))) + dice.randbytes(dice.randint(0, 9))
    try:
        whole = [(event.text, event.event, event.id) for event in sse.parse([(0.0, raw)])]
        parts = [(event.text, event.event, event.id) for event in sse.parse([(0.0, part) for part in cut(dice, raw)])]
    except Exception as error:
        report.problems.append(f"{name}: {type(error).__name__}: {error}")
        return
    if whole != parts:
        report.problems.append(f"{name}: other events when it comes in pieces")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--from", type=int, default=0, dest="first")
    given = parser.parse_args()
    gevent.get_hub().NOT_ERROR += (ClientError,)
    report = run(given.seed, given.seconds, first=given.first)
    counts = ", ".join(f"{count} {name}" for name, count in report.outcomes.most_common())
    print(f"seed {given.seed}: {report.exchanges} exchanges: {counts}")
    sys.exit("\n".join(report.problems) or 0)


if __name__ == "__main__":
    main()
