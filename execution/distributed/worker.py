"""The worker: a Locust worker that takes part in the runs of its master, one after the other."""

import logging
import os
import platform
import signal
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
import gevent.event
import gevent.socket
from locust.env import Environment
from locust.rpc import Message as LocustMessage
from locust.runners import WorkerRunner
from pydantic import ValidationError

from execution import classes, options, preconditions
from execution.distributed import identity
from execution.distributed.clocks import Comparison
from execution.distributed.messages import (
    MESSAGE,
    Assign,
    Begin,
    FromWorker,
    Hello,
    Lease,
    Prepare,
    Ready,
    Received,
    Refused,
    Settle,
    Stop,
    Time,
    Welcome,
    packed,
    unpacked,
)
from execution.distributed.shift import Shift
from plans.exits import Exit
from plans.hosts import EMBEDDED, host_problem
from plans.problems import PlanError
from plans.schema import Plan
from samples.segments import keep_arrow_small
from scenarios.base import LoadUser

_log = logging.getLogger("proofload")
_HELLO_S = 1.0
_TRIPS, _TRIP_S = 12, 1.0
_GONE_S = 30.0
"""So long without a word of the master, and it is gone. Load has stopped long before, with the lease."""


def _of_the_runner(handler: Callable[..., object]) -> bool:
    return handler.__qualname__.startswith(WorkerRunner.__name__)


