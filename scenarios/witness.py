"""The witness of one user that was not written for Proofload: whatever it does, each request becomes one sample.

Locust's own clients tell of a request when it is over, and of one that was killed in flight never. So a request is
noted when it begins (`begin`), and its event, which may come when the user's own check is done, completes it. Events
of other code have no begin and are taken as they come.
"""

import sys
from dataclasses import dataclass

from gevent import GreenletExit

from samples.recorder import Failure
from samples.sample import Outcome, Protocol, Sample
from scenarios.base import NO_REQUEST, sample_for
from scenarios.dispatcher import RUN_STOPPED, Arrival
from scenarios.session import Session

_UNREPORTED = "the answer was never judged: catch_response needs a with-block that is left in order"
CUT = "still in flight when the run ended"


@dataclass(slots=True, eq=False)
class Pending:
    """A request that has begun and has not been reported yet."""

    witness: "Witness"
    sample: Sample
    returned: bool = False
    """True when the answer is there, and only the user's own judgement is missing."""
    told_late: bool = False
    """True when nothing was known of it before its event."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the event of a request says of it."""

    name: str
    size: int | None
    status: int | None


class Witness:
    """Takes one user's arrivals and records its requests: exactly one sample stands for each arrival.

    That is the first request of the iteration; when it was well and a later one failed, it is the failed one: an
    iteration is no better than what went wrong in it. So both are held back until the iteration ends.
    """

    def __init__(self, session: Session, scenario: str, protocol: Protocol) -> None:
        self.session, self._scenario, self._protocol = session, scenario, protocol
        self._arrival: Arrival | None = None
        self._pending: list[Pending] = []
        self._first: tuple[Sample, bool] | None = None
        self._failed: tuple[Sample, bool] | None = None

    # -- arrivals -------------------------------------------------------------------------------------------

    def take_arrival(self) -> None:
        """End the iteration and wait until the next arrival is due."""
        self._end_iteration(NO_REQUEST, Outcome.BAD_CONTENT)
        previous, self._arrival = self._arrival, None
        self._arrival = self.session.dispatcher.take(self._scenario, previous)

    @property
    def idle(self) -> bool:
        """True before the first arrival."""
        return self._arrival is None

    def leave(self) -> None:
        """The user ends: what is still in flight is cut, and its place is given back."""
        for pending in list(self._pending):
            self.end(pending, Outcome.CUT, CUT)
        self._end_iteration(RUN_STOPPED, Outcome.CUT)
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            self.session.dispatcher.leave(self._scenario, arrival)

    def _end_iteration(self, why: str, outcome: Outcome) -> None:
        for pending in [pending for pending in self._pending if pending.returned]:
            self.end(pending, Outcome.BAD_CONTENT, _UNREPORTED)
        if self._arrival is not None and not self._arrival.accounted:
            self._note("(no request)", outcome, why)
        first, failed = self._first, self._failed
        self._first = self._failed = None
        if first is not None and failed is not None and first[0].outcome is Outcome.OK:
            _give_place(first[0], failed[0])
        for sample, announced in filter(None, (first, failed)):
            self.session.recorder.finish(sample, announced=announced)

    # -- requests -------------------------------------------------------------------------------------------

    def begin(self, name: str) -> Pending:
        """Note that a request begins now."""
        self.session.recorder.begun += 1
        pending = Pending(self, sample_for(self._arrival, self.session, self._scenario, name, self._protocol))
        pending.sample.sent_s = self.session.clock()
        self._pending.append(pending)
        return pending

    def returned(self, pending: Pending) -> None:
        """The answer is there; unless its event has come, the user's own check is still to judge it."""
        pending.returned = True
        pending.sample.done_s = self.session.clock()

    def end(self, pending: Pending, outcome: Outcome, error: str | None, *, announced: bool = False) -> None:
        """Complete a request. The first end counts: what was cut may still say something later."""
        if pending not in self._pending:
            return
        self._pending.remove(pending)
        sample = pending.sample
        sample.outcome, sample.error = outcome, error
        if sample.done_s < 0:
            sample.done_s = self.session.clock()
        self._settle(sample, announced)

    def begin_of_event(self) -> Pending:
        """Return a request of the user's own code, of which nothing was known until its event."""
        pending = self.begin("")
        pending.told_late = True
        return pending

    def report(self, pending: Pending, response_time: float, failure: Failure | None, seen: Seen) -> None:
        """Complete a request by its event; `response_time` is in milliseconds."""
        if pending not in self._pending:
            return
        sample, now = pending.sample, self.session.clock()
        if pending.told_late:
            sample.sent_s = now - response_time / 1000
            sample.due_s = sample.due_s if sample.iteration else sample.sent_s
            if failure is None and isinstance(sys.exception(), GreenletExit):
                # `events.request.measure` tells of a request that was killed in flight as of a fast success.
                failure = Failure(Outcome.CUT, CUT)
        assert sample.sent_s is not None  # since its begin
        sample.done_s = sample.sent_s + response_time / 1000
        sample.name, sample.bytes_in, sample.status = seen.name, seen.size, seen.status
        outcome, error = (failure.outcome, failure.error) if failure else (Outcome.OK, None)
        self.end(pending, outcome, error, announced=True)

    def task_failed(self, error: BaseException) -> None:
        """An exception left a task: the request that was being judged failed by it, else the iteration did."""
        why = f"the task failed: {type(error).__name__}: {error}"
        unjudged = [pending for pending in self._pending if pending.returned]
        for pending in unjudged:
            self.end(pending, Outcome.BAD_CONTENT, why)
        known = self._failed is not None or (self._first is not None and self._first[0].outcome is not Outcome.OK)
        if not unjudged and not known:
            self._note("(task)", Outcome.BAD_CONTENT, why)

    def _note(self, name: str, outcome: Outcome, why: str) -> None:
        pending = self.begin(name)
        pending.sample.sent_s = None
        self.end(pending, outcome, why)

    def _settle(self, sample: Sample, announced: bool) -> None:
        if sample.iteration:
            self._first = (sample, announced)
        elif sample.outcome is not Outcome.OK and self._failed is None and self._arrival is not None:
            self._failed = (sample, announced)
        else:
            self.session.recorder.finish(sample, announced=announced)


def _give_place(first: Sample, failed: Sample) -> None:
    """Let the failed request stand for the arrival: its time then runs from the arrival's beginning."""
    failed.due_s, failed.arrival, failed.waited = first.due_s, first.arrival, first.waited
    failed.phase, failed.iteration = first.phase, True
    first.arrival, first.waited, first.iteration = None, False, False
    if first.sent_s is not None:
        first.due_s, failed.sent_s = first.sent_s, first.sent_s
