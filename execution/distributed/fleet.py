"""The load of a run that workers make: the master's side of it."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import gevent
import gevent.event
import pyarrow as pa
from locust.env import Environment

from execution.children import StartError
from execution.distributed import identity, lookout, losses
from execution.distributed.intake import Intake
from execution.distributed.losses import ByPhase
from execution.distributed.messages import (
    Assign,
    Begin,
    FromWorker,
    Hello,
    Lease,
    Leaving,
    Prepare,
    Pulse,
    Ready,
    Received,
    Sent,
    Settle,
    Stop,
)
from execution.distributed.roster import Member, Order, Roster
from execution.distributed.workers import Known, Workers
from execution.load import phase_records
from plans.run import PhaseRecord, ProcessRecord
from plans.schema import Plan
from samples.answers import KeptAnswer, read_answers
from samples.channel import Parcel, ParcelKind
from samples.journal import Event, EventKind, Journal
from shapes.arrivals import Schedule
from shapes.stripes import counted

_log = logging.getLogger("proofload")
_LOOK_S = 0.1
_GATHER_S = 30.0
"""How long the expected workers may take to be there, from the begin of a run on."""
_READY_S = 90.0
_LEAD_S, _LEAD_PER_USER_S = 1.5, 0.0005
_SETTLE_S = 30.0
_CLEANED_S = 20.0
"""How long it may take to remove what workers that left before the end have made on the server."""
_LONGEST_END_S = 120.0
"""What workers that are heard of may take, beyond the plan's drain, to stop their users and clean up."""


@dataclass(slots=True)
class _Crew:
    """One worker in this run, as it was last heard."""

    known: Known
    ready: Ready | None = None
    pulse: Pulse | None = None


def _heirs(orders: Sequence[Order]) -> str:
    return ", ".join(order.name for order in orders) or "nobody: no worker is left"


