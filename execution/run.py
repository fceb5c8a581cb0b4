"""One run in this process, from its preparation to the closed run folder."""

import contextlib
import csv
import logging
import math
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import gevent
import gevent.event
import pyarrow as pa
from locust import User, stats
from locust.env import Environment

from execution import folder as run_folder
from execution import judging, preconditions, watching
from execution.assessing import Assessing
from execution.children import Child, StartError
from execution.console import Console
from execution.distributed.fleet import Fleet
from execution.distributed.workers import Workers
from execution.faults import FaultTimeline
from execution.load import Load, OwnLoad
from execution.options import Options
from execution.progress import Progress
from execution.storage import Storage, on_disk
from plans.capacity import capacity
from plans.hosts import EMBEDDED
from plans.input_files import replay_notes
from plans.run import Ending, ProcessRecord, RunRecord
from samples.journal import Event, EventKind, Journal
from samples.live import LiveTallies
from samples.recorder import Recorder
from samples.totals import Totals
from scenarios.base import LoadUser
from scenarios.brought import BroughtUser
from shapes.arrivals import Schedule, schedule

_log = logging.getLogger("proofload")
_REST_S = 0.2
_READINGS_AFTER = 2.5
"""Intervals of the monitor for which it may look at what stays after the load."""
"""What is added to the lead of the load when the target is watched: it is left alone, and read before the load."""


def _why_not_begun(error: BaseException) -> str:
    if isinstance(error, Exception):
        return f"the preparation failed: {type(error).__name__}: {error}"
    return "interrupted before the load began"


