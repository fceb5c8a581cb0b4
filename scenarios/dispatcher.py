"""The dispatcher: hands each arrival to a free user at the moment it is due, and loses none.

An arrival that finds no free user waits in a backlog; the next user to be free takes it, late, and its latency
counts the wait. After the plan's `max_lag` it is dropped and recorded as such. In a closed phase the dispatcher
holds a number of slots instead: each slot begins an iteration, and the user that carries it thinks and goes on.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from random import Random

import gevent
from gevent.hub import Waiter

from plans.phases import Think
from plans.schema import Pool
from samples.sample import AT_MAXIMUM
from scenarios.alarm import Alarm, LoopAlarm, new_alarm
from scenarios.seat import Seat
from shapes.arrivals import PhaseSpan, Schedule

STILL_GROWING = "pool still growing"
OTHERS_IDLE = "the pool is at its maximum and most of it idle: raise pool.max_users for the smallest share"
RUN_STOPPED = "run stopped before it was sent"

_HOUSEKEEPING_S = 0.05
_HEADROOM_S = 2.0
"""Free users that the pool keeps ready, in seconds of arrivals: Locust adds users once a second."""


@dataclass(slots=True)
class Arrival:
    """A task iteration that is to begin at `due` seconds from the run's origin."""

    due: float
    scenario: str
    phase: str
    index: int | None = None
    waited: bool = False
    closed: bool = False
    accounted: bool = False
    """True once a sample stands for it."""
    turn: int = 0
    """The turn of the event loop in which an iteration of a closed phase began."""


@dataclass(slots=True, eq=False)
class _Free:
    """A user that waits for an arrival; found by identity, also among thousands."""

    waiter: Waiter
    arrival: Arrival | None = None


@dataclass(slots=True)
class _Class:
    """One scenario's share of the traffic in this process."""

    share: float
    free: list[_Free] = field(default_factory=list)
    backlog: deque[Arrival] = field(default_factory=deque)
    begun: dict[str, int] = field(default_factory=dict)
    """Arrivals and iterations that have come due, by phase."""
    open: dict[int, Arrival] = field(default_factory=dict)
    """What has come due and is not accounted for yet, by identity; the oldest first."""
    busy: int = 0
    slots: int = 0
    slots_wanted: int = 0
    """As the housekeeper last saw it: a rate is not worth computing at every iteration."""


