"""One run in a worker: the load that the master gives it, and what becomes of it sent back."""

import json
import logging
import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import gevent
import gevent.event
import pyarrow as pa
from locust import User
from locust.env import Environment
from locust.runners import WorkerRunner

from execution.distributed.clocks import Comparison
from execution.distributed.messages import Assign, Counts, FromWorker, Lease, Leaving, Prepare, Pulse, Sent
from execution.load import OwnLoad
from execution.storage import Storage
from plans.run import ProcessRecord
from plans.schema import Plan
from samples.channel import Outbox, Parcel, ParcelKind
from samples.recorder import Recorder
from samples.segments import pack
from scenarios.base import LoadUser
from scenarios.brought import BroughtUser
from shapes.arrivals import schedule

_log = logging.getLogger("proofload")
_PULSE_S, _PUMP_S, _POOL_S = 0.5, 0.1, 0.5
_MOST_AT_ONCE = 200
"""Users that are spawned without giving way to the others."""
_TEST_START_S = 10.0
_FAREWELL_S = 10.0
_HAND_OVER_S = 60.0
"""How long a worker tries to bring its last parcels to the master."""
_NOTICE_S = 1.0
"""So long before it stops a worker says that it will, for others to take over in time."""


class _Sender:
    """Puts batches of one kind into the outbox."""

    def __init__(self, outbox: Outbox, kind: ParcelKind, settled: Callable[[], float]) -> None:
        self.name, self._outbox, self._kind, self._settled = f"{kind} for the master", outbox, kind, settled

    def write(self, batch: pa.RecordBatch) -> None:
        self._outbox.put(self._kind, pack(batch), batch.num_rows, settled_s=self._settled())


