"""The base of every user: it takes arrivals as its wait time, and measures what it does."""

from time import monotonic
from typing import ClassVar

from locust import User
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING, DefaultTaskSet

from clients.errors import BadResponse, ClientError, ConnectFailed, ConnectionLost, TimedOut
from clients.http import Response
from plans.arriving import Arriving
from plans.run import QueryPlan
from samples.recorder import NOT_DONE, Attempt, Failure
from samples.sample import Outcome, Protocol, Sample
from scenarios.accounts import Account
from scenarios.dispatcher import RUN_STOPPED, Arrival
from scenarios.session import Session

_OK = Outcome.OK  # looked up once: a member of an enumeration costs a call at every look
_JSON = "application/json"
NO_REQUEST = "the task ended without a request"

_OUTCOMES: dict[type[ClientError], Outcome] = {
    ConnectFailed: Outcome.CONNECT_ERROR,
    ConnectionLost: Outcome.CONNECT_ERROR,
    BadResponse: Outcome.BAD_CONTENT,
    TimedOut: Outcome.TIMEOUT,
}


class LoadUser(User):
    """A user of a plan. Subclasses define `@task`s that make requests inside `self.measure(...)`."""

    abstract = True
    session: ClassVar[Session]
    """The run; set on the class before users start."""
    scenario: ClassVar[str]
    """The name under which the plan's mix knows this class: its own, if it does not say otherwise."""

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Load what the class needs before the load begins; nothing is read or built in the load path."""

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Ask the server, which is there by now, for what later requests build on; nothing of it is measured."""

    @classmethod
    def wind_up(cls, session: Session) -> list[QueryPlan]:
        """Leave the server as it was, after the load; return what the database told of the queries."""
        return []

    def __init_subclass__(cls, **keys: object) -> None:
        super().__init_subclass__(**keys)
        cls.scenario = cls.__dict__.get("scenario", cls.__name__)


def sample_for(arrival: Arrival | None, session: Session, scenario: str, name: str, protocol: Protocol) -> Sample:
    """Return an open sample: the arrival's own when none stands for it yet, else one of an extra attempt."""
    if arrival is None or arrival.accounted:
        now = session.clock()
        phase = arrival.phase if arrival else session.phase_at(now)
        return Sample(now, None, NOT_DONE, _OK, phase, scenario, name, protocol)
    arrival.accounted = True
    sample = Sample(arrival.due, None, NOT_DONE, _OK, arrival.phase, scenario, name, protocol)
    sample.arrival, sample.iteration, sample.waited = arrival.index, True, arrival.waited
    return sample


class _Iterations(DefaultTaskSet):
    """Locust's loop over a user's tasks, for users whose time has passed when `wait_time` returns.

    Locust sleeps 0 s after it, which costs a turn of the event loop, and chooses at random among one task.
    """

    user: User

    def wait(self) -> None:
        """Wait for the next arrival; a user may be stopped before and after."""
        user = self.user
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        user._state = LOCUST_STATE_WAITING
        user.wait_time()
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        user._state = LOCUST_STATE_RUNNING

    def get_next_task(self) -> object:
        """Return the user's task, or one of them."""
        tasks = self.user.tasks
        return tasks[0] if len(tasks) == 1 else super().get_next_task()


