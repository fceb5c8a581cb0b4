"""How long does a report take? 720,000 samples, four hours at 50 RPS, and ten million, four hours at 700."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.runs import ROOT
from benchmarks.soak import EVENTS, write_soak
from benchmarks.table import Table
from tests.reports.browser import BINARY, Browser

_SECONDS = 4 * 3600
_PROMISES = {720_000: (10.0, 1.5e9), 10_000_000: (60.0, 4e9)}
"""Samples: the longest time in seconds, and the largest memory in bytes."""
_MOST_PAGE = 3e6


def measure(scratch: Path) -> Table:
    """Time `python -m reports` as a whole process, its start and its writing included."""
    table = Table(
        f"Analyzer: samples of four hours, a fifth of them streams of {EVENTS} events, a fifth queries, a tenth "
        "messages; to all report forms"
    )
    for count, (most_s, most_memory) in _PROMISES.items():
        folder = scratch / str(count)
        write_soak(folder, count, _SECONDS)
        took, cpu, memory = _timed(folder)
        size = (folder / "report" / "report.html").stat().st_size
        table.add(f"{count:,}: time", f"{took:.1f} s", f"< {most_s:g} s", took < most_s)
        table.add(f"{count:,}: CPU", f"{cpu:.1f} s, {1e6 * cpu / count:.1f} µs a sample")
        held = memory < most_memory
        table.add(f"{count:,}: peak memory", f"{memory / 1e9:.2f} GB", f"< {most_memory / 1e9:g} GB", held)
        table.add(f"{count:,}: report.html", f"{size / 1e6:.2f} MB", f"< {_MOST_PAGE / 1e6:g} MB", size < _MOST_PAGE)
        if BINARY is None:
            table.add(f"{count:,}: opens in Chromium", "Chromium is not installed here")
            continue
        opened = _opened(folder / "report" / "report.html")
        table.add(f"{count:,}: opens in Chromium, all charts drawn", f"{opened:.2f} s", "< 1 s", opened < 1)
    return table


def _opened(page: Path) -> float:
    """Return the median of seconds from the navigation to the page's load event, at which every chart is drawn."""
    times = []
    with Browser() as browser:
        browser.screen(1440, 1000)
        for _ in range(5):
            browser.open(page)
            times.append(float(browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")))
    return statistics.median(times)


def _timed(folder: Path) -> tuple[float, float, int]:
    """Return seconds, seconds of CPU and bytes of memory of the report's process."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "reports", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
