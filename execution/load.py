"""The load of a run: what makes it in one process, and what a run must know of whatever makes it."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

import gevent
from locust import User
from locust.env import Environment

from execution import judging
from execution.storage import Storage
from monitoring.generator import GeneratorHealth
from plans.run import PhaseRecord, ProcessRecord, derive_seed
from plans.schema import Plan
from samples.answers import KeptAnswer
from samples.live import LocustStatistics
from samples.recorder import Recorder
from samples.sample import Outcome, Sample
from samples.sample import Protocol as Spoken
from scenarios.base import ArrivingUser
from scenarios.brought import BroughtUser
from scenarios.dispatcher import RUN_STOPPED, Arrival, Dispatcher
from scenarios.session import Clock, Session, secrets_of
from shapes.arrivals import PhaseSpan, Schedule

OWN = "0"
"""Name of the process that makes the load of a run alone."""
_LAST_READING_S = 0.5
"""How long the generator's last reading of itself may take."""
_COLLECT_EVERY = 100_000
_COLLECTED_S = 0.3
"""So long before the origin the collector is run, for it to be done by then on a busy machine, too."""
_SWITCH_S = 0.0005
"""How long the thread that writes samples may keep the interpreter from the event loop; Python's own 5 ms would show
in the times."""


class Traffic(Protocol):
    """What those who watch a run see of its load, wherever it is made."""

    @property
    def offered(self) -> int:
        """Arrivals and iterations that have come due."""

    @property
    def in_flight(self) -> int:
        """Arrivals that a user has taken and not finished."""

    @property
    def waiting(self) -> int:
        """Arrivals that are due and wait for a free user."""

    @property
    def users(self) -> int:
        """Users, those who hold connections included."""

    @property
    def settled_s(self) -> float:
        """Seconds from the origin; whatever was due before is on disk, as far as the disk takes it."""


class Load(Traffic, Protocol):
    """What makes the load of a run: this process, or workers."""

    session: Session
    """The run as this process sees it."""

    def get_ready(self) -> None:
        """Prepare everything that the server under test must be there for. Raises StartError."""

    def lead_s(self) -> float:
        """Return how long it takes from the end of the preparation until load can be made, seconds."""

    def users_wanted(self) -> int:
        """Return how many users Locust is to run in this process."""

    def begin(self) -> None:
        """The run's origin is fixed from here on, and lies a lead ahead."""

    def run(self) -> None:
        """Make the load from the run's origin on; returns when nothing is in flight, or the deadline for it is past."""

    def stop(self) -> None:
        """Let no further arrival come due; what is in flight goes on."""

    def end(self) -> None:
        """Let no further arrival come due, as at the end of the plan: what waits for a user finds one."""

    def settle(self) -> None:
        """Wait for those who make load elsewhere: they stop their users, and send what they have."""

    def closing(self) -> Sequence[Callable[[], None]]:
        """Return what is to be done after the users have stopped, each step whatever became of the one before."""

    def phases(self, stopped_at: float) -> list[PhaseRecord]:
        """Return the phases as they really ran; the run was stopped at this moment, infinity when it was not."""

    def processes(self) -> list[ProcessRecord]:
        """Return the record of each process that made load."""

    def answers(self) -> Sequence[KeptAnswer]:
        """Return a fair sample of the answers, for a judge."""


def phase_records(
    spans: Sequence[PhaseSpan], scheduled: Callable[[str], dict[str, int]], stopped_at: float
) -> list[PhaseRecord]:
    """Return the phases as they really ran; a run that was stopped ends the phase it was in."""
    return [
        PhaseRecord(
            name=span.name,
            start_s=span.start,
            end_s=max(min(span.end, stopped_at), span.start),
            closed=span.closed,
            reached=span.start < stopped_at,
            scheduled=scheduled(span.name),
        )
        for span in spans
    ]


def _spoken(user: type[User]) -> Spoken:
    if issubclass(user, BroughtUser):
        return user.proofload_protocol
    return user.protocol if issubclass(user, ArrivingUser) else Spoken.WEBSOCKET


