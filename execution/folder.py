"""The run folder, and what is written into `run.json` about the machine and the versions."""

import os
import platform
import re
import sys
import time
from importlib.metadata import version
from itertools import count
from pathlib import Path

_PACKAGES = ("locust", "gevent", "httptools", "orjson", "wsproto", "pyarrow", "numpy")


def create(runs: Path, plan_id: str) -> Path:
    """Make and return a new folder `<time>-<plan id>` for one run. Raises OSError."""
    name = time.strftime("%Y%m%d-%H%M%S-") + re.sub(r"[^A-Za-z0-9_.-]", "_", plan_id)
    for attempt in count():
        folder = runs / (name if attempt == 0 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        (folder / "report").mkdir()
        return folder
    raise AssertionError("unreachable")


def versions() -> dict[str, str]:
    """Return the versions of what measures."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def machine() -> dict[str, str]:
    """Return what kind of machine generated the load."""
    return {
        "name": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        match = None
    return match.group(1) if match else platform.processor() or "unknown"


def command() -> list[str]:
    """Return the command that can be typed to run this again."""
    name = Path(sys.argv[0]).name
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--run-file")]
    return ["locust" if name == "__main__.py" else name, *arguments]
