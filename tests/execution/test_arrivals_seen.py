"""Poisson arrivals from one process and from several: what counts is what the server saw."""

import itertools
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scipy import stats

from plans.loading import load
from shapes.arrivals import schedule
from tests.execution.harness import ENVIRONMENT, ROOT, plan_file, serving

RATE, SECONDS = 40, 15
STRIPE = [sys.executable, "-m", "tests.execution.stripe_process"]
PROCESSES = (1, 2, 4)


@pytest.mark.alone
def test_the_stripes_of_several_processes_are_one_poisson_process_to_the_server(tmp_path: Path) -> None:
    phases = [{"name": "only", "rate": RATE, "duration": SECONDS}]
    plan = plan_file(tmp_path, phases=phases, arrivals="poisson")
    due = schedule(load(plan), seed=1).times.tolist()
    with ThreadPoolExecutor() as pool:  # each number of processes has a server of its own; together they take 15 s
        seen = list(pool.map(lambda processes: _seen(plan, tmp_path / f"log-{processes}", processes), PROCESSES))
    assert [len(moments) for moments in seen] == [len(due)] * len(PROCESSES)
    found = {number: _deviations(moments, due) for number, moments in zip(PROCESSES, seen, strict=True)}
    assert found == {number: [] for number in PROCESSES}


def _seen(plan: Path, log: Path, processes: int) -> list[float]:
    """Return when the server saw each request, in seconds from the origin that the processes share."""
    with serving("--log", str(log)) as host:
        origin = time.monotonic() + 4.0
        started = [
            subprocess.Popen(
                [*STRIPE, str(i), str(processes), repr(origin), str(plan), host], cwd=ROOT, env=ENVIRONMENT
            )
            for i in range(processes)
        ]
        assert [process.wait(60) for process in started] == [0] * processes
    return sorted(moment - origin for moment in json.loads(log.read_text())["load"])


def _deviations(seen: list[float], due: list[float]) -> list[str]:
    """Return in what the arrivals differ from the schedule, and from a Poisson process."""
    found = []
    # Every arrival came when it was due: the union of the stripes is the schedule, and not only its law.
    late = sorted(moment - intended for moment, intended in zip(seen, due, strict=True))
    if late[len(late) // 2] > 0.005:
        found.append(f"half of the arrivals were late by {late[len(late) // 2]:.4f} s or more")
    counts = [0] * SECONDS
    for moment in seen:
        counts[min(int(moment), SECONDS - 1)] += 1
    # The index of dispersion of n counts, times n - 1, is chi-square with n - 1 degrees of freedom.
    low, high = stats.chi2.ppf([0.0005, 0.9995], SECONDS - 1) / (SECONDS - 1)
    dispersion = float(stats.tvar(counts) / stats.tmean(counts))
    if not low < dispersion < high:
        found.append(f"the index of dispersion was {dispersion:.2f}")
    gaps = [b - a for a, b in itertools.pairwise(seen)]
    chance = float(stats.kstest(gaps, "expon", args=(0, sum(gaps) / len(gaps))).pvalue)
    if chance < 0.001:
        found.append(f"the gaps are exponential with a chance of {chance:.2g}")
    return found
