"""`make screenshots`: a real run of the quickstart, its report in Chromium, and the pictures of the documentation."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.runs import ROOT, newest
from tests.reports.browser import BINARY, MISSING, Browser

_PICTURES = ROOT / "docs" / "pictures"
_WIDTH, _HEIGHT = 1280, 900
# (name, theme, element that stands at the top)
_VIEWS = (
    ("report-light", "light", "verdict"),
    ("report-charts", "light", "time"),
    ("report-dark", "dark", "chart-heat-ms"),
    ("report-llm", "dark", "llm"),
)


def main() -> int:
    """Run the plan, take the pictures, and return its exit code when there is no report; 2 without Chromium."""
    if BINARY is None:
        print(f"error: {MISSING}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="proofload-pictures-") as scratch:
        command = [sys.executable, str(ROOT / "certify.py"), "plans/quickstart.yaml", f"--runs={scratch}/runs"]
        done = subprocess.run(command, cwd=ROOT, check=False)
        page = newest(Path(scratch)) / "report" / "report.html"
        if not page.exists():
            return done.returncode
        take(page)
        shutil.copy(page.parent / "timeline.svg", _PICTURES / "timeline.svg")
    return 0


def take(page: Path) -> None:
    """Take every view of a report page."""
    with Browser() as browser:
        for name, theme, element in _VIEWS:
            browser.screen(_WIDTH, _HEIGHT, theme)
            browser.open(page)
            browser.run(f"document.getElementById('{element}').scrollIntoView()")
            browser.settle()
            path = _PICTURES / f"{name}.png"
            browser.picture(path)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