class Worker:
    """Does what the master says; ends by itself when it is refused, or when the master is gone."""

    def __init__(self, environment: Environment) -> None:
        """Say hello until the master answers."""
        assert isinstance(environment.runner, WorkerRunner)
        self._environment, self._runner = environment, environment.runner
        self._main = gevent.getcurrent()
        self._code = identity.code()
        self._name: str | None = None
        self._exit_code = Exit.PASS
        self._shift: Shift | None = None
        self._test_started = gevent.event.Event()
        self._clock = Comparison()
        self._tripped = gevent.event.Event()
        keep_arrow_small()
        LoadUser.host = options.AS_PLANNED
        self._runner.register_message(MESSAGE, self._on_message)
        events = environment.events
        # A headless master that hears of its last worker's leave hears nothing any more, and waits for ever.
        events.quitting._handlers = [h for h in events.quitting._handlers if not _of_the_runner(h)]
        events.test_start.add_listener(lambda **_: self._on_test_start())
        events.test_stop.add_listener(lambda **_: self._on_test_stop())
        events.quitting.add_listener(lambda **_: self._on_quitting())
        gevent.signal_handler(signal.SIGINT, self._quit)
        # Not of the parsed options: a run that is under way has put its master's in their place.
        if "--exit-with-parent" in sys.argv:
            gevent.spawn(self._end_with_input)
        self._heard = monotonic()
        events.heartbeat_received.add_listener(self._on_heartbeat)
        gevent.spawn(self._introduce)
        gevent.spawn(self._mind_the_master)

    def _send(self, message: FromWorker) -> None:
        """Raises OSError when the message cannot be sent now."""
        try:
            self._runner.client.socket.send(
                LocustMessage(MESSAGE, packed(message), self._runner.client_id).serialize(), flags=1
            )
        except Exception as error:
            raise OSError(str(error)) from None

    def _introduce(self) -> None:
        while self._name is None:
            self._send(Hello(self._code, os.getpid(), platform.node()))
            gevent.sleep(_HELLO_S)

    def _on_heartbeat(self, **_: object) -> None:
        self._heard = monotonic()

    def _mind_the_master(self) -> None:
        while monotonic() - self._heard < _GONE_S:
            gevent.sleep(1)
        _log.error("the master has not been heard of for %.0f s: this worker ends", _GONE_S)
        self._exit_code = Exit.INVALID
        self._quit()

    def _quit(self) -> None:
        gevent.kill(self._main, KeyboardInterrupt)

    def _end_with_input(self) -> None:
        source = sys.stdin.fileno()
        gevent.socket.wait_read(source)
        while os.read(source, 1024):
            gevent.socket.wait_read(source)
        self._exit_code = Exit.INVALID
        self._quit()

    # -- what Locust's events call --------------------------------------------------------------------------

    def _on_test_start(self) -> None:
        self._test_started.set()

    def _on_test_stop(self) -> None:
        """Locust has stopped the users: the master's web UI or its end. It waits for nobody, and must not be kept."""
        self._test_started.clear()
        if self._shift is not None:
            self._shift.end()

    def _on_quitting(self) -> None:
        """Bring what there is to the master before the process ends."""
        if self._shift is not None:
            (self._shift.end if self._exit_code is Exit.PASS else self._shift.abandon)()
            self._shift.over.wait()
        self._environment.process_exit_code = self._exit_code

    # -- what the master says -------------------------------------------------------------------------------

    def _on_message(self, environment: Environment, msg: Any) -> None:
        """Runs in the greenlet that hears the master: nothing in here may wait."""
        try:
            message = unpacked(msg.data)
        except ValueError as error:
            _log.warning("the master sent %s", error)
            return
        shift = self._shift if getattr(message, "run", None) == getattr(self._shift, "run", "") else None
        match message:
            case Welcome(name):
                self._name = name
            case Refused(why):
                _log.error("refused by the master: %s", why)
                self._exit_code = Exit.USAGE
                self._quit()
            case Prepare():
                gevent.spawn(self._prepare, message)
            case Time(asked, float(told)):
                self._clock.take(asked, told, monotonic())
                self._tripped.set()
            case _ if shift is not None:
                self._pass_on(shift, message)

    @staticmethod
    def _pass_on(shift: Shift, message: object) -> None:
        match message:
            case Begin(_, origin):
                shift.begin(origin)
            case Assign():
                shift.assign(message)
            case Lease():
                shift.leased(message)
            case Received(_, below):
                shift.received(below)
            case Stop(_, at_s, drop):
                shift.stop(at_s, drop=drop)
            case Settle():
                shift.end()

    # -- a run ----------------------------------------------------------------------------------------------

    def _prepare(self, order: Prepare) -> None:
        """Get ready for a run, and say so, or what is in the way."""
        if self._shift is not None:
            self._shift.close()
        self._shift, problems, reached, found = None, [], True, ""
        try:
            plan = Plan.model_validate_json(order.plan)
            problems = self._problems(plan, order)
            if not problems:
                self._compare_clocks()
                users = classes.announce(self._environment, plan.mix)
                assert self._name is not None  # the master prepares those whom it has welcomed
                self._shift = Shift(self._environment, self._name, order, plan, users, self._send, self._clock)
                self._shift.test_started = self._test_started
                if plan.mix.needs_server:
                    service = preconditions.service(self._shift.load.session)
                    reached, found = service.held, service.found
        except ValidationError as error:
            problems = [f"the plan cannot be read: {error.error_count()} problems"]
        except PlanError as error:
            problems = [str(problem) for problem in error.problems]
        except Exception as error:
            _log.exception("cannot prepare the run")
            problems = [f"{type(error).__name__}: {error}"]
        for problem in problems:
            _log.error("cannot take part in the run: %s", problem)
        self._send(Ready(order.run, tuple(problems), reached, found))

    @staticmethod
    def _problems(plan: Plan, order: Prepare) -> list[str]:
        problems = identity.problems(order.files, order.variables)
        if order.host != EMBEDDED and plan.mix.needs_server and (why := host_problem(order.host, plan.target.allow)):
            problems.append(f"host {why}")
        return problems

    def _compare_clocks(self) -> None:
        self._clock = Comparison()
        for _ in range(_TRIPS):
            self._tripped.clear()
            self._send(Time(monotonic()))
            self._tripped.wait(_TRIP_S)
        if not self._clock.trips:
            raise TimeoutError("the master does not tell its time")