class Dispatcher:
    """The arrivals of one process: those of `schedule`, and the parts of a larger one that it is handed later.

    `clock` gives seconds from the run's origin. `drop` records an arrival that was never sent, with the reason.
    """

    def __init__(
        self,
        schedule: Schedule,
        shares: dict[str, float],
        thinks: dict[str, Think],
        pool: Pool,
        clock: Callable[[], float],
        drop: Callable[[Arrival, str], None],
        random: Random,
    ) -> None:
        self._schedule, self._pool = schedule, pool
        self._clock, self._drop, self._random = clock, drop, random
        self._closed = {span.name: (span, thinks[span.name]) for span in schedule.spans if span.closed}
        total = sum(shares.values())
        self._classes = {name: _Class(share / total) for name, share in shares.items()}
        self._loop = gevent.get_hub().loop
        self._stop_at = math.inf
        self._next_due: dict[int, float] = {}
        """Of each part that is being made, by identity."""
        self._pool_size, self._most_users = 0, pool.max_users
        self._seats = [Seat(0.0, 0, 1)]
        self._parts: list[gevent.Greenlet] = []
        self.lease_until = math.inf
        """Nothing is begun from here on: others take over from a process that nobody has heard of for so long."""
        self.lapses = 0
        """How often the lease ran out."""
        self.offered = 0
        """Arrivals and iterations that have come due."""

    # -- what users call ------------------------------------------------------------------------------------

    def take(self, scenario: str, previous: Arrival | None) -> Arrival:
        """Block until the next arrival for a user of `scenario`, and return it at or after its due time.

        `previous` is what the user did last. A user of a closed phase keeps its slot, after its think time.
        """
        mine = self._classes[scenario]
        if previous is not None:
            mine.busy -= 1
            mine.open.pop(id(previous), None)
            if previous.closed and (arrival := self._next_in_slot(mine, previous)) is not None:
                mine.busy += 1
                return arrival
        if mine.backlog:
            self._expire(mine, self._clock())
        if mine.backlog:
            mine.busy += 1
            return mine.backlog.popleft()
        return self._wait_for_arrival(mine)

    def _wait_for_arrival(self, mine: _Class) -> Arrival:
        free = _Free(Waiter())
        mine.free.append(free)
        try:
            free.waiter.get()
        except BaseException:
            # Killed while waiting. An arrival may have been handed over in the same turn of the loop.
            if free.arrival is None:
                mine.free.remove(free)
            else:
                mine.busy -= 1
                self._give_up(mine, free.arrival, RUN_STOPPED)
            raise
        assert free.arrival is not None
        return free.arrival

    def _next_in_slot(self, mine: _Class, previous: Arrival) -> Arrival | None:
        span, think = self._closed[previous.phase]
        ready = self._clock()
        # Somebody who thinks past the end of the phase holds the slot up to it, and does not begin again.
        last = min(span.end, self._stop_at)
        try:
            if think.max > 0:
                ready += self._random.uniform(think.min, think.max)
                gevent.sleep(max(min(ready, last) - self._clock(), 0))
            elif self._loop.iteration == previous.turn:
                gevent.sleep(0)  # a task that waits for nothing must not keep the others from their turn
            if ready >= last:
                self._sleep_until(last, LoopAlarm())  # the loop's timer may be early
        except BaseException:
            mine.slots -= 1  # killed while thinking: another user may take the place
            raise
        now = max(self._clock(), ready)
        if now >= min(span.end, self._stop_at) or mine.slots > mine.slots_wanted:
            mine.slots -= 1
            return None
        return self._begin(mine, Arrival(now, previous.scenario, span.name, closed=True, turn=self._loop.iteration))

    def leave(self, scenario: str, last: Arrival) -> None:
        """A user ends after `last`, which it will not come back from: it holds neither a place nor a slot any more."""
        mine = self._classes[scenario]
        mine.busy -= 1
        mine.open.pop(id(last), None)
        mine.slots -= last.closed

    # -- what the conductor calls ---------------------------------------------------------------------------

    def run(self) -> None:
        """Hand over every arrival when it is due; returns after the last one, or when stopped."""
        housekeeper = gevent.spawn(self._keep_house)
        try:
            self._make(self._schedule, self.lapses)
            self._sleep_until(min(self._schedule.spans[-1].end, self._stop_at), LoopAlarm())
            gevent.joinall(self._parts)
        finally:
            housekeeper.kill()

    def hand_over(self, part: Schedule) -> None:
        """Make the arrivals of `part` too, each when it is due; one that is due already is late."""
        self._parts.append(gevent.spawn(self._make, part, self.lapses))

    def _make(self, part: Schedule, lapses: int) -> None:
        """Make a part, unless the lease runs out: there have been so many lapses when it was given."""
        names, spans = part.names, part.spans
        rows: Iterable[tuple[float, int, int, int]] = zip(
            part.times, part.phases, part.scenarios, part.indices, strict=True
        )
        with closing(new_alarm()) as alarm:
            for due, phase, scenario, index in rows:
                self._next_due[id(part)] = due
                self._sleep_until(due, alarm)
                if due >= self._stop_at or self.lapsed() or self.lapses != lapses:
                    break
                mine = self._classes[names[scenario]]
                self._offer(mine, Arrival(float(due), names[scenario], spans[phase].name, int(index)))
        self._next_due.pop(id(part), None)

    def sit(self, seat: Seat) -> None:
        """Take a share of the concurrent users and of the pool, from the seat's moment on."""
        self._seats.append(seat)

    def stand_up(self) -> None:
        """Have no share of the concurrent users until the next seat."""
        self._seats = []

    def seat(self, now: float) -> Seat | None:
        """Return the seat of this process; None when it has none, before it is given one and after its lease."""
        return next((seat for seat in reversed(self._seats) if seat.from_s <= now), None)

    def lapsed(self) -> bool:
        """Return True when the lease has just run out: all parts and the seat are given up, and others have them."""
        if self._clock() < self.lease_until:
            return False
        self.lease_until = math.inf
        self.lapses += 1
        self.stand_up()
        return True

    @property
    def stopped_at(self) -> float:
        """From when on nothing comes due any more; infinity when nobody stopped it."""
        return self._stop_at

    def end(self, at: float = 0.0) -> None:
        """Let no further arrival come due, from `at` on if that is to come; what is in flight goes on.

        What waits finds its user.
        """
        self._stop_at = min(self._stop_at, max(at, self._clock()))

    def stop(self, at: float = 0.0) -> None:
        """Let no further arrival come due, as `end` does it, and drop the backlog."""
        self.end(at)
        self.drop_backlog(RUN_STOPPED)

    def give_up_waiting(self, when: str) -> None:
        """Record every arrival that still waits as dropped for want of a user; `when` says at which deadline."""
        for mine in self._classes.values():
            self._give_up_all(mine, f"{self._shortage(mine)}: no user was free {when}")

    def drop_backlog(self, reason: str) -> None:
        """Record every arrival that still waits for a user as dropped."""
        for mine in self._classes.values():
            self._give_up_all(mine, reason)

    def _give_up_all(self, mine: _Class, reason: str) -> None:
        while mine.backlog:
            self._give_up(mine, mine.backlog.popleft(), reason)

    def _shortage(self, mine: _Class) -> str:
        """Return why no user is free: the plan allows no more, they are of other classes, or have not come up yet."""
        if self._pool_size < self._most_users:
            return STILL_GROWING
        idle = sum(len(other.free) for other in self._classes.values() if other is not mine)
        return OTHERS_IDLE if idle > mine.busy else AT_MAXIMUM

    @property
    def in_flight(self) -> int:
        """Arrivals that a user has taken and not finished."""
        return sum(mine.busy for mine in self._classes.values())

    @property
    def settled(self) -> float:
        """Seconds from the origin before which all that was due has been accounted for."""
        oldest = [next(iter(mine.open.values())).due for mine in self._classes.values() if mine.open]
        return min([self._clock(), *self._next_due.values(), *oldest])

    @property
    def waiting(self) -> int:
        """Arrivals that wait for a free user."""
        return sum(len(mine.backlog) for mine in self._classes.values())

    def scheduled(self, phase: str) -> dict[str, int]:
        """Return how many arrivals (open) or iterations (closed) have come due in a phase, by scenario."""
        return {name: mine.begun[phase] for name, mine in self._classes.items() if phase in mine.begun}

    def users_wanted(self, now: float) -> int:
        """Return how many users this process needs: never fewer than before, never more than the plan allows.

        Locust keeps the proportions of the classes, so the class that is shortest of users decides.
        """
        seat = self.seat(max(now, self._seats[0].from_s)) if self._seats else None
        if seat is None:
            return self._pool_size
        wanted, self._most_users = 0.0, math.ceil(self._pool.max_users / seat.of)
        for mine in self._classes.values():
            ahead = self._peak_ahead(now) * mine.share / seat.of
            slots = self._slots_ahead(now) * mine.share / seat.of
            need = mine.busy + len(mine.backlog) + ahead * _HEADROOM_S + slots
            if self._pool_size == 0:
                need = max(need, ahead * (self._pool.expected_latency + _HEADROOM_S))
            wanted = max(wanted, (need + 1) / mine.share)
        self._pool_size = max(self._pool_size, min(math.ceil(wanted), self._most_users))
        return self._pool_size

    # -- inside ---------------------------------------------------------------------------------------------

    def _begin(self, mine: _Class, arrival: Arrival) -> Arrival:
        mine.begun[arrival.phase] = mine.begun.get(arrival.phase, 0) + 1
        mine.open[id(arrival)] = arrival
        self.offered += 1
        return arrival

    def _offer(self, mine: _Class, arrival: Arrival) -> None:
        self._begin(mine, arrival)
        if mine.free:
            # The user that was last to finish: its connection is the least likely to have gone stale.
            free = mine.free.pop()
            free.arrival = arrival
            mine.busy += 1
            self._loop.run_callback(free.waiter.switch, None)
        else:
            arrival.waited = True
            mine.backlog.append(arrival)

    def _sleep_until(self, due: float, alarm: Alarm) -> None:
        early = alarm.early_s(min(due, self._stop_at) - self._clock())
        while (remaining := min(due, self._stop_at) - self._clock()) > 0:
            if remaining > early:
                alarm.sleep(min(remaining - early, _HOUSEKEEPING_S))
            else:
                gevent.sleep(0)

    def _keep_house(self) -> None:
        """Drop what has waited too long, and open the slots of closed phases."""
        while True:
            now = self._clock()
            self.lapsed()
            for mine in self._classes.values():
                self._expire(mine, now)
            for span, _ in self._closed.values():
                if span.start <= now < min(span.end, self._stop_at):
                    self._open_slots(span, now)
            gevent.sleep(_HOUSEKEEPING_S)

    def _expire(self, mine: _Class, now: float) -> None:
        while mine.backlog and mine.backlog[0].due + self._pool.max_lag < now:
            self._give_up(mine, mine.backlog.popleft(), self._shortage(mine))

    def _give_up(self, mine: _Class, arrival: Arrival, reason: str) -> None:
        if arrival.closed:
            mine.slots -= 1  # nobody carries it: it is to be opened again
        mine.open.pop(id(arrival), None)
        self._drop(arrival, reason)

    def _open_slots(self, span: PhaseSpan, now: float) -> None:
        seat, users = self.seat(now), round(span.pacer.rate(now - span.start))
        counted, before = 0.0, 0
        for name, mine in self._classes.items():
            # The users of all processes, one class after the other, rounded so that the classes add up to the whole.
            counted += users * mine.share
            after = math.floor(counted + 0.5)
            mine.slots_wanted = seat.share(after, before) if seat else 0
            before = after
            for _ in range(mine.slots_wanted - mine.slots):
                mine.slots += 1
                self._offer(mine, Arrival(now, name, span.name, closed=True, turn=self._loop.iteration))

    def _peak_ahead(self, now: float) -> float:
        """Return the highest rate within the headroom, arrivals/s in all processes."""
        return self._highest_ahead(now, closed=False)

    def _slots_ahead(self, now: float) -> float:
        return self._highest_ahead(now, closed=True)

    def _highest_ahead(self, now: float, *, closed: bool) -> float:
        moments = [now + _HEADROOM_S * step / 8 for step in range(9)]
        return max(
            (
                span.pacer.rate(t - span.start)
                for span in self._schedule.spans
                if span.closed is closed
                for t in moments
                if span.start <= t < span.end
            ),
            default=0.0,
        )
