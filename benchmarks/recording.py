"""What does it cost to record? The same users and the same run, with recorders that do not."""

import statistics
from pathlib import Path

from benchmarks.clients import closed_plan
from benchmarks.meter import Cost, python, watch
from benchmarks.runs import ROOT, run_command
from benchmarks.table import Table
from calibration.process import known_server

_ROUNDS, _SETTLE_S, _SECONDS, _USERS = 5, 1.0, 3.0, 20
_PROMISE = 0.15
_PROGRAMS = Path(__file__).resolve().parent / "programs"
_FULL, _BARE, _SILENT = "recorded", "Locust's events only", "counted only"


def measure(scratch: Path) -> Table:
    """CPU per simple request with recorder, segment writer and live tallies, and without.

    Locust fires its events for every user, whoever records; what they cost is shown by itself.
    """
    length = _SETTLE_S + _SECONDS + 1.5
    with known_server(awake=1) as server:
        certify = run_command(scratch, closed_plan(_USERS, length), f"--host={server.url}")
        plan, *options = certify[2:]
        plain = ["--headless", "--loglevel=WARNING", f"--plan={plan}", *options]
        commands = {
            name: python("-m", "locust", "-f", str(file), *plain)
            for name, file in (
                (_FULL, ROOT / "locustfile.py"),
                (_BARE, _PROGRAMS / "unrecorded.py"),
                (_SILENT, _PROGRAMS / "silent.py"),
            )
        }
        rounds: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(_ROUNDS):
            for name, command in commands.items():
                rounds[name].append(watch(command, server, settle=_SETTLE_S, seconds=_SECONDS))
    table = Table(f"Recording: recorder, segments and live tallies; {_ROUNDS} alternating rounds")
    for name, costs in rounds.items():
        table.add(name, f"{statistics.median(cost.request_us for cost in costs):.1f} µs of CPU per simple request")
    events, _ = _added(rounds[_BARE], rounds[_SILENT])
    table.add("added by Locust's events and statistics", events)
    records, median = _added(rounds[_FULL], rounds[_BARE])
    table.add("added by recording", records, f"<= {_PROMISE:.0%}", median <= _PROMISE)
    return table


def _added(costs: list[Cost], without: list[Cost]) -> tuple[str, float]:
    """Return what the first have more of, in words and as the median share."""
    shares = [one.request_us / bare.request_us - 1 for one, bare in zip(costs, without, strict=True)]
    median = statistics.median(shares)
    return f"{median:.0%} ({min(shares):.0%} to {max(shares):.0%})", median
