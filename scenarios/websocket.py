"""WebSocket subscribers: connections that are held, and messages that the server pushes or gives back."""

import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import gevent
from locust import task
from locust.exception import StopUser

from clients.errors import BadResponse, ClientError, ConnectFailed, ConnectionLost, TimedOut
from clients.websocket import Connection, Message, Pong
from plans.mix import WebSocketMix
from plans.schema import loopback
from samples.recorder import NOT_DONE, Failure
from samples.sample import LatencySource, Outcome, Protocol, Sample
from scenarios.base import LoadUser
from scenarios.held import Asking, Resuming, back_off
from scenarios.session import Session, client_options

_LOOK_UP_S = 0.5
"""How often a quiet connection looks whether the run is over."""
_SEQUENCES = 2**63
"""Beyond what the column of sequence numbers holds."""

_MOST_KINDS = 100
"""Each is a row of every table; those of a server that numbers its types would fill the memory."""
_LONGEST_KIND = 80

_connection_numbers = itertools.count()


class WebSocketUser(LoadUser):
    """Holds one connection, subscribes to the updates of all runs, and takes every message in.

    A connect is a sample named `connect`, a message a sample named by its type, a ping with its pong one named `ping`.
    A lost connection is recorded and made again, as a client that wants its updates would.
    """

    _kinds: ClassVar[set[str]] = set()
    _places: ClassVar[Iterator[int]] = itertools.count()

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Forget the types of messages that an earlier run met."""
        cls._kinds, cls._places = set(), itertools.count()

    @property
    def options(self) -> WebSocketMix:
        """The plan's options of this scenario."""
        options = self.session.plan.mix.WebSocketUser
        assert options is not None  # Locust spawns only the classes of the mix
        return options

    def on_start(self) -> None:
        """Wait for the run's origin, and then for this connection's turn in the storm."""
        self._connection: Connection | None = None
        self._number, self._failed, self._latest = 0, 0, 0.0
        self._resuming = Resuming()
        self._random = self.session.random(self.scenario)
        self._shares_clock = loopback(self.session.host)
        self.session.started.wait()
        gevent.sleep(next(self._places) / self.options.connects_per_s)

    def on_stop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @task
    def subscribe(self) -> None:
        """Connect and listen until the run stops or the connection is lost; then wait, longer after each failure."""
        if self.session.stopping.is_set():
            raise StopUser
        self._number = next(_connection_numbers)  # sequence numbers begin anew
        self._connection = self._connect()
        if self._connection is not None:
            self._failed = 0
            try:
                self._hold(self._connection)
            finally:
                self._connection.close()
                self._connection = None
        self.session.stopping.wait(back_off(self._failed, self._random))
        self._failed += 1

    def _sample(self, name: str, due: float) -> Sample:
        phase = self.session.phase_at(due)
        sample = Sample(due, due, NOT_DONE, Outcome.OK, phase, self.scenario, name, Protocol.WEBSOCKET)
        sample.connection = self._number
        return sample

    def _connect(self) -> Connection | None:
        session, options = self.session, self.options
        with session.recorder.measure(self._sample("connect", session.clock())) as attempt:
            path = f"{options.path}?rate={options.rate:g}"
            client = replace(client_options(session.plan), compression=options.compression, together=True)
            try:
                connection = Connection(session.host, path, session.headers(), options.timeout, client)
                try:
                    connection.send(json.dumps(self._resuming.request()))
                except BaseException:
                    connection.close()
                    raise
            except ClientError as error:
                status = error.status if isinstance(error, BadResponse) else None
                raise Failure(_outcome(error), str(error), status) from None
            attempt.sample.sent_s = session.clock.at(connection.began)
            attempt.sample.done_s = session.clock.at(connection.opened)
            attempt.sample.connect_ms = connection.connect_ms
            attempt.sample.dns_ms, attempt.sample.tls_ms = connection.dns_ms, connection.tls_ms
            return connection
        return None

    def _hold(self, connection: Connection) -> None:
        asking = Asking(self.options, connection.opened, self._random)
        try:
            while not self.session.stopping.is_set():
                asking.speak(connection, time.monotonic())
                self._record_unanswered(asking, time.monotonic() - self.options.timeout)
                received = connection.receive(min(_LOOK_UP_S, asking.pause(time.monotonic())))
                # What comes after the end of the last phase belongs to no phase.
                if received is None or self.session.stopping.is_set():
                    continue
                if isinstance(received, Pong):
                    self._record_pong(asking, received)
                else:
                    self._record_message(asking, received)
        except ClientError as error:
            self._record_loss(connection, error)
            self._record_unanswered(asking, math.inf)

    def _record_loss(self, connection: Connection, error: ClientError) -> None:
        if self.session.stopping.is_set():
            return
        sample = self._sample("connection lost", self.session.clock())
        sample.outcome, sample.error, sample.status = _outcome(error), str(error), connection.status
        sample.done_s = sample.due_s
        self.session.recorder.add(sample)

    def _record_unanswered(self, asking: Asking, before: float) -> None:
        for sent in asking.unanswered(before):
            sample = self._sample("echo", self.session.clock.at(sent))
            sample.outcome, sample.error = Outcome.TIMEOUT, "no echo came"
            sample.done_s = self.session.clock()
            self.session.recorder.add(sample)

    def _record_pong(self, asking: Asking, pong: Pong) -> None:
        sent = asking.pinged(pong.payload)
        if sent is not None:
            sample = self._sample("ping", self.session.clock.at(sent))
            sample.done_s = self.session.clock.at(pong.stamp)
            self.session.recorder.add(sample)

    def _record_message(self, asking: Asking, received: Message) -> None:
        message = _parsed(received.text) or {}
        self._number = self._resuming.take(message, self._number)
        # Messages of one read are kept apart by a nanosecond: their order is a result.
        at = self._latest = max(self.session.clock.at(received.stamp), self._latest + 1e-9)
        kind = self._kind(message)
        sample = self._sample(kind or "message", at)
        sample.message_type, sample.bytes_in, sample.done_s = kind or "message", len(received.text.encode()), at
        if not kind:
            sample.outcome, sample.error = Outcome.BAD_CONTENT, "not a JSON message with a type"
        sequence = message.get("sequence")
        sample.sequence = sequence if isinstance(sequence, int) and abs(sequence) < _SEQUENCES else None
        self._time(sample, received, message.get("timestamp"), asking.echoed(message))
        self.session.recorder.add(sample)

    def _time(self, sample: Sample, received: Message, timestamp: object, asked: float | None) -> None:
        """Find out when the server sent a message: by its own stamp, or half of an echo's round trip ago."""
        if asked is not None:
            sample.sent_s = self.session.clock.at(asked)
        if self._shares_clock and isinstance(timestamp, int | float) and math.isfinite(timestamp):
            # One machine, one wall clock: the server's stamp can be placed on the run's axis.
            age = time.time() - timestamp - (time.monotonic() - received.stamp)
            sample.due_s, sample.latency_source = sample.done_s - age, LatencySource.SHARED_CLOCK
        elif asked is not None:
            sample.due_s = sample.done_s - (received.stamp - asked) / 2
            sample.latency_source = LatencySource.ECHO
        if asked is None:
            sample.sent_s = sample.due_s

    def _kind(self, message: dict[str, Any]) -> str:
        """Return the message's type, as the server names it: at most so many of them, and none of any length."""
        kind = self.session.recorder.clean(str(message.get("type", message.get("action", ""))))[:_LONGEST_KIND]
        if not kind or kind in self._kinds or len(self._kinds) < _MOST_KINDS:
            self._kinds.add(kind)
            return kind
        return "one of very many types"


def _outcome(error: ClientError) -> Outcome:
    if isinstance(error, TimedOut):
        return Outcome.TIMEOUT
    if isinstance(error, ConnectFailed | ConnectionLost):
        return Outcome.CONNECT_ERROR
    return Outcome.HTTP_ERROR if getattr(error, "status", None) else Outcome.BAD_CONTENT


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
