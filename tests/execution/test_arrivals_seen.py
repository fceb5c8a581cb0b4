"""Poisson arrivals from one process, from several, and from a whole run: what counts is what the server saw."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from scipy import stats

from plans.loading import load
from shapes.arrivals import schedule
from tests.execution.harness import ENVIRONMENT, ROOT, certify, plan_file, serving, wait_for_load

RATE, SECONDS = 40, 15
PROCESSES = (1, 2, 4)


@pytest.mark.alone
def test_arrivals_of_several_processes_and_of_a_run_are_one_poisson_process_to_the_server(tmp_path: Path) -> None:
    """Each of them has a server of its own, and none takes much of a core: together they take half a minute."""
    plan = plan_file(tmp_path, phases=[{"name": "only", "rate": RATE, "duration": SECONDS}], arrivals="poisson")
    due = schedule(load(plan), seed=1).times.tolist()
    logs = {number: tmp_path / f"log-{number}" for number in PROCESSES}
    with ExitStack() as servers, ThreadPoolExecutor() as pool:
        hosts = {number: servers.enter_context(serving("--log", str(log))) for number, log in logs.items()}
        processes = [_stripe(i, number, plan, host) for number, host in hosts.items() for i in range(number)]
        assert [_said(process) for process in processes] == ["ready"] * len(processes)
        run = pool.submit(_deviations_of_a_run, tmp_path / "run")
        wait_for_load(tmp_path / "run" / "runs")
        origin = time.monotonic() + 0.5
        for process in processes:
            _tell(process, repr(origin))
        assert [process.wait(60) for process in processes] == [0] * len(processes)
    seen = {number: sorted(at - origin for at in json.loads(log.read_text())["load"]) for number, log in logs.items()}
    assert {number: len(moments) for number, moments in seen.items()} == dict.fromkeys(PROCESSES, len(due))
    assert {number: _deviations(moments, SECONDS) for number, moments in seen.items()} == {n: [] for n in PROCESSES}
    late = {number: _median_lateness(moments, due) for number, moments in seen.items()}
    assert max(late.values()) <= 0.005, late
    assert run.result() == []


def _stripe(i: int, number: int, plan: Path, host: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.execution.stripe_process", str(i), str(number), str(plan), host]
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.close()


def _deviations_of_a_run(folder: Path) -> list[str]:
    """Return what is not Poisson in the arrivals of a whole run, by its server.

    25/s: the machine's own jitter of a millisecond is small beside the mean gap of 40 ms.
    """
    folder.mkdir()
    log, phases = folder / "arrivals", [{"name": "only", "rate": 25, "duration": "20s"}]
    with serving("--log", str(log)) as host:
        run = certify(plan_file(folder, phases=phases, arrivals="poisson"), f"--host={host}")
    assert run.code == 0, run.out
    seen = json.loads(log.read_text())["load"]
    assert len(seen) == len(run.iterations)
    return _deviations([moment - seen[0] for moment in seen], 20)


def _median_lateness(seen: Sequence[float], due: Sequence[float]) -> float:
    """Return how late the arrivals were: the union of the stripes is the schedule, and not only its law."""
    late = sorted(moment - intended for moment, intended in zip(seen, due, strict=True))
    return late[len(late) // 2]


def _deviations(seen: Sequence[float], seconds: int) -> list[str]:
    """Return in what the arrivals of so many seconds differ from a Poisson process."""
    found = []
    counts = [0] * seconds
    for moment in seen:
        counts[min(int(moment), seconds - 1)] += 1
    # The index of dispersion of n counts, times n - 1, is chi-square with n - 1 degrees of freedom.
    low, high = stats.chi2.ppf([0.0005, 0.9995], seconds - 1) / (seconds - 1)
    dispersion = float(stats.tvar(counts) / stats.tmean(counts))
    if not low < dispersion < high:
        found.append(f"the index of dispersion was {dispersion:.2f}")
    gaps = [b - a for a, b in itertools.pairwise(seen)]
    chance = float(stats.kstest(gaps, "expon", args=(0, sum(gaps) / len(gaps))).pvalue)
    if chance < 0.001:
        found.append(f"the gaps are exponential with a chance of {chance:.2g}")
    return found
