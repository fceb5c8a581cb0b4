"""The ladder: whole runs of Proofload at rising load, up to where the generator is late or its stamps are not true."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.process import ROOT, Floats, Log, cores, known_server, pin
from calibration.stamps import by_phase, percentile
from plans.run import Ending, RunRecord
from samples.segments import READING_SCHEMA, read_table, reading_files

REQUESTS = (500, 1000, 2000, 3000, 4000, 6000, 8000, 10000, 12500, 15000, 20000, 25000)
"""Simple requests/s."""
EVENTS = (1000, 2500, 5000, 7500, 10000, 12500, 15000, 20000, 25000, 30000, 40000)
"""Streamed events/s."""
STREAM_EVENTS, GAP_MS, FIRST_MS = 50, 19.3, 30.0
LAG_MS, STAMP_MS, CPU, SERVER_MS = 5.0, 5.0, 0.9, 2.0
"""Limits of a good rung: p99 of the lag and of the stamps' error, mean CPU in cores; p99 of the server's own error."""


class LadderError(Exception):
    """The ladder could not be climbed; the message says why."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One load, and what became of it; NaN where it has no meaning."""

    load: float
    lag_ms: float
    stamp_ms: float
    cpu: float
    missing: int
    server_ms: float

    @property
    def server_kept_up(self) -> bool:
        """True when the server itself was on time, so that what is wrong is the client's."""
        return not self.server_ms > SERVER_MS

    @property
    def good(self) -> bool:
        """True when every arrival was sent on time and every stamp is true."""
        well = self.lag_ms <= LAG_MS and self.cpu <= CPU and not self.missing
        return well and not self.stamp_ms > STAMP_MS and self.server_kept_up


@dataclass(frozen=True, slots=True)
class Climb:
    """The rungs of a ladder, with the machine and the versions that they were taken with."""

    rungs: list[Rung]
    machine: dict[str, str]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Top:
    """The highest load that held, and what ended the ladder there: `client`, `server`, or the `ladder` itself."""

    load: float
    limited_by: str


def top(rungs: Sequence[Rung]) -> Top | None:
    """Return the last good rung before two in a row that are not; one alone was a hiccup. None when the first fails."""
    best, failed = None, 0
    for rung in rungs:
        failed = 0 if rung.good else failed + 1
        if failed == 2:
            break
        best = rung if rung.good else best
    if best is None:
        return None
    above = [rung for rung in rungs if rung.load > best.load]
    if not above:
        return Top(best.load, "ladder")
    return Top(best.load, "client" if above[0].server_kept_up else "server")


def climb_requests(loads: Sequence[float], seconds: float, say: Callable[[str], None]) -> Climb:
    """Climb with simple requests; `say` is told of each rung."""
    operations = dict.fromkeys(("create", "details", "search", "compare", "update", "export"), 0) | {"list": 1}
    mix = {"ReadOnlyUser": {"operations": operations}}
    climb = _climb(mix, {load: load for load in loads}, seconds, {})
    for rung in climb.rungs:
        say(f"{rung.load:>8,.0f} requests/s  {_words(rung)}")
    return climb


def climb_events(loads: Sequence[float], seconds: float, say: Callable[[str], None]) -> Climb:
    """Climb with streams of 50 events, 19.3 ms apart: each lasts about a second."""
    mix = {"ChatUser": {"prompts": "simple", "streaming": 1.0}}
    server = {"first_ms": FIRST_MS, "gap_ms": GAP_MS, "events": STREAM_EVENTS}
    climb = _climb(mix, {load: load / STREAM_EVENTS for load in loads}, seconds, server)
    for rung in climb.rungs:
        say(f"{rung.load:>8,.0f} events/s    {_words(rung)}")
    return climb


def _words(rung: Rung) -> str:
    stamp = "" if np.isnan(rung.stamp_ms) else f"stamps off by p99 {rung.stamp_ms:.2f} ms, "
    lost = f", {rung.missing} unanswered" if rung.missing else ""
    late = "" if rung.server_kept_up else f", the server itself late by {rung.server_ms:.1f} ms"
    word = "good" if rung.good else "too much"
    return f"{word}: late by p99 {rung.lag_ms:.2f} ms, {stamp}{rung.cpu:.2f} cores{lost}{late}"


def _climb(mix: dict[str, Any], rates: dict[float, float], seconds: float, server: dict[str, float]) -> Climb:
    phases = [{"name": f"at-{load:g}", "rate": rate, "duration": seconds} for load, rate in rates.items()]
    plan = {
        "id": "CALIBRATION",
        "title": "calibration",
        "target": {"model": "known"},
        "mix": mix,
        "phases": phases,
        "criteria": [{"metric": "success_rate", "at_least": 0.99}],
        # What a rung leaves behind must not spoil the next one for long.
        "pool": {"max_users": 3000, "max_lag": "0.5s", "drain": "5s"},
        "monitors": {"host": False, "target": False},
    }
    with tempfile.TemporaryDirectory(prefix="proofload-calibration-") as scratch:
        with known_server(core=1, **server) as known:
            folder = _run(Path(scratch), plan, known.url)
            log = known.log()
        record = RunRecord.read(folder)
        return Climb(_rungs(folder, record, log, list(rates)), record.machine, record.versions)


def _run(scratch: Path, plan: dict[str, Any], url: str) -> Path:
    file, runs = scratch / "calibration.yaml", scratch / "runs"
    file.write_text(json.dumps(plan), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, str(ROOT / "certify.py"), str(file), f"--runs={runs}", f"--host={url}"]
    one = len(cores()) > 1
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=(lambda: pin(0)) if one else None,
    )
    folders = [path for path in runs.iterdir() if path.is_dir()] if runs.exists() else []
    if not folders or RunRecord.read(folders[0]).ending is not Ending.COMPLETED:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise LadderError(f"the run did not come to its end: {words[-1] if words else f'code {done.returncode}'}")
    return folders[0]


def _rungs(folder: Path, record: RunRecord, log: Log, loads: list[float]) -> list[Rung]:
    found = by_phase(folder, log)
    readings = read_table(reading_files(folder), READING_SCHEMA).to_pylist()
    cpu = [(row["t_s"], row["value"]) for row in readings if row["metric"] == "cpu_cores"]
    rungs = []
    for phase, load in zip(record.phases, loads, strict=True):
        errors = found.get(phase.name)
        if errors is None:
            break
        rungs.append(
            Rung(
                load=load,
                lag_ms=percentile(errors.lag, 0.99),
                stamp_ms=percentile(errors.stamps, 0.99),
                cpu=_mean([value for t, value in cpu if phase.start_s < t <= phase.end_s]),
                missing=errors.missing,
                server_ms=percentile(_server_error(log, record, phase.start_s, phase.end_s), 0.99),
            )
        )
    return rungs


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _server_error(log: Log, record: RunRecord, start: float, end: float) -> Floats:
    times = log.intended - record.clock_origin
    error: Floats = np.sort((log.sends - log.intended)[(times >= start) & (times < end)]) * 1000
    return error
