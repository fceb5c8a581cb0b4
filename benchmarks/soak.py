"""Made-up run folders of any size: streams, simple requests, queries and pushed messages, written as a run does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.runs import constant_plan
from plans.run import Ending, PhaseRecord, ProcessRecord, RunRecord
from plans.schema import Plan
from samples.sample import Defect, Outcome, Reading
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter

EVENTS = 20
"""Content events of each streamed answer."""
_BATCH = 5000
_PHASES = ("baseline", "sustained", "spike", "cool-down")
_CONNECTIONS = 200
_READINGS = (("host", "cpu_cores"), ("host", "memory_used_bytes"), ("target", "cpu_cores"), ("target", "rss_bytes"))
_HEALTH = (("cpu_cores", 0.2), ("loop_lag_p99_ms", 1.0), ("loop_ticks", 50.0))


def write_soak(folder: Path, count: int, seconds: float) -> None:
    """Write a run of `count` samples in `seconds` of four phases, with readings each second.

    A fifth are streamed answers of EVENTS events, a fifth queries, a tenth pushed messages, the rest simple requests
    of ten names; two of a thousand fail with texts that differ.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    scheduled: dict[tuple[str, str], int] = {}
    path = str(folder / "samples-0.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, SAMPLE_SCHEMA, options=options) as stream:
        for first in range(0, count, _BATCH):
            places = np.arange(first, min(first + _BATCH, count))
            batch = _batch(places, places * (seconds / count), seconds, random)
            stream.write_batch(batch)
            _count(batch, scheduled)
    _write_readings(folder, int(seconds))
    _record(count, seconds, scheduled).save(folder)


def _batch(places: np.ndarray, due: np.ndarray, seconds: float, random: np.random.Generator) -> pa.RecordBatch:
    size, kind = len(places), places % 10
    is_llm, is_sql, is_message = kind < 2, (kind == 2) | (kind == 3), kind == 4
    service = random.lognormal(np.log(0.08), 0.5, size)
    failed = (random.random(size) < 0.002) & ~is_message
    lag = np.where(is_message, 0.0, 0.0003)
    phase = np.minimum((due / seconds * len(_PHASES)).astype(np.int64), len(_PHASES) - 1)
    owner = np.select([is_llm, is_sql, is_message], [0, 1, 2], 3)
    name = np.select([is_llm, is_sql, is_message], [0, 1 + places % 3, 4], 5 + kind)
    numbered = np.where(is_message, places // 10, 0)
    columns: dict[str, Any] = {
        "due_s": due, "sent_s": due + lag, "done_s": due + lag + service,
        "outcome": _text(failed, (Outcome.OK, Outcome.HTTP_ERROR)),
        "phase": _text(phase, _PHASES),
        "scenario": _text(owner, ("ChatUser", "DatabaseUser", "WebSocketUser", "ReadOnlyUser")),
        "name": _text(name, ("chat", "find", "count", "join", "update", *(f"GET /things/{n}" for n in range(10)))),
        "protocol": _text(owner, ("llm", "sql", "websocket", "http")),
        "worker": _text(np.zeros(size, np.int64), ("0",)),
        "arrival": places,
        "iteration": ~is_message, "waited": np.zeros(size, np.bool_), "retried": np.zeros(size, np.bool_),
        "status": pa.array(np.where(failed, 500, 200), mask=is_sql | is_message),
        "error": pa.array([f"HTTP 500: thing {n} broke" if bad else None
                           for n, bad in zip(places.tolist(), failed.tolist(), strict=True)], pa.string()),
        "bytes_in": np.full(size, 2000),
        "ttft_s": pa.array(service / 4, mask=~is_llm),
        "prompt_tokens": pa.array(np.full(size, 100), mask=~is_llm),
        "output_tokens": pa.array(np.full(size, EVENTS), mask=~is_llm),
        "events": pa.array(np.full(size, EVENTS), mask=~is_llm),
        "token_source": _text(np.where(is_llm, 0, -1), ("usage",)),
        "icl_us": _gaps(is_llm, service),
        "quality": pa.array(random.random(size), mask=~is_llm),
        "defect": _text(np.where(is_llm & (random.random(size) < 0.001), 0, -1), (Defect.EMPTY,)),
        "message_type": _text(np.where(is_message, 0, -1), ("update",)),
        "sequence": pa.array(numbered // _CONNECTIONS + 1, mask=~is_message),
        "connection": pa.array(numbered % _CONNECTIONS, mask=~is_message),
        "latency_source": _text(np.where(is_message, 0, -1), ("shared_clock",)),
        "pool_wait_ms": pa.array(service, mask=~is_sql), "rows": pa.array(np.full(size, 3), mask=~is_sql),
    }  # fmt: skip
    filled = [
        pa.array(columns[field.name]).cast(field.type) if field.name in columns else pa.nulls(size, field.type)
        for field in SAMPLE_SCHEMA
    ]
    return pa.record_batch(filled, schema=SAMPLE_SCHEMA)


def _text(codes: np.ndarray, texts: Sequence[str]) -> pa.Array:
    """Return a text column; code -1 is null."""
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, [str(text) for text in texts]).cast(pa.string())


def _gaps(is_llm: np.ndarray, service: np.ndarray) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(is_llm * (EVENTS - 1))])
    gaps = np.repeat((service[is_llm] * 37_000).astype(np.int32), EVENTS - 1)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(gaps), mask=pa.array(~is_llm))


