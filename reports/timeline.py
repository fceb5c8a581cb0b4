"""The curves of a run on one time axis: at most about 1500 points, computed from raw samples, peaks kept."""

from itertools import pairwise

import numpy as np
import pandas as pd

from reports.analysis import Series, Timeline
from reports.axis import Axis, axis_of, of_slices, percentiles, series
from reports.families import tpot_ms
from reports.rows import Mask, Rows, among, equals, flags, numbers, only
from reports.serverside import RUNNING, WAITING
from reports.statistics import Floats
from reports.windows import RunData
from samples.sample import RESPONSES, Outcome, Protocol

_HIDDEN = 0.05
"""A mean hides a peak when the step's highest reading is over it by this share of the curve's range."""
_UNITS = (
    ("pool_in_use", "connections"),
    ("pool_size", "connections"),
    ("pool_waiting", "connections"),
    ("_connections", "connections"),
    ("_cores", "cores"),
    ("_bytes", "bytes"),
    ("_bps", "bytes/s"),
    ("_ms", "ms"),
    ("_share", "ratio"),
    ("_tokens_per_s", "tokens/s"),
    ("_w", "W"),
    ("_c", "°C"),
    ("preemptions", "preempted"),
)
LATENCY = {"p50": 500, "p95": 950, "p99": 990}
_TAIL = LATENCY | {"max": 1000}


def timeline(run: RunData) -> Timeline:
    """Return every curve of the run; groups without data are empty."""
    axis = axis_of(run)
    samples = run.frames.samples
    requests = only(samples, ~equals(samples, "protocol", Protocol.WEBSOCKET))
    iterations = only(requests, flags(requests, "iteration"))
    websocket = only(samples, equals(samples, "protocol", Protocol.WEBSOCKET))
    empty = axis.points == 0
    return Timeline(
        start_s=axis.start_s,
        step_s=axis.step_s,
        points=axis.points,
        load=[] if empty or not len(iterations) else _load(axis, iterations),
        latency=[] if empty or not len(iterations) else _latency(axis, iterations),
        in_flight=[] if empty or not len(requests) else [*_in_flight(axis, requests), *_known_to_server(axis, run)],
        failures=[] if empty else _failures(axis, samples),
        llm=[] if empty else _llm(axis, run, iterations),
        quality=[] if empty else _quality(axis, iterations),
        sql=[] if empty else _sql(axis, requests),
        websocket=[] if empty else _websocket(axis, websocket),
        resources=[] if empty else _resources(axis, run.frames.readings, run.plan.monitors.interval),
    )


def _load(axis: Axis, rows: Rows) -> list[Series]:
    """Offered and dropped by due time; responses and failures by the time at which they came."""
    due, done = numbers(rows, "due_s"), numbers(rows, "done_s")
    dropped, answered = equals(rows, "outcome", Outcome.DROPPED), among(rows, RESPONSES)
    failed = ~equals(rows, "outcome", Outcome.OK) & ~dropped
    curves = [
        series(key, key, "rps", axis.counts(times) / axis.step_s)
        for key, times in (
            ("offered", due),
            ("achieved", done[answered]),
            ("failed", done[failed]),
            ("dropped", due[dropped]),
        )
    ]
    return [*curves, *_single_seconds(axis, done[answered])]


def _single_seconds(axis: Axis, times: Floats) -> list[Series]:
    """Return the busiest and the quietest second of each step, where a step is longer: a mean must not hide them."""
    seconds = int(axis.step_s)
    if seconds < 2 or seconds != axis.step_s:
        return []
    each = Axis(axis.start_s, 1.0, axis.points * seconds).counts(times).reshape(axis.points, seconds)
    # The last step may reach beyond the run: its seconds after the end are not quiet, they are none.
    quietest = each.min(axis=1)
    quietest[-1] = np.nan
    return [
        series("achieved.max", "achieved, busiest second", "rps", each.max(axis=1)),
        series("achieved.min", "achieved, quietest second", "rps", quietest),
    ]


def _failures(axis: Axis, rows: Rows) -> list[Series]:
    done, result = numbers(rows, "done_s"), []
    for outcome in Outcome:
        mask = equals(rows, "outcome", outcome)
        if outcome is not Outcome.OK and mask.any():
            label = outcome.value.replace("_", " ")
            result.append(series(outcome.value, label, "rps", axis.counts(done[mask]) / axis.step_s))
    return result


