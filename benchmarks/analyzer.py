"""How long does a report take? 720,000 samples: four hours at 50 RPS."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.runs import ROOT, constant_plan
from benchmarks.table import Table
from plans.run import Ending, PhaseRecord, ProcessRecord, RunRecord
from plans.schema import Plan
from samples.sample import Outcome, Protocol, Sample
from samples.segments import SAMPLE_SCHEMA, SegmentWriter

_RATE, _SECONDS, _BATCH = 50, 4 * 3600, 5000
_TIME_LIMIT_S, _MEMORY_LIMIT = 20.0, 1.5e9


def measure(scratch: Path) -> Table:
    """Time `python -m reports` as a whole process, its start included."""
    folder = scratch / "soak"
    _write(folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "reports", str(folder)], cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # ru_maxrss of children is the largest of them all, in kB: the report is by far the largest here.
    memory = after.ru_maxrss * 1024
    size = (folder / "report" / "report.html").stat().st_size
    table = Table("Analyzer: 720,000 samples, a third of them streamed answers of 20 events, to all report forms")
    table.add("time", f"{took:.1f} s", f"< {_TIME_LIMIT_S:g} s", took < _TIME_LIMIT_S)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    table.add("CPU", f"{cpu:.1f} s, {1e6 * cpu / (_RATE * _SECONDS):.1f} µs a sample")
    table.add("peak memory", f"{memory / 1e9:.2f} GB", f"< {_MEMORY_LIMIT / 1e9:g} GB", memory < _MEMORY_LIMIT)
    table.add("report.html", f"{size / 1e6:.2f} MB", "< 3 MB", size < 3e6)
    return table


def _write(folder: Path) -> None:
    (folder / "report").mkdir(parents=True)
    count = _RATE * _SECONDS
    random = np.random.default_rng(1)
    service = random.lognormal(np.log(0.08), 0.5, count)
    failed = random.random(count) < 0.002
    writer = SegmentWriter(folder / "samples-0.arrow", SAMPLE_SCHEMA)
    for start in range(0, count, _BATCH):
        writer.append([_sample(i, float(service[i]), bool(failed[i])) for i in range(start, start + _BATCH)])
    plan = Plan.model_validate(constant_plan(_RATE, _SECONDS))
    RunRecord(
        id="soak",
        plan=plan,
        plan_file="bench.yaml",
        seed=1,
        host="http://127.0.0.1:1",
        started_at="2026-01-01T00:00:00+00:00",
        clock_origin=0,
        wall_origin=0,
        ended_s=_SECONDS + 1,
        ending=Ending.COMPLETED,
        phases=[
            PhaseRecord(
                name="only", start_s=0, end_s=_SECONDS, closed=False, reached=True, scheduled={"ReadOnlyUser": count}
            )
        ],
        processes=[ProcessRecord(worker="0", pid=os.getpid(), begun=count, recorded=count, written=count)],
    ).save(folder)


def _sample(i: int, service: float, failed: bool) -> Sample:
    due = (i + 0.5) / _RATE
    sample = Sample(
        due_s=due,
        sent_s=due + 0.0003,
        done_s=due + 0.0003 + service,
        outcome=Outcome.HTTP_ERROR if failed else Outcome.OK,
        phase="only",
        scenario="ReadOnlyUser",
        name=("list", "details", "chat")[i % 3],
        protocol=Protocol.LLM if i % 3 == 2 else Protocol.HTTP,
        arrival=i,
        iteration=True,
        status=500 if failed else 200,
        error=f"HTTP 500: run {i} broke" if failed else None,
        bytes_in=2000,
    )
    if i % 3 == 2:
        sample.ttft_s, sample.events, sample.output_tokens = service / 4, 20, 20
        sample.icl_us = [int(service * 37_000)] * 19
    return sample
