"""What does a streamed event cost? A whole run of Proofload beside bare loops of other clients, alternating."""

import math
import statistics
from pathlib import Path

from benchmarks.meter import Cost, watch
from benchmarks.runs import ROOT, run_command
from benchmarks.streaming import stream_plan
from benchmarks.table import Table
from calibration.process import known_server

_SETTLE_S, _LEAST_S = 1.0, 2.5
_EVENTS = 100
_CASES = ((50, 19.3, 3), (150, 19.3, 5), (500, 49.3, 3))
"""Streams at once, ms between the events of each (2,600, 7,800 and 10,100 events/s), and rounds."""
_BASE, _PROMISED, _PROMISE = "aiohttp + uvloop", 150, 0.75
_PYTHON = ROOT / "build" / "peers" / "sdk" / "bin" / "python"
_CLIENTS = Path(__file__).resolve().parent / "programs"


def measure(scratch: Path) -> Table:
    """Closed: each stream is followed by the next, no two in step, however they were begun.

    Every client keeps all stamps and decodes the JSON of each event.
    """
    table = Table(
        f"CPU of a streamed event: client on one core, alternating rounds, streams of {_EVENTS} events, "
        "their requests included"
    )
    if not _PYTHON.exists():
        table.add("other clients", "not installed here: make peers")
    for streams, gap, count in _CASES:
        rounds = _rounds(scratch, streams, gap, count)
        for name, costs in rounds.items():
            micros = statistics.median(cost.event_us for cost in costs)
            what, text = f"{streams} streams: {name}", f"{micros:.1f} µs, {count} rounds"
            if name == _BASE or _BASE not in rounds:
                table.add(what, text)
                continue
            ratios = [one.event_us / base.event_us for one, base in zip(costs, rounds[_BASE], strict=True)]
            ratio = statistics.median(ratios)
            text += f", {ratio:.2f} x {_BASE} ({min(ratios):.2f} to {max(ratios):.2f})"
            judged = name == "Proofload" and streams == _PROMISED
            table.add(what, text, *((f"<= {_PROMISE:g} x", ratio <= _PROMISE) if judged else ("", None)))
    return table


def _rounds(scratch: Path, streams: int, gap: float, count: int) -> dict[str, list[Cost]]:
    # Whole lives of a stream: each client reads its streams when they have ended, all at about the same time.
    life = (_EVENTS + 0.5) * gap / 1000
    seconds = math.ceil(_LEAST_S / life) * life
    length = _SETTLE_S + seconds + 1.5
    plan = stream_plan([{"name": "only", "users": streams, "duration": length}])
    with known_server(core=1, first_ms=gap, gap_ms=gap, spread_ms=gap, events=_EVENTS) as server:
        commands = {"Proofload": run_command(scratch, plan, f"--host={server.url}")}
        if _PYTHON.exists():
            for name, file, most in _BARE:
                if streams <= most:
                    command = [str(_PYTHON), str(_CLIENTS / file), server.url, str(streams), str(length)]
                    commands[name] = command
        rounds: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(count):
            for name, command in commands.items():
                rounds[name].append(watch(command, server, settle=_SETTLE_S, seconds=seconds, streams=streams))
    return rounds


_BARE = (
    (_BASE, "aiohttp_streams.py", 500),
    ("requests, a thread each", "requests_streams.py", 150),
    ("OpenAI SDK", "openai_streams.py", 50),
)
"""Name, program, and the most streams at which one core still carries it."""
