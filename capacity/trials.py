"""Holds the loads for real: each batch is a run of `certify.py` in a process of its own, with its report."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from capacity.limits import By, Limits, names_of, plan_of
from capacity.probes import Batch, Probe, Stopped
from capacity.readings import probes_of, read_run
from plans.exits import Exit
from plans.run import Ending, RunRecord
from plans.schema import Plan
from reports.windows import RunData
from samples.journal import EventKind, read_events

ROOT = Path(__file__).resolve().parent.parent
_POLL_S = 0.5
_GRACE_S = 1.0
"""After the end of a rung: so long its answers are waited for before it is looked at."""
_HALF = 0.5


@dataclass(slots=True)
class Trials:
    """The prober that generates load. `folder` holds plans, runs and the log; `passed_on` goes to certify.py."""

    limits: Limits
    folder: Path
    seed: int
    passed_on: Sequence[str] = ()
    begin: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    record: RunRecord | None = None
    """Of the newest run: host, versions and machine."""
    _count: int = 0
    _process: "subprocess.Popen[bytes] | None" = None

    def elapsed(self) -> float:
        """Return the seconds since the search began."""
        return time.monotonic() - self.begin

    def interrupt(self) -> None:
        """End the run that is under way, in order, and begin no other."""
        self.interrupted = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def run(self, batch: Batch) -> list[Probe]:
        """Hold the loads of a batch and return what was seen. Raises Stopped."""
        if self.interrupted:
            raise Stopped("interrupted")
        self._count += 1
        plan = self.folder / "plans" / f"batch-{self._count}.yaml"
        runs = self.folder / "runs" / f"batch-{self._count}"
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text(_text(plan_of(self.limits, batch.steps)), encoding="utf-8")
        code = self._certify(plan, runs, batch)
        folder = _run_in(runs)
        if folder is None and self.interrupted:
            raise Stopped("interrupted")
        if folder is None:
            words = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            why = words[-1] if words else f"code {code}"
            raise Stopped(f"no run came about: {why}", usage=code == Exit.USAGE)
        return self._read(folder, batch)

    def _certify(self, plan: Path, runs: Path, batch: Batch) -> int:
        command = [sys.executable, str(ROOT / "certify.py"), str(plan), f"--runs={runs}"]
        # Its own seed for each batch: the same arrivals again would err in the same direction again.
        command += [f"--seed={self.seed + self._count}", *self.passed_on]
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            if self.interrupted:  # while it was being started
                self._process.send_signal(signal.SIGINT)
            stopping = False
            while True:
                try:
                    return self._process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    if batch.stop_when_broken and not stopping and self._broken(runs, batch):
                        stopping = True
                        self._process.send_signal(signal.SIGINT)

    def _broken(self, runs: Path, batch: Batch) -> bool:
        """Return whether the newest rung that is over has broken a limit beyond doubt, by what is on disk of it."""
        folder = _run_in(runs)
        try:
            # Before the load begins the record does not know when it will.
            if folder is None or not any(event.kind is EventKind.PHASE for event in read_events(folder)):
                return False
            now = time.monotonic() - RunRecord.read(folder).clock_origin - _GRACE_S
            end, over = 0.0, 0
            for number, step in enumerate(batch.steps, 1):
                end += step.settle_s + step.seconds
                over = number if end <= now else over
            return over > 0 and self._breaks(read_run(folder), folder, batch, over)
        except (OSError, ValueError):
            return False  # half a file: it will be whole the next time

    def _breaks(self, run: RunData, folder: Path, batch: Batch, over: int) -> bool:
        step = batch.steps[over - 1]
        phase = run.phase(names_of(over)[1])
        recorded = sum(phase.scheduled.values()) if phase is not None else 0
        if self.limits.by is By.RATE and recorded < step.load * step.seconds * _HALF:
            return True  # more than half of the answers have not come
        probes = probes_of(run, folder, batch.steps[:over], self.limits, 0.0)
        return bool(probes) and len(probes) == over and probes[-1].clearly_broken

    def _read(self, folder: Path, batch: Batch) -> list[Probe]:
        """Return the probes of a run that has ended. Raises Stopped when it never began."""
        try:
            run = read_run(folder)
        except (OSError, ValueError) as error:
            raise Stopped(f"{folder} cannot be read: {error}") from None
        self.record = run.record
        if run.record.ending is Ending.FAILED_TO_START:
            raise Stopped(f"the run failed to start: {'; '.join(run.record.notes)}")
        for one in run.record.preconditions:
            if not one.held:
                self.notes.append(f"before batch {self._count}: {one.name}: {one.found}")
        probes = probes_of(
            run, folder.relative_to(self.folder), batch.steps, self.limits, run.record.clock_origin - self.begin
        )
        if not probes and not self.interrupted:
            raise Stopped(f"no probe was held to its end: {'; '.join(run.record.notes) or folder}")
        return probes


def _text(plan: Plan) -> str:
    return json.dumps(plan.model_dump(mode="json", by_alias=True, exclude_none=True), indent=1)  # JSON is YAML


def _run_in(runs: Path) -> Path | None:
    """Return the folder of the one run in `runs`; None when there is none yet."""
    found = [path for path in runs.iterdir() if (path / "run.json").exists()] if runs.is_dir() else []
    return found[0] if found else None