def _latency(axis: Axis, rows: Rows) -> list[Series]:
    answered = only(rows, among(rows, RESPONSES))
    due = numbers(answered, "due_s")
    return _tail(axis, due, (numbers(answered, "done_s") - due) * 1000)


def _tail(axis: Axis, due: Floats, values: Floats, key: str = "", label: str = "") -> list[Series]:
    """Return median, p95, p99 and maximum of values (ms) in the order of their due times; nothing without a value."""
    good = np.isfinite(values)
    if not good.any():
        return []
    curves = percentiles(axis, due[good], values[good], list(_TAIL.values()))
    return [series(f"{key}{name}", f"{label}{name}", "ms", curve) for name, curve in zip(_TAIL, curves, strict=True)]


def _in_flight(axis: Axis, rows: Rows) -> list[Series]:
    """Return the highest number of requests that were sent and not done at one time in each step, exactly.

    A request is in flight from `sent` until just before `done`, so that one that ends when another begins counts once.
    """
    sent = numbers(rows, "sent_s")
    good = np.isfinite(sent)
    times = np.concatenate([sent[good], numbers(rows, "done_s")[good]])
    change = np.concatenate([np.ones(good.sum(), np.int64), np.full(good.sum(), -1, np.int64)])
    order = np.lexsort((change, times))
    levels = np.concatenate([np.zeros(1, np.int64), np.cumsum(change[order])])
    ends = np.searchsorted(times[order], axis.edges())
    # Level `ends[i]` is the one that step i inherits; the levels after it arise inside the step.
    peaks = np.array([levels[a : b + 1].max() for a, b in pairwise(ends)], dtype=np.float64)
    return [series("in_flight", "in flight", "count", peaks)]


def _known_to_server(axis: Axis, run: RunData) -> list[Series]:
    """Return the requests that the server counts as running and waiting, the highest reading of each step."""
    readings = run.frames.readings
    counted = np.asarray(readings["metric"].isin((RUNNING, WAITING)), dtype=np.bool_)
    rows = only(readings, equals(readings, "source", "server") & counted)
    if not len(rows):
        return []
    both = rows.groupby("t_s")["value"].sum()
    places = axis.places(both.index.to_numpy(dtype=np.float64))
    by_step = both[places >= 0].groupby(places[places >= 0]).max()
    return [series("server_in_flight", "known to the server", "count", _on_axis(axis, by_step))]


def _llm(axis: Axis, run: RunData, iterations: Rows) -> list[Series]:
    rows = only(iterations, equals(iterations, "protocol", Protocol.LLM))
    if not len(rows):
        return []
    due, done = numbers(rows, "due_s"), numbers(rows, "done_s")
    ttft = (numbers(rows, "sent_s") + numbers(rows, "ttft_s") - due) * 1000
    result = _tail(axis, due, ttft, "ttft_due_", "first token ")
    gaps = run.frames.gaps.of(rows)
    if len(gaps.values):
        steps = gaps.ends[np.searchsorted(due, axis.edges())]
        curves = of_slices(gaps.values, steps, list(_TAIL.values()))
        result += [
            series(f"icl_{name}", f"between chunks {name}", "ms", curve / 1000)
            for name, curve in zip(_TAIL, curves, strict=True)
        ]
    result += _tail(axis, due, tpot_ms(rows), "tpot_", "per output token ")
    for key, label, column in (
        ("output_tokens_per_s", "output tokens", "output_tokens"),
        ("input_tokens_per_s", "input tokens", "prompt_tokens"),
    ):
        tokens = numbers(rows, column)
        if (counted := np.isfinite(tokens)).any():
            result.append(series(key, label, "tokens/s", axis.counts(done[counted], tokens[counted]) / axis.step_s))
    return result


def _sql(axis: Axis, requests: Rows) -> list[Series]:
    rows = only(requests, equals(requests, "protocol", Protocol.SQL))
    if not len(rows):
        return []
    due = numbers(rows, "due_s")
    query = (numbers(rows, "done_s") - numbers(rows, "sent_s")) * 1000
    waits = _tail(axis, due, numbers(rows, "pool_wait_ms"), "pool_wait_", "")
    return [*_tail(axis, due, query, "query_", ""), *waits]


