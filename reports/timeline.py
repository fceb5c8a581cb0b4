"""The curves of a run on one time axis: at most about 1500 points, computed from raw samples, peaks kept."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.analysis import Series, Timeline
from reports.frames import Mask, Places, among, equals, flags, numbers, only
from reports.serverside import RUNNING, WAITING
from reports.statistics import Floats, nearest_rank
from reports.windows import RunData
from samples.sample import RESPONSES, Outcome, Protocol

MOST_POINTS = 1500
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600)
_PEAKS = (
    "loop_lag_p99_ms",
    "loop_lag_max_ms",
    "cpu_cores",
    "cpu_share",
    "in_flight",
    "users",
    "load_1m",
    "requests_running",
    "requests_waiting",
    "kv_cache_share",
)
"""Metrics whose highest reading of a step is drawn too, beside the mean."""
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
_LATENCY = {"p50": 500, "p95": 950, "p99": 990}


@dataclass(frozen=True, slots=True)
class Axis:
    """Equidistant steps of `step_s` seconds from `start_s`."""

    start_s: float
    step_s: float
    points: int

    def places(self, times: Floats) -> Places:
        """Return the step of each time; -1 outside the axis."""
        places = np.floor((times - self.start_s) / self.step_s).astype(np.int64)
        places[(places < 0) | (places >= self.points)] = -1
        return places

    def counts(self, times: Floats, weights: Floats | None = None) -> Floats:
        """Return how many of the times, or the sum of the weights, fall into each step."""
        places = self.places(times)
        inside = places >= 0
        chosen = None if weights is None else weights[inside]
        return np.bincount(places[inside], weights=chosen, minlength=self.points).astype(np.float64)

    def edges(self) -> Floats:
        """Return the begin of every step and the end of the last."""
        edges: Floats = self.start_s + self.step_s * np.arange(self.points + 1, dtype=np.float64)
        return edges


def timeline(run: RunData) -> Timeline:
    """Return every curve of the run; groups without data are empty."""
    axis = _axis(run)
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
        websocket=[] if empty else _websocket(axis, websocket),
        resources=[] if empty else _resources(axis, run.frames.readings, run.plan.monitors.interval),
    )


def _axis(run: RunData) -> Axis:
    samples, readings = run.frames.samples, run.frames.readings
    ends = [run.end_s, run.record.ended_s or 0.0]
    starts = [run.start_s]
    if len(samples):
        ends.append(float(numbers(samples, "done_s").max()))
        starts.append(float(numbers(samples, "due_s").min()))
    elif len(readings):
        ends.append(float(numbers(readings, "t_s").max()))
    # A pushed message may carry a stamp from before the run: the axis begins with the run all the same.
    start = float(np.floor(max(min(starts), min(run.start_s, 0.0))))
    length = max(ends) - start
    if not 0 < length < 1e8:
        return Axis(start, 1.0, 0)
    step = next((s for s in _STEPS_S if length / s <= MOST_POINTS), float(np.ceil(length / MOST_POINTS)))
    return Axis(start, float(step), int(np.floor(length / step)) + 1)


def _series(key: str, label: str, unit: str, values: Floats) -> Series:
    return Series(key, label, unit, [None if np.isnan(value) else value for value in values.tolist()])


def _load(axis: Axis, rows: pd.DataFrame) -> list[Series]:
    """Offered and dropped by due time; responses and failures by the time at which they came."""
    due, done = numbers(rows, "due_s"), numbers(rows, "done_s")
    dropped, answered = equals(rows, "outcome", Outcome.DROPPED), among(rows, RESPONSES)
    failed = ~equals(rows, "outcome", Outcome.OK) & ~dropped
    return [
        _series(key, key, "rps", axis.counts(times) / axis.step_s)
        for key, times in (
            ("offered", due),
            ("achieved", done[answered]),
            ("failed", done[failed]),
            ("dropped", due[dropped]),
        )
    ]


def _failures(axis: Axis, rows: pd.DataFrame) -> list[Series]:
    done, result = numbers(rows, "done_s"), []
    for outcome in Outcome:
        mask = equals(rows, "outcome", outcome)
        if outcome is not Outcome.OK and mask.any():
            label = outcome.value.replace("_", " ")
            result.append(_series(outcome.value, label, "rps", axis.counts(done[mask]) / axis.step_s))
    return result


def _latency(axis: Axis, rows: pd.DataFrame) -> list[Series]:
    answered = only(rows, among(rows, RESPONSES))
    due = numbers(answered, "due_s")
    latency = (numbers(answered, "done_s") - due) * 1000
    curves = _percentiles(axis, due, latency, list(_LATENCY.values()))
    series = [_series(key, key, "ms", curve) for key, curve in zip(_LATENCY, curves, strict=True)]
    return [*series, _series("max", "max", "ms", _percentiles(axis, due, latency, [1000])[0])]


def _percentiles(axis: Axis, due: Floats, values: Floats, permilles: list[int]) -> list[Floats]:
    """Return one curve per percentile of values in the order of their due times; NaN where there are none."""
    return _of_slices(values, np.searchsorted(due, axis.edges()), permilles)


def _of_slices(values: NDArray[np.generic], ends: Places, permilles: list[int]) -> list[Floats]:
    curves = np.full((len(permilles), len(ends) - 1), np.nan)
    for step, (first, last) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        if last > first:
            ordered = np.sort(values[first:last])
            curves[:, step] = [nearest_rank(ordered, permille) for permille in permilles]
    return list(curves)


def _in_flight(axis: Axis, rows: pd.DataFrame) -> list[Series]:
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
    return [_series("in_flight", "in flight", "count", peaks)]


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
    return [_series("server_in_flight", "known to the server", "count", _on_axis(axis, by_step))]


def _llm(axis: Axis, run: RunData, iterations: pd.DataFrame) -> list[Series]:
    rows = only(iterations, equals(iterations, "protocol", Protocol.LLM))
    if not len(rows):
        return []
    due, done, tokens = numbers(rows, "due_s"), numbers(rows, "done_s"), numbers(rows, "output_tokens")
    ttft = (numbers(rows, "sent_s") + numbers(rows, "ttft_s") - due) * 1000
    good, counted = np.isfinite(ttft), np.isfinite(tokens)
    gaps = run.frames.gaps.of(rows)
    steps = gaps.ends[np.searchsorted(due, axis.edges())]
    icl = _of_slices(gaps.values, steps, [950])[0] / 1000
    rate = axis.counts(done[counted], tokens[counted]) / axis.step_s
    curves = (
        ("ttft_due_p95", "TTFT p95 (from due)", "ms", _percentiles(axis, due[good], ttft[good], [950])[0]),
        ("icl_p95", "inter-chunk p95", "ms", icl),
        (
            "output_tokens_per_s",
            "output tokens",
            "tokens/s",
            rate if counted.any() else np.full(axis.points, np.nan),
        ),
    )
    return [_series(*curve) for curve in curves if np.isfinite(curve[3]).any()]


def _quality(axis: Axis, iterations: pd.DataFrame) -> list[Series]:
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
    return [_series(key, label, "ratio", curve) for key, label, curve in curves if np.isfinite(curve).any()]


def _mean(axis: Axis, times: Floats, values: Floats) -> Floats:
    good = np.isfinite(values)
    counts = axis.counts(times[good])
    curve = np.full(axis.points, np.nan)
    np.divide(axis.counts(times[good], values[good]), counts, out=curve, where=counts > 0)
    return curve


def _websocket(axis: Axis, rows: pd.DataFrame) -> list[Series]:
    messages: Mask = np.asarray(rows["message_type"].notna(), dtype=np.bool_)
    if not messages.any():
        return []
    rows = only(rows, messages)
    due, done = numbers(rows, "due_s"), numbers(rows, "done_s")
    timed = np.asarray(rows["latency_source"].notna(), dtype=np.bool_)
    latency = (done - due) * 1000
    curve = _percentiles(axis, due[timed], latency[timed], [950])[0]
    places = axis.places(done)
    connection = rows["worker"].cat.codes.to_numpy() * 1e9 + np.nan_to_num(numbers(rows, "connection"))
    pairs = pd.DataFrame({"place": places, "connection": connection}).drop_duplicates()
    inside = pairs["place"].to_numpy()
    open_ = np.bincount(inside[inside >= 0], minlength=axis.points).astype(np.float64)
    result = [
        _series("messages", "messages", "1/s", axis.counts(done) / axis.step_s),
        _series("connections", "connections with messages", "count", open_),
    ]
    return [_series("message_latency_p95", "message latency p95", "ms", curve), *result] if timed.any() else result


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
        result.append(_series(key, label, unit, _on_axis(axis, by_step.mean())))
        if metric in _PEAKS and axis.step_s >= 2 * interval_s:
            result.append(_series(f"{key}.max", f"{label}, max", unit, _on_axis(axis, by_step.max())))
    return result


def _said(metric: str) -> str:
    """Return a metric's name in words, without a unit that its axis shows."""
    for ending in ("_per_s", "_w", "_c"):
        metric = metric.removesuffix(ending)
    return metric.replace("_", " ")


def _on_axis(axis: Axis, values: "pd.Series[float]") -> Floats:
    curve = np.full(axis.points, np.nan)
    curve[values.index.to_numpy()] = values.to_numpy()
    return curve