class Shift:
    """The part that a worker has in one run."""

    def __init__(
        self,
        environment: Environment,
        name: str,
        order: Prepare,
        plan: Plan,
        users: list[type[User]],
        send: Callable[[FromWorker], None],
        clock: Comparison,
    ) -> None:
        """Get the user classes ready; `clock` compares the master's with this one."""
        assert isinstance(environment.runner, WorkerRunner)
        self.run, self._environment, self._runner, self._plan, self._send = (
            order.run, environment, environment.runner, plan, send,
        )  # fmt: skip
        self._users = [user for user in users if issubclass(user, LoadUser)]
        self._scratch = tempfile.TemporaryDirectory(prefix="proofload-")
        folder = Path(self._scratch.name)
        self._outbox = Outbox(self._send_parcel, folder / "spool")
        self._schedule = schedule(plan, order.seed)
        self._clock, self._later = clock, Comparison()
        self.load = OwnLoad(
            environment,
            plan,
            order.seed,
            self._schedule.rows(slice(0, 0)),
            users,
            folder,
            self._storage,
            worker=name,
            place=order.place,
            places=order.places,
        )
        session = self.load.session
        session.host, session.leads = order.host, False
        session.unloaded.update(order.answers)
        self.test_started = gevent.event.Event()
        self.over = gevent.event.Event()
        """Set when the master has everything, or cannot be reached any more."""
        self._ending = self._abandoned = self._leaving = False
        self._pool_keeper: gevent.Greenlet | None = None
        self._greenlets: list[gevent.Greenlet] = []
        LoadUser.session = BroughtUser.proofload_session = session
        for user in self._users:
            user.prepare(session)
        for user in self._users:
            user.warm_up(session)

    def _storage(self, recorder: Recorder, process: ProcessRecord) -> Storage:
        samples = _Sender(self._outbox, ParcelKind.SAMPLES, lambda: self.load.dispatcher.settled)
        readings = _Sender(self._outbox, ParcelKind.READINGS, lambda: 0.0)
        return Storage(recorder, process, lambda batch, now: None, samples, readings)

    def _send_parcel(self, parcel: Parcel) -> None:
        self._send(Sent(self.run, parcel))

    # -- what the master says -------------------------------------------------------------------------------

    def begin(self, origin: float) -> None:
        """Make load from the master's time `origin` on."""
        self.load.clock.origin = origin - self._clock.offset_s
        self.load.dispatcher.stand_up()
        self._pool_keeper = gevent.spawn(self._keep_pool)
        self._greenlets = [gevent.spawn(work) for work in (self._beat, self._pump, self._conduct)]

    def assign(self, order: Assign) -> None:
        """Make further arrivals, and sit elsewhere."""
        dispatcher = self.load.dispatcher
        dispatcher.lapsed()
        if order.lapses != dispatcher.lapses:
            return  # said before the lease ran out and heard after it, on a network that held it back: others took over
        for part in order.parts:
            dispatcher.hand_over(part.of(self._schedule))
        dispatcher.sit(order.seat)

    def leased(self, lease: Lease) -> None:
        """The master has heard this worker, and lets it go on."""
        self._later.take(lease.asked, lease.master, monotonic())
        self.load.dispatcher.lapsed()  # a lease that has ended is not renewed: others have taken over
        self.load.dispatcher.lease_until = lease.until_s

    def received(self, below: int) -> None:
        """The master has the parcels below this number."""
        self._outbox.acknowledge(below, monotonic())

    def stop(self, at_s: float, *, drop: bool) -> None:
        """Begin nothing from this moment on; `drop` what waits for a user."""
        dispatcher = self.load.dispatcher
        (dispatcher.stop if drop else dispatcher.end)(at_s)

    # -- under way ------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        load = self.load
        while True:
            lapses = load.dispatcher.lapses
            self._tell(
                Pulse(self.run, lapses, load.offered, load.in_flight, load.waiting, load.users, asked=monotonic())
            )
            gevent.sleep(_PULSE_S)

    def _tell(self, message: FromWorker) -> None:
        try:
            self._send(message)
        except OSError as error:
            _log.debug("the master cannot be told: %s", error)

    def _pump(self) -> None:
        while True:
            self._outbox.pump(monotonic())
            gevent.sleep(_PUMP_S)

    def _keep_pool(self) -> None:
        """Run as many users as this worker's arrivals need, from Locust's own begin of the test on."""
        self.test_started.wait(_TEST_START_S)
        present: dict[str, int] = {}
        while True:
            wanted = self._wanted()
            while present != wanted:
                present = {name: min(count, present.get(name, 0) + _MOST_AT_ONCE) for name, count in wanted.items()}
                self._runner.start_worker(present)
                gevent.sleep(0)
            gevent.sleep(_POOL_S)

    def _wanted(self) -> dict[str, int]:
        """Return how many users of each class there must be here now."""
        now, dispatcher = max(self.load.clock(), 0.0), self.load.dispatcher
        arriving = self._plan.mix.arriving()
        whole, total = sum(options.share for options in arriving.values()), dispatcher.users_wanted(now)
        wanted = {name: math.ceil(total * options.share / whole) for name, options in arriving.items()}
        if (connections := self._plan.mix.WebSocketUser) is not None:
            seat = dispatcher.seat(now)
            wanted["WebSocketUser"] = seat.share(connections.connections) if seat else 0
        return wanted

    def _conduct(self) -> None:
        try:
            self.load.run()
        except Exception:
            _log.exception("the load could not go on")
            self.load.process.write_errors.append("the load could not go on: see the worker's log")
        self.end()

    # -- end ------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Stop the users, and bring everything to the master; the second call does nothing."""
        if self._ending:
            return
        self._ending = True
        if self._pool_keeper is None:
            self.close()  # the load never began
        else:
            gevent.spawn(self._finish)

    def leave(self) -> None:
        """End while the run goes on: others take over, and what is in flight is waited for as at the end of the run."""
        if self._ending or self._pool_keeper is None:
            self.end()
            return
        self._leaving = True
        at_s = self.load.clock() + _NOTICE_S
        self._tell(Leaving(self.run, at_s))
        self.load.dispatcher.end(at_s)

    def abandon(self) -> None:
        """End without the master, which is gone: there is nobody to bring anything to."""
        self._abandoned = True
        self.end()

    def _finish(self) -> None:
        try:
            self.load.dispatcher.end()
            gevent.kill(self._pool_keeper)
            self._runner.stop()
            if not self._runner.user_greenlets.join(_FAREWELL_S):
                self._runner.user_greenlets.kill(timeout=1)
            steps: list[Callable[[], None]] = [*self.load.closing(), self._wind_up, self._send_answers]
            for step in steps:
                try:
                    step()
                except Exception as error:
                    self.load.process.write_errors.append(f"cannot end the load: {error}")
                    _log.exception("cannot end the load")
            self._runner._send_stats()  # Locust's own figures, as it sends them before it quits
            self._put(ParcelKind.END, json.dumps(asdict(self._counts())).encode())
            deadline = monotonic() + _HAND_OVER_S
            while self._outbox.waiting and monotonic() < deadline and not self._abandoned:
                gevent.sleep(_PUMP_S)
        finally:
            self.close()

    def _wind_up(self) -> None:
        if self._leaving:
            self.load.session.left_over = []
        for user in self._users:
            user.wind_up(self.load.session)

    def _send_answers(self) -> None:
        for file in self.load.session.folder.glob("answers-*.json"):
            self._put(ParcelKind.FILE, file.read_bytes(), file.name)

    def _put(self, kind: ParcelKind, data: bytes, name: str = "") -> None:
        self._outbox.put(kind, data, name=name, settled_s=self.load.clock())

    def _counts(self) -> Counts:
        load, process = self.load, self.load.process
        stopped = load.dispatcher.stopped_at
        scheduled = {span.name: load.dispatcher.scheduled(span.name) for span in self._schedule.spans}
        return Counts(
            begun=process.begun,
            recorded=process.recorded,
            written=process.written,
            write_errors=process.write_errors,
            scheduled={phase: counts for phase, counts in scheduled.items() if counts},
            stopped_s=stopped if stopped < self._schedule.spans[-1].end else None,
            lapses=load.dispatcher.lapses,
            notes=load.session.notes,
            left_over=load.session.left_over or [],
            offset_s=self._clock.offset_s,
            uncertainty_s=self._clock.uncertainty_s,
            drift_s=self._later.offset_s - self._clock.offset_s if self._later.trips else 0.0,
        )

    def close(self) -> None:
        """Let go of everything."""
        self._ending = True
        gevent.killall(self._greenlets, block=False)
        self._outbox.close()
        self._scratch.cleanup()
        self.over.set()