class ArrivingUser(LoadUser):
    """A user that begins one iteration per arrival: the schedule is its wait time."""

    abstract = True
    protocol: ClassVar[Protocol] = Protocol.HTTP
    reads_streams: ClassVar[bool] = False
    """True for users whose answers are streams of many pieces."""
    options: Arriving
    """The plan's options of this scenario."""

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        self._arrival: Arrival | None = None
        self.options = self.session.plan.mix.arriving()[self.scenario]
        self.account: Account | None = None
        self.open()

    def open(self) -> None:
        """Make what the user speaks with: a client with its connection, and an account if the plan has some."""
        self.client = self.session.client(together=self.reads_streams)
        if (accounts := self.session.plan.target.accounts) is not None:
            recorder, timeout = self.session.recorder, self.options.timeout
            number = self.session.next_user()
            self.account = Account(accounts, number, recorder, self.measure, self._send, self._authorize, timeout)

    def _authorize(self, value: str) -> None:
        self.client.set_header("Authorization", value)

    def close(self) -> None:
        """Close what `open` made."""
        if self.account is not None:
            self.account.log_out()
        self.client.close()

    def wait_time(self) -> float:
        """Wait until this user's next arrival is due; Locust then has nothing left to wait for."""
        self._account_for_silence(NO_REQUEST, Outcome.BAD_CONTENT)
        previous, self._arrival = self._arrival, None
        self._arrival = self.session.dispatcher.take(self.scenario, previous)
        return 0

    def on_start(self) -> None:
        """Wait once: Locust runs a user's first task without waiting."""
        if self.account is not None:
            self.account.log_in()
        self._taskset_instance = _Iterations(self)
        self.wait()

    def on_stop(self) -> None:
        """Account for an arrival that was taken and not begun, give its place back, and close the connection."""
        self._account_for_silence(RUN_STOPPED, Outcome.CUT)
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            self.session.dispatcher.leave(self.scenario, arrival)
        self.close()

    def measure(self, name: str) -> Attempt:
        """Return the measured block of one request; the first one of an iteration stands for its arrival."""
        return self.session.recorder.measure(self._sample(name))

    def _sample(self, name: str) -> Sample:
        return sample_for(self._arrival, self.session, self.scenario, name, self.protocol)

    def _account_for_silence(self, why: str, outcome: Outcome) -> None:
        """Record an arrival for which no request was measured: every arrival is accounted for."""
        if self._arrival is not None and not self._arrival.accounted:
            sample = self._sample("(no request)")
            sample.outcome, sample.error, sample.done_s = outcome, why, self.session.clock()
            self.session.recorder.add(sample)

    def exchange(
        self,
        sample: Sample,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = _JSON,
        stream: bool = False,
        expected: tuple[int, ...] = (200,),
    ) -> Response:
        """Make one request and put its times into the sample. Raises Failure for whatever is not as expected."""
        if self.account is not None:
            self.account.ensure(sample)
        try:
            return self._send(
                sample,
                method,
                path,
                body,
                content_type=content_type,
                stream=stream,
                expected=expected,
                timeout=self.options.timeout,
            )
        except Failure as failure:
            if self.account is not None:
                self.account.heard(failure.status)
            raise

    def _send(
        self,
        sample: Sample,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = _JSON,
        stream: bool = False,
        expected: tuple[int, ...],
        timeout: float,
    ) -> Response:
        origin = self.session.clock.origin
        sample.sent_s = monotonic() - origin  # stands when the user is killed in mid-exchange; else the client's stamp
        try:
            response = self.client.request(
                method, path, body, content_type=content_type, timeout=timeout, stream=stream
            )
        except ClientError as error:
            if error.sent is not None:
                sample.sent_s = error.sent - origin
            raise Failure(outcome_of(error), str(error)) from None
        if not self.session.plan.target.connections.keep_alive:
            self.client.close()
        sample.sent_s, sample.done_s = response.sent - origin, response.done - origin
        sample.connect_ms, sample.status, sample.bytes_in = response.connect_ms, response.status, response.size
        if response.connect_ms is not None:
            sample.dns_ms, sample.tls_ms, sample.retried = response.dns_ms, response.tls_ms, response.retried
        if response.status not in expected:
            raise _unexpected(response, expected)
        return response


def outcome_of(error: ClientError) -> Outcome:
    """Return what a client's error is as an outcome; an answer that says what is wrong is bad content."""
    return next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), Outcome.BAD_CONTENT)


def _unexpected(response: Response, expected: tuple[int, ...]) -> Failure:
    if response.status >= 400:
        text = response.body.decode("utf-8", "replace")  # whole: the recorder cuts it
        return Failure(Outcome.HTTP_ERROR, f"HTTP {response.status}: {text}", response.status)
    wanted = ", ".join(map(str, expected))
    return Failure(Outcome.BAD_CONTENT, f"HTTP {response.status} where {wanted} was expected", response.status)