def _quality(axis: Axis, iterations: Rows) -> list[Series]:
    """Return the means per step by due time, and the load as a share of its peak: do answers get worse under it?"""
    due, answered = numbers(iterations, "due_s"), equals(iterations, "protocol", Protocol.LLM)
    quality, alike = numbers(iterations, "quality"), numbers(iterations, "similarity")
    if not (np.isfinite(quality) | np.isfinite(alike)).any():
        return []
    bad = np.asarray(iterations["defect"].notna(), dtype=np.bool_).astype(np.float64)
    offered = axis.counts(due)
    curves = (
        ("quality", "mean quality", _mean(axis, due, quality)),
        ("consistency", "consistency", _mean(axis, due, alike)),
        ("defects", "answers with a defect", _mean(axis, due[answered], bad[answered])),
        ("load", "load, share of its peak", offered / max(offered.max(), 1.0)),
    )
    return [series(key, label, "ratio", curve) for key, label, curve in curves if np.isfinite(curve).any()]


def _mean(axis: Axis, times: Floats, values: Floats) -> Floats:
    good = np.isfinite(values)
    counts = axis.counts(times[good])
    curve = np.full(axis.points, np.nan)
    np.divide(axis.counts(times[good], values[good]), counts, out=curve, where=counts > 0)
    return curve


def _websocket(axis: Axis, rows: Rows) -> list[Series]:
    messages: Mask = np.asarray(rows["message_type"].notna(), dtype=np.bool_)
    if not messages.any():
        return []
    rows = only(rows, messages)
    due, done = numbers(rows, "due_s"), numbers(rows, "done_s")
    timed = np.asarray(rows["latency_source"].notna(), dtype=np.bool_)
    latency = (done - due) * 1000
    places = axis.places(done)
    connection = rows["worker"].cat.codes.to_numpy() * 1e9 + np.nan_to_num(numbers(rows, "connection"))
    pairs = pd.DataFrame({"place": places, "connection": connection}).drop_duplicates()
    inside = pairs["place"].to_numpy()
    open_ = np.bincount(inside[inside >= 0], minlength=axis.points).astype(np.float64)
    return [
        *_tail(axis, due[timed], latency[timed], "message_latency_", "message latency "),
        series("messages", "messages", "1/s", axis.counts(done) / axis.step_s),
        series("connections", "connections with messages", "count", open_),
    ]


def _resources(axis: Axis, readings: pd.DataFrame, interval_s: float) -> list[Series]:
    """Return one curve per source, metric and (when there are several) worker: means, and peaks when steps are long."""
    # Single late ticks are for the health check; their seconds' p99 and maximum are the curves.
    readings = readings[~readings["metric"].isin(("loop_ticks", "loop_late_ms"))]
    frame = readings.assign(place=axis.places(numbers(readings, "t_s")))
    frame = frame[frame["place"] >= 0]
    several = {str(source): part["worker"].nunique() > 1 for source, part in frame.groupby("source", observed=True)}
    result = []
    for (source, metric, worker), part in frame.groupby(["source", "metric", "worker"], observed=True):
        key, label = f"{source}.{metric}", f"{source} {_said(str(metric))}"
        if several[str(source)]:
            key, label = f"{key}.{worker}", f"{label} ({'GPU' if source == 'gpu' else 'worker'} {worker})"
        by_step = part.groupby("place")["value"]
        unit = next((unit for ending, unit in _UNITS if str(metric).endswith(ending)), "count")
        mean = _on_axis(axis, by_step.mean())
        result.append(series(key, label, unit, mean))
        if axis.step_s >= 2 * interval_s and _hides(mean, peaks := _on_axis(axis, by_step.max())):
            result.append(series(f"{key}.max", f"{label}, max", unit, peaks))
    return result


def _hides(mean: Floats, peaks: Floats) -> bool:
    """Return whether the means of the steps leave out a peak that would be seen."""
    both = np.concatenate([mean, peaks])
    return bool(np.nanmax(peaks - mean) > _HIDDEN * max(np.nanmax(both) - np.nanmin(both), 1e-12))


def _said(metric: str) -> str:
    """Return a metric's name in words, without a unit that its axis shows."""
    for ending in ("_per_s", "_w", "_c"):
        metric = metric.removesuffix(ending)
    return metric.replace("_", " ")


def _on_axis(axis: Axis, values: "pd.Series[float]") -> Floats:
    curve = np.full(axis.points, np.nan)
    curve[values.index.to_numpy()] = values.to_numpy()
    return curve