def _count(batch: pa.RecordBatch, scheduled: dict[tuple[str, str], int]) -> None:
    arrivals = pa.table([batch["phase"], batch["scenario"]], names=["phase", "scenario"]).filter(batch["iteration"])
    for row in arrivals.group_by(["phase", "scenario"]).aggregate([([], "count_all")]).to_pylist():
        key = (row["phase"], row["scenario"])
        scheduled[key] = scheduled.get(key, 0) + row["count_all"]


def _write_readings(folder: Path, seconds: int) -> None:
    writer = SegmentWriter(folder / "resources-0.arrow", READING_SCHEMA)
    levels = np.random.default_rng(2).random((seconds, len(_READINGS)))
    for first in range(0, seconds, 1000):
        writer.append(
            [
                Reading(second + 0.5, source, metric, value)
                for second in range(first, min(first + 1000, seconds))
                for source, metric, value in (
                    *((s, m, float(levels[second, i])) for i, (s, m) in enumerate(_READINGS)),
                    *(("generator", metric, value) for metric, value in _HEALTH),
                )
            ]
        )


def _record(count: int, seconds: float, scheduled: dict[tuple[str, str], int]) -> RunRecord:
    each = seconds / len(_PHASES)
    phases = [{"name": name, "rate": max(count / seconds, 1), "duration": each} for name in _PHASES]
    criteria = [{"metric": "latency_p95_ms", "phase": name, "below": 1000} for name in _PHASES]
    plan = Plan.model_validate(
        constant_plan(1, 1, phases=phases, criteria=[*criteria, {"metric": "success_rate", "at_least": 0.99}])
    )
    return RunRecord(
        id="soak",
        plan=plan,
        plan_file="bench.yaml",
        seed=1,
        host="http://127.0.0.1:1",
        started_at="2026-01-01T00:00:00+00:00",
        clock_origin=0,
        wall_origin=0,
        ended_s=seconds + 1,
        ending=Ending.COMPLETED,
        phases=[
            PhaseRecord(
                name=name,
                start_s=i * each,
                end_s=(i + 1) * each,
                closed=False,
                reached=True,
                scheduled={owner: n for (phase, owner), n in scheduled.items() if phase == name},
            )
            for i, name in enumerate(_PHASES)
        ],
        processes=[ProcessRecord(worker="0", pid=1, begun=count, recorded=count, written=count)],
    )
