"""Poisson arrivals from one process and from several: what counts is what the server saw."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scipy import stats

from plans.loading import load
from shapes.arrivals import schedule
from tests.execution.harness import ENVIRONMENT, ROOT, plan_file, serving

RATE, SECONDS = 40, 15
STRIPE = [sys.executable, "-m", "tests.execution.stripe_process"]


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_stripes_of_several_processes_are_one_poisson_process_to_the_server(tmp_path: Path, processes: int) -> None:
    phases = [{"name": "only", "rate": RATE, "duration": SECONDS}]
    plan = plan_file(tmp_path, phases=phases, arrivals="poisson")
    log = tmp_path / "log"
    with serving("--log", str(log)) as host:
        origin = time.monotonic() + 3.0
        started = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.execution.stripe_process",
                    str(i),
                    str(processes),
                    repr(origin),
                    str(plan),
                    host,
                ],
                cwd=ROOT,
                env=ENVIRONMENT,
            )
            for i in range(processes)
        ]
        assert [process.wait(60) for process in started] == [0] * processes
    seen = sorted(json.loads(log.read_text())["load"])
    due = schedule(load(plan), seed=1).times

    assert len(seen) == len(due)
    # Every arrival came when it was due: the union of the stripes is the schedule, and not only its law.
    late = sorted(moment - origin - intended for moment, intended in zip(seen, due.tolist(), strict=True))
    assert late[len(late) // 2] < 0.005
    counts = [0] * SECONDS
    for moment in seen:
        counts[min(int(moment - origin), SECONDS - 1)] += 1
    low, high = stats.chi2.ppf([0.0005, 0.9995], SECONDS - 1) / (SECONDS - 1)
    assert low < stats.tvar(counts) / stats.tmean(counts) < high
    gaps = [b - a for a, b in itertools.pairwise(seen)]
    assert stats.kstest(gaps, "expon", args=(0, sum(gaps) / len(gaps))).pvalue > 0.001
