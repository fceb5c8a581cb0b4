"""Proofload beside the tools that are made for the same: on the same server, in alternating rounds."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import peer_tools
from benchmarks.arrivals import off_grid_ms, words
from benchmarks.meter import Cost, watch
from benchmarks.peer_tools import Load, Tool
from benchmarks.table import Table
from calibration.process import Floats, KnownServer, Log, known_server
from calibration.stamps import percentile

_ROUNDS = 3
_PACED = Load(rate=50, seconds=20, events=50)
_FIRST_MS, _GAP_MS = 50, 57.9
"""Each stream lasts 2.9 s: 2,500 events/s, which every peer can read here."""
_HELD = Load(rate=78, seconds=20, events=100, held=150)
_HELD_GAP_MS = 19.3
"""As in `streams`: 7,800 events/s, if the client can read them."""
_SETTLE_S, _SECONDS = 6.0, 8.0
_PROMISE = 0.15

Maker = Callable[[Path, KnownServer, Load], Tool]
_OURS = "Proofload"
_TOOLS: dict[str, Maker] = {
    _OURS: peer_tools.proofload,
    "aiperf": peer_tools.aiperf,
    "guidellm": peer_tools.guidellm,
    "genai-bench": peer_tools.genai_bench,
}
_WITHOUT_RATE = "genai-bench"
_JUDGED = ("aiperf", "guidellm")


@dataclass(slots=True)
class _Rounds:
    """What the rounds of one tool showed."""

    costs: list[Cost] = field(default_factory=list)
    """With a constant number of streams."""
    paced: list[Cost] = field(default_factory=list)
    """At a constant rate."""
    off: list[Floats] = field(default_factory=list)
    """How far arrivals were off the grid, ms, sorted."""
    bias: list[tuple[float, float]] = field(default_factory=list)
    """ttft p50 and p99 as reported minus the true ones, ms."""
    trouble: str = ""


def measure(scratch: Path) -> Table:
    """The peers may use every core, ours has one.

    What an event costs is asked with a constant number of streams: at a constant rate, ours turns the event loop before
    each arrival, for its moment, and not for the events.
    """
    table = Table(
        f"Peers: {_PACED.rate} streams/s of {_PACED.events} events; for the CPU {_HELD.held} streams at once, of "
        f"{_HELD.events} events; Proofload on one core, the peers on all; {_ROUNDS} alternating rounds, medians"
    )
    rounds = {name: _Rounds() for name in _TOOLS if name == _OURS or peer_tools.is_installed(name)}
    for number in range(_ROUNDS):
        for name, found in rounds.items():
            for step, kind in ((_at_a_rate, "paced"), (_at_once, "held")):
                if not found.trouble and (name, step) != (_WITHOUT_RATE, _at_a_rate):
                    folder = scratch / f"{name}-{kind}-{number}"
                    folder.mkdir()
                    try:
                        step(folder, name, found)
                    except RuntimeError as error:
                        found.trouble = str(error)
    for name in _TOOLS:
        if name not in rounds:
            table.add(name, "not installed here: make peers")
        elif rounds[name].trouble:
            table.add(name, f"does not run here: {rounds[name].trouble}")
        else:
            _rows(table, name, rounds[name], rounds[_OURS])
    return table


def _at_a_rate(folder: Path, name: str, found: _Rounds) -> None:
    with known_server(core=1, first_ms=_FIRST_MS, gap_ms=_GAP_MS, events=_PACED.events) as server:
        tool = _TOOLS[name](folder, server, _PACED)
        found.paced.append(_watched(tool, folder, server, _PACED))
        log = server.log()
    found.off.append(off_grid_ms(log.begun[-_PACED.count :], _PACED.rate))
    true = _true_ttft(log)
    try:
        p50, p99 = tool.ttft(folder)
    except (OSError, LookupError, ValueError, StopIteration) as error:
        raise RuntimeError(f"it left no figure ({type(error).__name__})") from error
    found.bias.append((p50 - percentile(true, 0.5), p99 - percentile(true, 0.99)))


def _at_once(folder: Path, name: str, found: _Rounds) -> None:
    gap = {"gap_ms": _HELD_GAP_MS, "first_ms": _HELD_GAP_MS, "spread_ms": _HELD_GAP_MS}
    with known_server(core=1, events=_HELD.events, **gap) as server:
        found.costs.append(_watched(_TOOLS[name](folder, server, _HELD), folder, server, _HELD))


def _watched(tool: Tool, folder: Path, server: KnownServer, load: Load) -> Cost:
    return watch(
        tool.command,
        server,
        settle=_SETTLE_S,
        seconds=_SECONDS,
        streams=load.held or load.rate,
        core=tool.cores[0] if tool.cores else None,
        cwd=folder,
        environment=tool.environment,
    )


def _rows(table: Table, name: str, found: _Rounds, ours: _Rounds) -> None:
    if name != _WITHOUT_RATE:
        table.add(f"{name}: arrivals off the grid, ms, p50 / p99 / max", "; ".join(map(words, found.off)))
        p50, p99 = (statistics.median(pair[place] for pair in found.bias) for place in (0, 1))
        table.add(f"{name}: reported ttft p50, p99 minus the true ones", f"{p50:+.2f}, {p99:+.2f} ms")
    micros, read = (
        statistics.median(values)
        for values in ([c.event_us for c in found.costs], [c.events / c.seconds for c in found.costs])
    )
    ratios = [mine.event_us / cost.event_us for mine, cost in zip(ours.costs, found.costs, strict=True)]
    ratio = statistics.median(ratios)
    text = f"{micros:.1f} µs, at {read:,.0f} events/s"
    if name != _OURS:
        text += f"; Proofload takes {ratio:.2f} of it ({min(ratios):.2f} to {max(ratios):.2f})"
    promise = (f"Proofload <= {_PROMISE:g} x", ratio <= _PROMISE) if name in _JUDGED else ("", None)
    table.add(f"{name}: CPU of a streamed event", text, *promise)
    started = found.paced or found.costs
    first, megabytes = (
        statistics.median(values)
        for values in ([c.first_request_s for c in started], [c.proportional / 1e6 for c in started])
    )
    words_of_it = f"{first:.1f} s; {megabytes:.0f} MB, {started[-1].processes} processes"
    table.add(f"{name}: start to first request; memory", words_of_it)


def _true_ttft(log: Log) -> Floats:
    """Return from the reading of each request to the sending of its first event, ms, sorted."""
    first = [sends[0] - log.begun[number - 1] for number, sends in log.streams().items()]
    result: Floats = np.sort(np.array(first)) * 1000
    return result
