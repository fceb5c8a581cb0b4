"""Are the times true? Each stamp against the moment at which the server really sent, at a load that rises."""

from pathlib import Path

from benchmarks.runs import readings_of
from benchmarks.streaming import stream_plan, streamed
from benchmarks.table import Table
from calibration.process import Log
from calibration.stamps import Errors, by_phase, percentile
from plans.run import RunRecord

_RATES = (20, 50, 100, 200, 300, 400, 500, 600, 800, 1000)
_JUDGED = 200
"""Up to this rate the bias is promised; above, the ladder looks for the client's limit."""
_SECONDS, _REST_S = 8, 2
_EVENTS, _GAP_MS, _FIRST_MS = 20, 19.3, 50
_LAG_LIMIT_MS = 5.0

_MANY: tuple[tuple[str, dict[str, float], dict[str, float], float | None, float | None], ...] = (
    ("2,000 streams, 10,000 events/s", {"rate": 100, "duration": 32}, {"gap_ms": 199.3, "events": 100}, 10.0, None),
    ("50 streams/s of 256 events", {"rate": 50, "duration": 20}, {"gap_ms": 19.3, "events": 256}, None, 5.0),
)
"""What, the phase, the server, and the limits of the p99 of the stamps' error and of the lag, ms."""


def measure(scratch: Path) -> Table:
    """One run, a phase per rate; streams of 20 events, 50 ms to the first, 19.3 ms apart."""
    phases = [{"name": f"at-{rate}", "rate": rate, "duration": _SECONDS} for rate in _RATES]
    folder, log = streamed(scratch, stream_plan(phases), first_ms=_FIRST_MS, gap_ms=_GAP_MS, events=_EVENTS)
    found = by_phase(folder, log)
    table = Table(
        f"Overhead ladder: measured - true, against a server that sends {_EVENTS} events per request; ms, p50 / p99"
    )
    for rate in _RATES:
        errors = found[f"at-{rate}"]
        if not _row(table, rate, errors, _cpu(folder, f"at-{rate}")):
            table.add("the client's limit", f"below {rate} requests/s, {rate * _EVENTS:,} events/s: lag p99 > 5 ms")
            break
    else:
        table.add("the client's limit", f"above {_RATES[-1]} requests/s")
    table.add("the server's own error", server_error(log))
    return table


def server_error(log: Log) -> str:
    """Return how late the server sent what it had to send: noise that is not the client's."""
    error = log.error_ms()
    return f"{percentile(error, 0.5):.2f} / {percentile(error, 0.99):.2f} ms"


def _row(table: Table, rate: int, errors: Errors, cpu: float) -> bool:
    """Add one rung; return whether the client kept up."""
    lag = percentile(errors.lag, 0.99)
    pairs = {"ttft": errors.ttft, "latency": errors.latency, "gap between events": errors.gaps, "lag": errors.lag}
    text = "; ".join(f"{name} {percentile(v, 0.5):.2f} / {percentile(v, 0.99):.2f}" for name, v in pairs.items())
    what = f"{rate} requests/s, {rate * _EVENTS:,} events/s"
    if rate <= _JUDGED:
        biases = (errors.ttft, errors.latency)
        held = all(abs(percentile(v, 0.5)) < 0.5 and percentile(v, 0.99) < 1.5 for v in biases) and not errors.missing
        table.add(what, f"{text}; CPU {cpu:.2f} cores", "ttft, latency: p50 < 0.5 ms, p99 < 1.5 ms", held)
    else:
        table.add(what, f"{text}; CPU {cpu:.2f} cores")
    return lag <= _LAG_LIMIT_MS and not errors.missing


def _cpu(folder: Path, phase: str) -> float:
    span = next(one for one in RunRecord.read(folder).phases if one.name == phase)
    readings = readings_of(folder).query("source == 'generator' and metric == 'cpu_cores'")
    inside = readings[(readings["t_s"] > span.start_s) & (readings["t_s"] <= span.end_s)]
    return float(inside["value"].mean())


def measure_scale(scratch: Path) -> Table:
    """2,000 streams at once at 10,000 events/s, and 50 streams of 256 tokens begun each second."""
    table = Table("Many streams in one process: error of each event's stamp, ms")
    for name, phase, server, stamp_limit, lag_limit in _MANY:
        # The users are all there from the beginning: what is measured is streaming, not spawning.
        plan = stream_plan([{"name": "only"} | phase]) | {"pool": {"max_users": 5000, "expected_latency": "22s"}}
        folder, log = streamed(scratch, plan, first_ms=_FIRST_MS, **server)
        errors = by_phase(folder, log)["only"]
        stamp, lag = percentile(errors.stamps, 0.99), percentile(errors.lag, 0.99)
        spread = f"p50 {percentile(errors.stamps, 0.5):.2f}, p99 {stamp:.2f}, max {percentile(errors.stamps, 1):.1f}"
        promise = ("p99 <= 10 ms", stamp <= stamp_limit) if stamp_limit else ("", None)
        table.add(f"{name}: stamps", f"{spread} ({errors.streams} streams, {errors.missing} missing)", *promise)
        promise = ("p99 < 5 ms", lag < lag_limit) if lag_limit else ("", None)
        table.add(f"{name}: lag", f"p50 {percentile(errors.lag, 0.5):.2f}, p99 {lag:.2f}", *promise)
        table.add(f"{name}: CPU, the server's own error", f"{_cpu(folder, 'only'):.2f} cores; {server_error(log)}")
    return table
