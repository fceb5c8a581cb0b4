"""WebSocket subscribers: connections that are held, and messages that the server pushes."""

import itertools
import json
import math
import time
from typing import Any

import gevent
from locust import task
from locust.exception import StopUser

from clients.errors import BadResponse, ClientError, ConnectionLost, TimedOut
from clients.websocket import Connection
from plans.mix import WebSocketMix
from plans.schema import loopback
from samples.recorder import NOT_DONE, Failure
from samples.sample import LatencySource, Outcome, Protocol, Sample
from scenarios.base import LoadUser

_CONNECT_SPREAD_S = 1.0
_RECONNECT_PAUSE_S = 1.0
_LOOK_UP_S = 0.5
"""How often a quiet connection looks whether the run is over."""
_SEQUENCES = 2**63
"""Beyond what the column of sequence numbers holds."""

_connection_numbers = itertools.count()


class WebSocketUser(LoadUser):
    """Holds one connection, subscribes to the updates of all runs, and takes every message in.

    A connect is a sample named `connect`, a message a sample named by its type. A lost connection is recorded and
    made again, as a client that wants its updates would.
    """

    @property
    def options(self) -> WebSocketMix:
        """The plan's options of this scenario."""
        options = self.session.plan.mix.WebSocketUser
        assert options is not None  # Locust spawns only the classes of the mix
        return options

    def on_start(self) -> None:
        """Wait for the run's origin; the connects are spread evenly over the first second after it."""
        self._number = next(_connection_numbers)
        self._connection: Connection | None = None
        self.session.started.wait()
        place = self._number % self.options.connections
        gevent.sleep(_CONNECT_SPREAD_S * place / self.options.connections)

    def on_stop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @task
    def subscribe(self) -> None:
        """Connect and listen until the run stops or the connection is lost."""
        if self.session.stopping.is_set():
            raise StopUser
        self._connection = self._connect()
        if self._connection is None:
            self.session.stopping.wait(_RECONNECT_PAUSE_S)
            return
        try:
            self._listen(self._connection)
        finally:
            self._connection.close()
            self._connection = None
            self._number = next(_connection_numbers)  # sequence numbers begin anew

    def _sample(self, name: str, due: float) -> Sample:
        phase = self.session.phase_at(due)
        sample = Sample(due, due, NOT_DONE, Outcome.OK, phase, self.scenario, name, Protocol.WEBSOCKET)
        sample.connection = self._number
        return sample

    def _connect(self) -> Connection | None:
        session, options = self.session, self.options
        with session.recorder.measure(self._sample("connect", session.clock())) as attempt:
            path = f"{options.path}?rate={options.rate:g}"
            try:
                connection = Connection(session.host, path, session.headers(), options.timeout)
                try:
                    connection.send(json.dumps({"action": "subscribe", "run_id": "*"}))
                except BaseException:
                    connection.close()
                    raise
            except ClientError as error:
                status = error.status if isinstance(error, BadResponse) else None
                raise Failure(_connect_outcome(error), str(error), status) from None
            attempt.sample.sent_s = session.clock.at(connection.began)
            attempt.sample.done_s = session.clock.at(connection.opened)
            attempt.sample.connect_ms = connection.connect_ms
            return connection
        return None

    def _listen(self, connection: Connection) -> None:
        while not self.session.stopping.is_set():
            try:
                received = connection.receive(_LOOK_UP_S)
            except ConnectionLost as error:
                self._record_loss(connection, str(error))
                return
            # What comes after the end of the last phase belongs to no phase.
            if received is not None and not self.session.stopping.is_set():
                self._record_message(*received)

    def _record_loss(self, connection: Connection, why: str) -> None:
        if self.session.stopping.is_set():
            return
        sample = self._sample("connection lost", self.session.clock())
        sample.outcome, sample.error, sample.status = Outcome.CONNECT_ERROR, why, connection.status
        sample.done_s = sample.due_s
        self.session.recorder.add(sample)

    def _record_message(self, stamp: float, text: str) -> None:
        message = _parsed(text)
        received = self.session.clock.at(stamp)
        kind = str(message.get("type", "")) if message else ""
        sample = self._sample(kind or "message", received)
        sample.message_type, sample.bytes_in, sample.done_s = kind or "message", len(text), received
        sequence, timestamp = (message or {}).get("sequence"), (message or {}).get("timestamp")
        if not kind:
            sample.outcome, sample.error = Outcome.BAD_CONTENT, "not a JSON message with a type"
        sample.sequence = sequence if isinstance(sequence, int) and abs(sequence) < _SEQUENCES else None
        if isinstance(timestamp, int | float) and math.isfinite(timestamp) and loopback(self.session.host):
            # One machine, one wall clock: the server's stamp can be placed on the run's axis.
            age = time.time() - timestamp - (time.monotonic() - stamp)
            sample.due_s = sample.sent_s = received - age
            sample.latency_source = LatencySource.SHARED_CLOCK
        self.session.recorder.add(sample)


def _connect_outcome(error: ClientError) -> Outcome:
    if isinstance(error, TimedOut):
        return Outcome.TIMEOUT
    return Outcome.HTTP_ERROR if isinstance(error, BadResponse) else Outcome.CONNECT_ERROR


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