class Fleet:
    """The workers of a master, in one run."""

    def __init__(
        self,
        environment: Environment,
        workers: Workers,
        plan: Plan,
        seed: int,
        schedule: Schedule,
        folder: Path,
        journal: Journal,
        digest: Callable[[pa.RecordBatch, float], None],
    ) -> None:
        """Nothing is told to the workers yet."""
        self._workers, self._plan, self._seed, self._schedule = workers, plan, seed, schedule
        self._expected = int(getattr(environment.parsed_options, "expect_workers", 1) or 1)
        self._folder, self._journal = folder, journal
        self.session = lookout.session(plan, seed, schedule, folder)
        self.clock = self.session.clock
        self._roster = Roster(schedule.spans)
        self._intake = Intake(folder, lambda batch: digest(batch, self.clock()), self._on_kept)
        self._crew: dict[str, _Crew] = {}
        self._stop_at = math.inf
        self._running = False
        self._changed = gevent.event.Event()

    # -- what watchers see ----------------------------------------------------------------------------------

    def _sum(self, figure: Callable[[Pulse], int]) -> int:
        return sum(figure(crew.pulse) for crew in self._crew.values() if crew.pulse is not None)

    @property
    def offered(self) -> int:
        """Arrivals and iterations that have come due in the workers, as last heard."""
        return self._sum(lambda pulse: pulse.offered)

    def _now(self, figure: Callable[[Pulse], int]) -> int:
        present = {member.name for member in self._roster.present}
        return sum(
            figure(crew.pulse) for name, crew in self._crew.items() if crew.pulse is not None and name in present
        )

    @property
    def in_flight(self) -> int:
        """Arrivals that users of the workers have taken and not finished."""
        return self._now(lambda pulse: pulse.in_flight)

    @property
    def waiting(self) -> int:
        """Arrivals that wait for a free user."""
        return self._now(lambda pulse: pulse.waiting)

    @property
    def users(self) -> int:
        """Users in all workers."""
        return self._now(lambda pulse: pulse.users)

    @property
    def settled_s(self) -> float:
        """Seconds from the origin; whatever was due before is on disk."""
        present = [self._intake.desk(member.name).settled_s for member in self._roster.present]
        return min([self.clock(), *present])

    # -- before the load ------------------------------------------------------------------------------------

    def get_ready(self) -> None:
        """Send the plan to every worker, and wait until they are ready. Raises StartError."""
        self._workers.hears = self._hear
        deadline = monotonic() + _GATHER_S
        while len(self._workers.present()) < self._expected and monotonic() < deadline:
            gevent.sleep(_LOOK_S)
        present = self._workers.present()
        if len(present) < self._expected:
            raise StartError(f"{len(present)} of {self._expected} workers are there")
        for place, known in enumerate(present):
            self._prepare(known, place, len(present))
        deadline = monotonic() + _READY_S
        while any(crew.ready is None for crew in self._crew.values()) and not self._gone() and monotonic() < deadline:
            self._changed.wait(_LOOK_S)
            self._changed.clear()
        for name, crew in self._crew.items():
            called = f"worker {name} ({crew.known.machine})"
            if name in self._gone():
                raise StartError(f"{called} has gone while the run was prepared")
            if crew.ready is None or crew.ready.problems:
                why = "; ".join(crew.ready.problems) if crew.ready else f"no answer within {_READY_S:g} s"
                raise StartError(f"{called} cannot take part: {why}")

    def _gone(self) -> set[str]:
        """Return the names of those that were to take part, and have ended."""
        return {name for name, crew in self._crew.items() if self._workers.has_gone(crew.known)}

    def _prepare(self, known: Known, place: int, places: int) -> None:
        self._crew[known.name] = _Crew(known)
        session, plan = self.session, self._plan
        order = Prepare(
            self._folder.name,
            identity.revealed(plan),
            session.host,
            self._seed,
            place,
            places,
            identity.files_of(plan),
            identity.variables_of(plan),
            session.unloaded,
        )
        self._workers.tell(known, order)

    def lead_s(self) -> float:
        """Return how long the workers take to spawn their users."""
        users = self.session.dispatcher.users_wanted(0.0) if self._schedule.names else 0
        return _LEAD_S + _LEAD_PER_USER_S * users / max(len(self._crew), 1)

    def users_wanted(self) -> int:
        """Return 0: Locust runs no users for this process, and distributes none."""
        return 0

    # -- what the workers say -------------------------------------------------------------------------------

    def _hear(self, known: Known, message: FromWorker) -> None:
        """Runs in the greenlet that hears all workers: nothing in here may wait."""
        if isinstance(message, Hello):
            if self._running and self._stop_at == math.inf:
                self._prepare(known, len(self._crew), len(self._crew) + 1)
            return
        crew = self._crew.get(known.name)
        if crew is None or getattr(message, "run", "") != self._folder.name:
            return
        match message:
            case Ready():
                self._on_ready(crew, message)
            case Pulse():
                self._on_pulse(crew, message)
            case Leaving(_, at_s):
                self._on_leaving(known.name, at_s)
            case Sent():
                self._intake.put(known.name, message.parcel)
        self._changed.set()

    def _on_ready(self, crew: _Crew, ready: Ready) -> None:
        crew.ready = ready
        if not self._running:
            return
        called = f"worker {crew.known.name} ({crew.known.machine})"
        if ready.problems:
            self._note(f"{called} cannot take part: {'; '.join(ready.problems)}")
        else:
            self._begin(crew)
            self._note(f"{called} has joined; it takes load from the next phase")

    def _on_leaving(self, name: str, at_s: float) -> None:
        if name in self._roster.members and self._stop_at == math.inf:
            orders = self._roster.leave(self._roster.members[name], at_s, self.clock())
            self._note(f"worker {name} leaves: from {at_s:.1f} s on its arrivals are made by {_heirs(orders)}")
            self._send(orders)

    def _on_pulse(self, crew: _Crew, pulse: Pulse) -> None:
        name, now = crew.known.name, self.clock()
        crew.pulse = pulse
        if name not in self._roster.members:
            return
        was_present = self._roster.members[name].present
        until, orders = self._roster.heard(name, pulse.lapses, now)
        if until is not None:
            self._workers.tell(crew.known, Lease(pulse.run, until, pulse.asked, monotonic()))
            if not was_present:
                self._note(f"worker {name} is heard of again; it takes load from the next phase")
        self._send(orders)

    def _on_kept(self, worker: str, parcel: Parcel, expected: int) -> None:
        crew = self._crew[worker]
        self._workers.tell(crew.known, Received(self._folder.name, expected))
        counts = self._intake.desk(worker).counts
        member = self._roster.members.get(worker)
        if parcel.kind is ParcelKind.END and counts is not None and member is not None and not member.ended:
            now = self.clock()
            early = counts.stopped_s is not None and self._stop_at == math.inf
            if early and member.left_s == math.inf:
                self._note(f"worker {worker} has ended before its time")
            orders = self._roster.end(member, counts.stopped_s if early else None, now)
            if counts.stopped_s is not None:
                member.stopped_s = counts.stopped_s
            self._send(orders)
        self._changed.set()

    def _send(self, orders: Sequence[Order]) -> None:
        for order in orders:
            lapses = self._roster.members[order.name].lapses
            self._workers.tell(self._crew[order.name].known, Assign(self._folder.name, order.parts, order.seat, lapses))

    def _note(self, text: str) -> None:
        _log.warning(text)
        self.session.notes.append(text)
        event = Event(self.clock(), EventKind.WORKER, text)
        gevent.spawn(lambda: gevent.get_hub().threadpool.apply(self._journal.add, (event,)))  # it waits for the disk

    # -- under way ------------------------------------------------------------------------------------------

    def _begin(self, crew: _Crew) -> None:
        self._roster.admit(crew.known.name, self.clock())
        self._workers.tell(crew.known, Begin(self._folder.name, self.clock.origin))

    def begin(self) -> None:
        """Tell the workers of the origin, and give them the first phase."""
        self._running = True
        for crew in self._crew.values():
            self._begin(crew)
        # Now, not a second ahead of it: until a worker knows its share it has no users for the first arrivals.
        self._send(self._roster.divide(max(self.clock(), 0.0)))

    def run(self) -> None:
        """Divide each phase among those who are there, and see who is lost; returns when all have ended."""
        gevent.sleep(max(-self.clock(), 0))
        self.session.started.set()
        end = self._schedule.spans[-1].end
        while self.clock() < min(end, self._stop_at):
            self._look_after()
            gevent.sleep(_LOOK_S)
        self.session.stopping.set()
        self._await_ends(self._plan.pool.drain + _LONGEST_END_S)

    def _look_after(self) -> None:
        now = self.clock()
        for member in self._roster.missing(now):
            orders = self._roster.lose(member, now)
            self._note(
                f"worker {member.name} is lost: not heard of since {member.heard_s:.1f} s; "
                f"from {member.gone_s:.1f} s on its arrivals are made by {_heirs(orders)}"
            )
            self._send(orders)
        if self._stop_at == math.inf:
            self._send(self._roster.divide(now))

    def _await_ends(self, within: float) -> None:
        deadline = monotonic() + within
        while self._roster.present and monotonic() < deadline:
            self._look_after()
            self._changed.wait(_LOOK_S)
            self._changed.clear()

    def stop(self) -> None:
        """Let no further arrival come due in any worker, and drop what waits for a user."""
        self._stop(drop=True)

    def end(self) -> None:
        """Let no further arrival come due in any worker; what waits finds its user."""
        self._stop(drop=False)

    def _stop(self, *, drop: bool) -> None:
        self._stop_at = min(self._stop_at, self.clock())
        for member in self._roster.present:
            self._workers.tell(self._crew[member.name].known, Stop(self._folder.name, self._stop_at, drop))

    def settle(self) -> None:
        """Have all workers stop their users, and wait for what they have."""
        for member in self._roster.present:
            self._workers.tell(self._crew[member.name].known, Settle(self._folder.name))
        self._await_ends(_SETTLE_S)

    # -- end ------------------------------------------------------------------------------------------------

    def closing(self) -> Sequence[Callable[[], None]]:
        """Return the last steps: what comes from now on is too late."""
        self._running = False
        self._workers.hears = None
        return [self._intake.close, self._tell_losses, self._tell_notes, self._remove_left_over]

    def _tell_losses(self) -> None:
        for member in self._roster.members.values():
            if lost := sum(map(sum, map(dict.values, self._missing_of(member).values()))):
                self._note(f"{lost} arrivals were lost with worker {member.name}")
            if excess := losses.beyond(member, self._made(member), self._schedule):
                self._intake.desk(member.name).errors.append(f"{excess} arrivals were made beside its own")

    def _tell_notes(self) -> None:
        self.session.notes += self._intake.notes(self.session.notes)

    def _remove_left_over(self) -> None:
        paths = self._intake.left_over()
        if paths and (left := self.session.remove(paths, _CLEANED_S)):
            self._note(f"{left} of {len(paths)} things that workers made and left behind could not be removed")

    def _made(self, member: Member) -> ByPhase:
        """Return what came due in a worker: by its own word, or as far as its samples tell."""
        desk = self._intake.desk(member.name)
        return desk.counts.scheduled if desk.counts is not None else desk.iterations

    def _missing_of(self, member: Member) -> ByPhase:
        return losses.missing(member, self._made(member), self._schedule, self._stop_at)

    def phases(self, stopped_at: float) -> list[PhaseRecord]:
        """Return the phases as they really ran: what the workers made, and what was lost with some."""
        members = list(self._roster.members.values())
        parts = (*self._roster.unowned, *self._roster.undivided())
        nobody = counted([part.ended(min(self._stop_at, stopped_at)) for part in parts], self._schedule)
        made, lost = losses.total(map(self._made, members)), losses.total([nobody, *map(self._missing_of, members)])
        records = phase_records(self._schedule.spans, lambda phase: made.get(phase, {}), stopped_at)
        for record in records:
            record.lost = lost.get(record.name, {})
        return records

    def processes(self) -> list[ProcessRecord]:
        """Return the record of each worker that took part; of one that is lost what came of it."""
        return [self._record(crew) for name, crew in self._crew.items() if name in self._roster.members]

    def _record(self, crew: _Crew) -> ProcessRecord:
        desk = self._intake.desk(crew.known.name)
        member, counts = self._roster.members.get(crew.known.name), desk.counts
        record = ProcessRecord(worker=crew.known.name, pid=crew.known.pid, machine=crew.known.machine)
        record.recorded = record.written = desk.rows
        record.write_errors = list(desk.errors)
        if member is not None:
            record.joined_s, record.away = member.joined_s, member.away
            record.left_s = member.left_s if member.left_s < math.inf else None
        if counts is not None:
            record.begun, record.recorded, record.written = counts.begun, counts.recorded, counts.written
            record.write_errors += counts.write_errors
            record.clock_offset_s, record.clock_uncertainty_s = counts.offset_s, counts.uncertainty_s
            record.clock_drift_s = counts.drift_s
        return record

    def answers(self) -> Sequence[KeptAnswer]:
        """Return the samples of the answers that the workers sent."""
        return read_answers(self._folder, "sample")