class Run:
    """Prepares a run, conducts it, and closes its folder. The order of the end is the point of it.

    Arrivals stop; what is in flight is drained up to the plan's deadline; Locust's users are stopped, and what they
    still had in flight is recorded as cut; the last samples are written; only then is the run closed.
    """

    def __init__(
        self,
        environment: Environment,
        options: Options,
        users: list[type[User]],
        notes: list[str],
        workers: Workers | None = None,
    ) -> None:
        """Make the folder and start the processes around the run. Raises OSError when there is no place for it.

        The load is made by `workers` when there are any, else in this process.
        """
        self._environment, self._options, plan = environment, options, options.plan
        self._users = [user for user in users if issubclass(user, LoadUser)]
        self.folder = run_folder.create(options.runs, plan.id)
        self.journal = Journal(self.folder)
        self.over = gevent.event.Event()
        """Set when nothing is in flight any more, or the deadline for it has passed."""
        self.tallies = LiveTallies()
        self.totals = Totals()
        self.schedule: Schedule = schedule(plan, options.seed)
        self.load = self._load(users, workers)
        self.session = self.load.session
        self.clock, self.recorder = self.session.clock, self.session.recorder
        self.record = self._record(notes)
        self._compare_with_calibration()
        self.assessing = Assessing(self.folder, plan, self.clock, self.load, self.abort)
        self.progress = Progress(self.session, self.schedule.spans, self.load)
        self._console = Console(self.progress, self.tallies, self.load, self.assessing)
        self._children: list[Child] = []
        self._greenlets: list[gevent.Greenlet] = []
        self._stopped_at = math.inf
        self._closed = False
        self._noted = 0
        self._prepare()

    # -- beginning ------------------------------------------------------------------------------------------

    def _digest(self, batch: pa.RecordBatch, now: float) -> None:
        self.tallies.take(batch, now)
        self.totals.take(batch)

    def _load(self, users: list[type[User]], workers: Workers | None) -> Load:
        plan, seed = self._options.plan, self._options.seed
        if workers is None:
            return OwnLoad(self._environment, plan, seed, self.schedule, users, self.folder, self._storage)
        return Fleet(self._environment, workers, plan, seed, self.schedule, self.folder, self.journal, self._digest)

    def _storage(self, recorder: Recorder, process: ProcessRecord) -> Storage:
        return on_disk(self.folder, recorder, process, self._digest)

    def _record(self, notes: list[str]) -> RunRecord:
        options = self._options
        return RunRecord(
            id=self.folder.name,
            plan=options.plan,
            plan_file=options.plan_file,
            seed=options.seed,
            time_scale=options.time_scale,
            rate_scale=options.rate_scale,
            host=options.plan.target.host,
            started_at=datetime.now().astimezone().isoformat(timespec="seconds"),
            clock_origin=self.clock.origin,
            wall_origin=time.time(),
            notes=[*notes, *replay_notes(options.plan)],
            processes=self.load.processes(),
            command=run_folder.command(),
            versions=run_folder.versions(),
            machine=run_folder.machine(),
        )

    def _compare_with_calibration(self) -> None:
        """Warn before the load when the plan asks for more than this machine was seen to generate."""
        record = self.record
        record.capacity = capacity(self._options.plan, self._options.runs, record.machine, record.versions)
        found = preconditions.capacity(record.capacity)
        record.preconditions += found
        if not all(one.held for one in found):
            _log.warning("more than this machine can be trusted with: %s", record.capacity.sentence())
            self.journal.add(Event(0.0, EventKind.WARNING, f"beyond the calibration: {record.capacity.sentence()}"))

    def _prepare(self) -> None:
        pid: int | None = None
        LoadUser.session = BroughtUser.proofload_session = self.session
        self.record.save(self.folder)  # from here on the folder can be read, whatever happens
        try:
            embedded = self.session.host == EMBEDDED and self._options.plan.mix.needs_server
            platform = self._start_platform() if embedded else None
            for user_class in self._users:
                user_class.prepare(self.session)
            if platform is not None:
                ready = platform.said()
                self.session.host, pid = str(ready["url"]), int(ready["pid"])
            elif (database := self._options.plan.mix.DatabaseUser) and not self._options.plan.mix.needs_server:
                self.session.host = str(database.url)
            monitor = self._start_monitor(pid)
            self.record.preconditions += preconditions.check(self.session)
            found, self.record.baseline = preconditions.baseline(self.session.plan)
            self.record.preconditions += found
            for user_class in self._users:
                user_class.warm_up(self.session)
            self.record.preconditions += preconditions.canaries(self.session) + preconditions.database(self.session)
            self.record.notes += self.session.notes
            self._noted = len(self.session.notes)
            self.load.get_ready()
            monitor = self._await_monitor(monitor)
            lead = self.load.lead_s() + (0.0 if monitor is None else _REST_S)
            self.clock.origin = time.monotonic() + lead
            self.load.begin()
            self.record.clock_origin, self.record.wall_origin = self.clock.origin, time.time() + lead
            self.record.host = self.session.host
            self.record.save(self.folder)
        except StartError as error:
            self.record.notes.append(str(error))
            self.record.ending = Ending.FAILED_TO_START
            self.over.set()
            return
        except BaseException as error:
            # Broken, or interrupted: there will be no run whose closing could stop these.
            self._stop_children()
            self.record.notes.append(_why_not_begun(error))
            self.record.ending = Ending.FAILED_TO_START
            with contextlib.suppress(OSError):
                self.record.save(self.folder)
            raise
        self._greenlets.append(gevent.spawn(self._conduct))
        if monitor is not None:
            self._greenlets.append(gevent.spawn(self._read_before_load, monitor))

    def _start_platform(self) -> Child:
        child = Child("target", ["--port", "0", "--seed", str(self._options.seed)], self.folder / "target.log")
        self._children.append(child)
        return child

    def _start_monitor(self, pid: int | None) -> Child | None:
        """Start the monitor process, or return None when there is nothing to watch or it cannot be started."""
        watched = watching.options(self._options.plan, self.session.host, pid)
        if not watched:
            return None
        interval = str(self._options.plan.monitors.interval)
        arguments = ["--folder", str(self.folder), "--interval", interval, *watched]
        child = Child("monitoring", arguments, self.folder / "monitor.log", watching.secrets(self._options.plan))
        self._children.append(child)
        return child

    def _await_monitor(self, monitor: Child | None) -> Child | None:
        """Return the monitor when it is up; the load goes on without it, and criteria on resources find no data."""
        try:
            if monitor is not None:
                monitor.said()
        except StartError as error:
            self.record.preconditions.append(preconditions.monitors(str(error)))
            return None
        return monitor

    def _read_before_load(self, monitor: Child) -> None:
        """Tell the monitor when the load begins, and keep what it sees before that."""
        try:
            monitor.tell(repr(self.clock.origin))
            missing = monitor.said()["missing"]
            self.record.preconditions.append(preconditions.monitors(None, missing))
            self.record.preconditions.append(preconditions.target_at_rest(monitor.said()["before"]))
        except StartError as error:
            self.record.preconditions.append(preconditions.monitors(str(error)))

    # -- under way ------------------------------------------------------------------------------------------

    def _conduct(self) -> None:
        watchers = gevent.spawn(self._watch)
        self._greenlets.append(watchers)
        try:
            self.load.run()
        except Exception as error:
            self.record.notes.append(f"the run could not go on: {type(error).__name__}: {error}")
            self.record.ending = Ending.INTERRUPTED
            raise
        finally:
            self.over.set()

    def _watch(self) -> None:
        """From the run's origin on, tell of the run and switch the faults."""
        gevent.sleep(max(-self.clock(), 0))
        self._greenlets += [
            gevent.spawn(self._console.run),
            gevent.spawn(self._note_phases),
            gevent.spawn(FaultTimeline(self.session, self.journal, refused=self.interrupt).run),
            gevent.spawn(self.assessing.run),
        ]

    def _note_phases(self) -> None:
        for span in self.schedule.spans:
            gevent.sleep(max(span.start - self.clock(), 0))
            event = Event(self.clock(), EventKind.PHASE, f"phase {span.name} begins")
            gevent.get_hub().threadpool.apply(self.journal.add, (event,))  # it waits for the disk

    # -- end ------------------------------------------------------------------------------------------------

    def interrupt(self, why: str) -> None:
        """Let no further arrival come due; what is in flight is drained, and what waits for a user dropped."""
        if self._stop(Ending.INTERRUPTED, why):
            self.load.stop()

    def abort(self, why: str) -> None:
        """End the run early, in the way in which it would have ended: what waits for a user is waited for, too."""
        if self._stop(Ending.ABORTED, why):
            print(f"\n{why}", flush=True)
            self.load.end()

    def _stop(self, ending: Ending, why: str) -> bool:
        """Note that the run stops before its end; return False when it has ended already."""
        if self.over.is_set() or self.record.ending is not Ending.RUNNING:
            return False
        self.record.ending = ending
        self.record.notes.append(why)
        self._stopped_at = max(self.clock(), 0.0)
        self.journal.add(Event(self.clock(), EventKind.STOP, why))
        return True

    def close(self) -> Path:
        """Write what is left and close the folder, after Locust's users have stopped. May be called again."""
        if self._closed:
            return self.folder
        self._closed = True
        gevent.killall(self._greenlets)
        ended = self.clock()
        steps: list[Callable[[], None]] = [
            *self.load.closing(),
            self._wind_up,
            lambda: self._complete_record(ended),
            self.assessing.close,
            self._watch_what_stays,
            self._stop_children,
            self._save_locust_statistics,
            self._judge,
            self._console.close,
        ]
        for step in steps:
            # A full disk must not keep the next step from being tried, nor must anything else.
            try:
                step()
            except Exception as error:
                reason = error.strerror if isinstance(error, OSError) else None
                text = f"cannot close the run: {reason or error}"
                self.record.write_errors.append(text)
                _log.error(text)
        return self.folder

    def _wind_up(self) -> None:
        for user_class in self._users:
            self.record.queries += user_class.wind_up(self.session)
        self.record.notes += self.session.notes[self._noted :]

    def _complete_record(self, ended: float) -> None:
        record = self.record
        if record.ending is Ending.RUNNING:
            record.ending = Ending.COMPLETED
        record.ended_s = ended
        record.notes += [f"precondition failed: {p.name}: {p.found}" for p in record.preconditions if not p.held]
        record.phases = self.load.phases(self._stopped_at)
        record.processes = self.load.processes()
        if self.journal.lost:
            self.record.write_errors.append(f"{self.journal.lost} events could not be written")
        record.save(self.folder)

    def _watch_what_stays(self) -> None:
        """Leave the monitor the time to read the target after its users have gone, when the plan asks for it."""
        plan = self._options.plan
        if any(criterion.metric == "connections_left" for criterion in plan.criteria):
            gevent.sleep(_READINGS_AFTER * plan.monitors.interval + _REST_S)

    def _stop_children(self) -> None:
        for child in reversed(self._children):
            child.stop()

    def _judge(self) -> None:
        """Ask the plan's judge, now that nothing is measured any more."""
        judge = self._options.plan.judge
        if judge is not None and self.record.ending is Ending.COMPLETED:
            judging.ask(judge, self.load.answers(), self.recorder.clean).write(self.folder)

    def _save_locust_statistics(self) -> None:
        """Keep Locust's own tables beside the report, for those who compare."""
        tables = stats.StatsCSV(self._environment, stats.PERCENTILES_TO_REPORT)
        for name, write in (("stats", tables.requests_csv), ("failures", tables.failures_csv)):
            path = self.folder / "report" / f"locust_{name}.csv"
            with contextlib.suppress(ZeroDivisionError), path.open("w", encoding="utf-8", newline="") as file:
                write(csv.writer(file))