class OwnLoad:
    """The load that this process makes."""

    def __init__(
        self,
        environment: Environment,
        plan: Plan,
        seed: int,
        schedule: Schedule,
        users: Sequence[type[User]],
        folder: Path,
        storage: Callable[[Recorder, ProcessRecord], Storage],
        worker: str = OWN,
        place: int = 0,
        places: int = 1,
    ) -> None:
        """`schedule` holds the arrivals of this process, which is at `place` of `places` that make the load.

        `storage` makes what takes its samples.
        """
        self._environment, self._plan, self._schedule, self._worker = environment, plan, schedule, worker
        self._spoken = {user.__name__: _spoken(user) for user in users}
        self.clock = Clock()
        self.recorder = Recorder(worker, self.clock, (*secrets_of(plan), *judging.secrets_of(plan)))
        self.recorder.announcers.append(LocustStatistics(environment))
        self.process = ProcessRecord(worker=worker, pid=os.getpid())
        self._health = GeneratorHealth(self.clock, gevent.sleep, gauges=self._gauges, worker=worker)
        self._watcher: gevent.Greenlet | None = None
        self.storage = storage(self.recorder, self.process)
        self.dispatcher = Dispatcher(
            schedule,
            shares={name: arriving.share for name, arriving in plan.mix.arriving().items()},
            thinks={phase.name: phase.think for phase in plan.phases},
            pool=plan.pool,
            clock=self.clock,
            drop=self._drop,
            random=Random(derive_seed(seed, "think", place)),
        )
        self.storage.settled = lambda: self.dispatcher.settled
        firsts = {span.name: first for span, first in zip(schedule.spans, schedule.firsts, strict=True)}
        self.session = Session(
            plan,
            plan.target.host,
            seed,
            place,
            self.clock,
            self.recorder,
            self.dispatcher,
            folder,
            firsts,
            places=places,
        )

    # -- what watchers see ----------------------------------------------------------------------------------

    @property
    def offered(self) -> int:
        """Arrivals and iterations that have come due."""
        return self.dispatcher.offered

    @property
    def in_flight(self) -> int:
        """Arrivals that a user has taken and not finished."""
        return self.dispatcher.in_flight

    @property
    def waiting(self) -> int:
        """Arrivals that are due and wait for a free user."""
        return self.dispatcher.waiting

    @property
    def users(self) -> int:
        """Users that there are now."""
        runner = self._environment.runner
        return runner.user_count if runner else 0

    @property
    def settled_s(self) -> float:
        """Seconds from the origin; whatever was due before is on disk."""
        return self.storage.settled_s

    # -- under way ------------------------------------------------------------------------------------------

    def get_ready(self) -> None:
        """Whatever had to be prepared, the run has prepared in this process."""

    def lead_s(self) -> float:
        """Return how long it takes to spawn the first users."""
        return 0.4 + 0.0005 * self.users_wanted()

    def users_wanted(self) -> int:
        """Return how many users this process needs now, held connections included."""
        connections = self._plan.mix.WebSocketUser
        pool = self.dispatcher.users_wanted(max(self.clock(), 0.0)) if self._schedule.names else 0
        return pool + (connections.connections if connections else 0)

    def begin(self) -> None:
        """There is nobody to be told of the origin."""

    def run(self) -> None:
        """Make the load from the run's origin on; returns when it is drained."""
        gevent.sleep(max(-self.clock() - _COLLECTED_S, 0))
        # Nothing that exists now will be garbage before the end: the collector need not walk it again, which
        # would stop the event loop for tens of milliseconds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_EVERY, 50, 100)
        sys.setswitchinterval(_SWITCH_S)
        gevent.sleep(max(-self.clock(), 0))
        self.session.started.set()
        self.storage.start()
        self._watcher = gevent.spawn(self._watch_generator)
        self.dispatcher.run()
        self._drain()

    def _gauges(self) -> dict[str, float]:
        return {"users": float(self.users), "in_flight": float(self.in_flight)}

    def _watch_generator(self) -> None:
        for readings in self._health.watch():
            self.storage.add_readings(readings)

    def _drain(self) -> None:
        """Wait for what is in flight, up to the plan's deadline."""
        deadline = self.clock() + self._plan.pool.drain
        self.session.stopping.set()
        while (self.in_flight or self.waiting) and self.clock() < deadline:
            gevent.sleep(0.02)
        self.dispatcher.give_up_waiting("before the drain deadline")

    def _drop(self, arrival: Arrival, reason: str) -> None:
        now = self.clock()
        self.recorder.add(
            Sample(
                due_s=arrival.due,
                sent_s=None,
                done_s=now,
                outcome=Outcome.DROPPED,
                phase=arrival.phase,
                scenario=arrival.scenario,
                name="(not sent)",
                protocol=self._spoken[arrival.scenario],
                arrival=arrival.index,
                iteration=True,
                waited=True,
                error=reason,
            )
        )

    def stop(self) -> None:
        """Let no further arrival come due; what is in flight goes on."""
        self.dispatcher.stop()

    def end(self) -> None:
        """Let no further arrival come due; what is in flight, or waits for a user, goes on."""
        self.dispatcher.end()

    def settle(self) -> None:
        """Nobody makes load elsewhere."""

    # -- end ------------------------------------------------------------------------------------------------

    def closing(self) -> Sequence[Callable[[], None]]:
        """Return the steps that bring what is left to disk."""
        if self._watcher is not None:
            self._health.stop()
            self._watcher.join(_LAST_READING_S)
            self._watcher.kill()
        # A run that was stopped in mid-drain may have left arrivals that came due just before.
        self.dispatcher.drop_backlog(RUN_STOPPED)
        gc.unfreeze()  # not before: the next collection walks everything, and nothing may be in flight then
        return [self.storage.close, self._write_answers]

    def _write_answers(self) -> None:
        self.session.answers.write(self.session.folder, self._worker, self.recorder.clean)

    def phases(self, stopped_at: float) -> list[PhaseRecord]:
        """Return the phases as they really ran."""
        return phase_records(self._schedule.spans, self.dispatcher.scheduled, stopped_at)

    def processes(self) -> list[ProcessRecord]:
        """Return the record of this process."""
        return [self.process]

    def answers(self) -> Sequence[KeptAnswer]:
        """Return a fair sample of the answers."""
        return self.session.answers.sample()
