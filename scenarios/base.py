"""The base of every user: it takes arrivals as its wait time, and measures what it does."""

from typing import ClassVar

from locust import User

from clients.errors import BadResponse, ClientError, ConnectFailed, ConnectionLost, TimedOut
from clients.http import HttpClient, Response
from plans.mix import Arriving
from samples.recorder import NOT_DONE, Attempt, Failure
from samples.sample import Outcome, Protocol, Sample
from scenarios.dispatcher import RUN_STOPPED, Arrival
from scenarios.session import Session

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

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Load what the class needs before the load begins; nothing is read or built in the load path."""

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Ask the server, which is there by now, for what later requests build on; nothing of it is measured."""

    @property
    def scenario(self) -> str:
        """The name under which the plan's mix knows this class."""
        return type(self).__name__


class ArrivingUser(LoadUser):
    """A user that begins one iteration per arrival: the schedule is its wait time."""

    abstract = True
    protocol: ClassVar[Protocol] = Protocol.HTTP

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        self._arrival: Arrival | None = None
        self.client = HttpClient(self.session.host, self.session.headers())

    @property
    def options(self) -> Arriving:
        """The plan's options of this scenario."""
        return self.session.plan.mix.arriving()[self.scenario]

    def wait_time(self) -> float:
        """Wait until this user's next arrival is due; Locust then has nothing left to wait for."""
        self._account_for_silence(NO_REQUEST, Outcome.BAD_CONTENT)
        previous, self._arrival = self._arrival, None
        self._arrival = self.session.dispatcher.take(self.scenario, previous)
        return 0

    def on_start(self) -> None:
        """Wait once: Locust runs a user's first task without waiting."""
        self.wait()

    def on_stop(self) -> None:
        """Account for an arrival that was taken and not begun, and close the connection."""
        self._account_for_silence(RUN_STOPPED, Outcome.CUT)
        self.client.close()

    def measure(self, name: str) -> Attempt:
        """Return the measured block of one request; the first one of an iteration stands for its arrival."""
        return self.session.recorder.measure(self._sample(name))

    def _sample(self, name: str) -> Sample:
        arrival, now = self._arrival, self.session.clock()
        if arrival is None or arrival.accounted:
            phase = arrival.phase if arrival else self.session.phase_at(now)
            return Sample(now, None, NOT_DONE, Outcome.OK, phase, self.scenario, name, self.protocol)
        arrival.accounted = True
        return Sample(
            due_s=arrival.due,
            sent_s=None,
            done_s=NOT_DONE,
            outcome=Outcome.OK,
            phase=arrival.phase,
            scenario=self.scenario,
            name=name,
            protocol=self.protocol,
            arrival=arrival.index,
            iteration=True,
            waited=arrival.waited,
        )

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
        stream: bool = False,
        expected: tuple[int, ...] = (200,),
    ) -> Response:
        """Make one request and put its times into the sample. Raises Failure for whatever is not as expected."""
        clock = self.session.clock
        sample.sent_s = clock()  # stands when the user is killed in mid-exchange; else the client's own stamp does
        try:
            response = self.client.request(method, path, body, timeout=self.options.timeout, stream=stream)
        except ClientError as error:
            if error.sent is not None:
                sample.sent_s = clock.at(error.sent)
            raise Failure(_OUTCOMES[type(error)], str(error)) from None
        sample.sent_s, sample.done_s = clock.at(response.sent), clock.at(response.done)
        sample.connect_ms, sample.status = response.connect_ms, response.status
        sample.bytes_in = sum(len(data) for _, data in response.chunks)
        if response.status not in expected:
            raise _unexpected(response, expected)
        return response


def _unexpected(response: Response, expected: tuple[int, ...]) -> Failure:
    if response.status >= 400:
        text = response.body[:200].decode("utf-8", "replace")
        return Failure(Outcome.HTTP_ERROR, f"HTTP {response.status}: {text}", response.status)
    wanted = ", ".join(map(str, expected))
    return Failure(Outcome.BAD_CONTENT, f"HTTP {response.status} where {wanted} was expected", response.status)
