"""What the Verdict tab of the web UI shows: the run under way, its limits so far, and the runs that have ended."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import gevent
from pydantic import BaseModel, ConfigDict

from execution.run import Run
from plans.assessment import Assessment
from plans.run import RUN_FILE
from samples.live import LONGEST_S, WINDOW_S, Window

MOST_RUNS = 20
"""Ended runs that are listed, the newest first."""
REPORT = Path("report") / "report.html"
_VERDICT = Path("report") / "verdict.json"
_FIRST = re.compile(rb'"verdict": "(PASS|FAIL|INVALID)"')
_HEAD_BYTES = 400


class Stage(StrEnum):
    """What this process is at."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    DRAINING = "draining"
    REPORTING = "reporting"
    ENDED = "ended"


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Bar(_Shown):
    """A phase on the time axis, seconds from the origin."""

    name: str
    start_s: float
    end_s: float


class Traffic(_Shown):
    """What goes on now. Rates per second, times in milliseconds."""

    offered_rps: float
    in_flight: int
    waiting: int
    users: int
    ended: int
    failures: int
    dropped: int
    windows: tuple[Window, ...]


class Final(_Shown):
    """A criterion, or the whole verdict, as the report says it."""

    metric: str
    where: str
    limit: str
    measured: str
    state: str
    reason: str


class Ended(_Shown):
    """The verdict of the last run."""

    verdict: str
    reasons: tuple[str, ...]
    criteria: tuple[Final, ...]


class View(_Shown):
    """One look at this process."""

    stage: Stage
    run: str | None = None
    title: str = ""
    plan: str = ""
    host: str = ""
    rehearsal: bool = False
    now_s: float = 0.0
    phase: str | None = None
    phase_left_s: float = 0.0
    left_s: float = 0.0
    phases: tuple[Bar, ...] = ()
    traffic: Traffic | None = None
    assessment: Assessment | None = None
    ended: Ended | None = None


class PastRun(_Shown):
    """A run in the folder of runs; `verdict` is None when it has no report."""

    id: str
    verdict: str | None


class Look:
    """Looks at one run after the other."""

    def __init__(self) -> None:
        self.run: Run | None = None
        """The run under way, or the last one."""
        self.last: Path | None = None
        """The folder of the last run that has ended."""
        self._ended: tuple[str, Ended | None] = ("", None)

    def view(self, stage: Stage) -> View:
        """Return what there is to see. It asks for the run to be judged on."""
        run = self.run
        if run is None or stage is Stage.PREPARING:
            return View(stage=stage)
        place, ended = run.progress.place(), stage in {Stage.REPORTING, Stage.ENDED}
        return View(
            stage=stage,
            run=run.folder.name,
            title=run.record.plan.title,
            plan=run.record.plan.id,
            host=run.record.host,
            rehearsal=run.record.rehearsal,
            now_s=(run.record.ended_s or place.now_s) if ended else place.now_s,
            phase=None if ended else place.phase,
            phase_left_s=place.phase_left_s,
            left_s=place.left_s,
            phases=tuple(Bar(name=span.name, start_s=span.start, end_s=span.end) for span in run.progress.spans),
            traffic=_traffic(run),
            assessment=run.assessing.latest if ended else run.assessing.look(),
            ended=self._verdict(run.folder) if stage is Stage.ENDED else None,
        )

    def _verdict(self, folder: Path) -> Ended | None:
        """Return the verdict of a run that has ended; it is read once."""
        if self._ended[0] != folder.name:
            self._ended = (folder.name, gevent.get_hub().threadpool.apply(_read_verdict, (folder,)))
        return self._ended[1]


def _traffic(run: Run) -> Traffic:
    # In a thread: what is sorted may be many, and the event loop has a load to make.
    windows = gevent.get_hub().threadpool.apply(
        lambda: tuple(run.tallies.window(length) for length in (WINDOW_S, LONGEST_S))
    )
    return Traffic(
        offered_rps=run.progress.offered_rps(),
        in_flight=run.load.in_flight,
        waiting=run.load.waiting,
        users=run.load.users,
        ended=run.tallies.completed,
        failures=run.tallies.failures,
        dropped=run.totals.dropped,
        windows=windows,
    )


def _read_verdict(folder: Path) -> Ended | None:
    try:
        told = json.loads((folder / _VERDICT).read_bytes())
        criteria = tuple(Final(**{key: one[key] for key in ("metric", "state", "reason")}, **one["shown"])
                         for one in told["criteria"])  # fmt: skip
        return Ended(verdict=told["verdict"], reasons=tuple(told["reasons"]), criteria=criteria)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def past_runs(runs: Path) -> list[PastRun]:
    """Return the newest runs of a folder, by their names, which begin with the time."""
    found: list[PastRun] = gevent.get_hub().threadpool.apply(lambda: list(_past(runs)))
    return found


def _past(runs: Path) -> Iterator[PastRun]:
    try:
        folders = sorted((folder for folder in runs.iterdir() if (folder / RUN_FILE).is_file()), reverse=True)
    except OSError:
        return
    for folder in folders[:MOST_RUNS]:
        try:
            with (folder / _VERDICT).open("rb") as file:
                found = _FIRST.search(file.read(_HEAD_BYTES))
        except OSError:
            found = None
        ready = found is not None and (folder / REPORT).is_file()
        yield PastRun(id=folder.name, verdict=found[1].decode() if found and ready else None)


def report_of(runs: Path, run: str) -> Path | None:
    """Return the report of a run by its id; None when it has none, or the id is no name of a folder in `runs`."""
    folder = runs / run
    if folder.parent != runs or run in {"", ".", ".."} or not (folder / RUN_FILE).is_file():
        return None
    page = folder / REPORT
    return page if page.is_file() else None
