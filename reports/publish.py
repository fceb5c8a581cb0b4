"""Every form of the report into the run folder, each on its own: one that fails does not take the others along."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reports.analysis import PAGE, REPORT_FOLDER, Analysis
from reports.baselines import baselines
from reports.exports import metrics_csv, verdict_json, vllm_bench_json
from reports.junit import junit_xml
from reports.markdown import summary_md
from reports.picture import timeline_svg
from reports.render import render
from reports.websocket_result import websocket_json


def _page(analysis: Analysis) -> bytes:
    return render(analysis).encode("utf-8", "replace")


FORMS: dict[str, Callable[[Analysis], bytes]] = {
    # The small ones first: on a disk that is nearly full they are the ones that fit.
    "verdict.json": verdict_json,
    "junit.xml": junit_xml,
    "summary.md": summary_md,
    "metrics.csv": metrics_csv,
    "timeline.svg": timeline_svg,
    PAGE: _page,
}


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A form that could not be made or kept, and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


def publish(analysis: Analysis, folder: Path) -> list[Unwritten]:
    """Write every form into `folder`/report and return the ones that could not be written; never raises."""
    report = folder / REPORT_FOLDER
    try:
        report.mkdir(exist_ok=True)
    except OSError as error:
        return [Unwritten(report, _reason(error))]
    failed = []
    kept = {name: _already(content) for name, content in baselines(analysis)}
    if analysis.vllm_bench is not None:
        kept["vllm-bench.json"] = _already(vllm_bench_json(analysis.vllm_bench))
    if (result := websocket_json(analysis)) is not None:
        kept["websocket.json"] = _already(result)
    for name, make in (kept | FORMS).items():
        path = report / name
        try:
            _write(path, make(analysis))
        except OSError as error:
            failed.append(Unwritten(path, _reason(error)))
            _remove(path)
        except Exception as error:  # a defect in one form must not cost the others
            failed.append(Unwritten(path, f"a defect of Proofload: {type(error).__name__}: {error}"))
            _remove(path)
    return failed


def _already(content: bytes) -> Callable[[Analysis], bytes]:
    return lambda _: content


def _remove(path: Path) -> None:
    """Remove what an earlier analysis left: an old verdict beside a new one is worse than none."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _write(path: Path, content: bytes) -> None:
    """Replace the file at once, so that a reader sees the old or the new report and never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        _remove(temporary)
        raise
