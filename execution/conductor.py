"""The conductor: ties runs to Locust's events. Locust spawns and stops the users; the conductor says when."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import gevent
import gevent.event
import gevent.os
import gevent.socket
from locust import User
from locust.env import Environment
from locust.runners import MasterRunner

from execution import children, classes, login, options, web
from execution.distributed.workers import Workers
from execution.exposition import Exposition, serve
from execution.look import Look, Stage
from execution.run import Run
from plans.exits import Exit
from plans.phases import Phase
from plans.problems import PlanError, Problem
from plans.schema import Plan
from scenarios.base import LoadUser
from shapes.profiles import PlanShape, Tick

_FAREWELL_S = 10.0


def exit_usage(problems: list[Problem]) -> NoReturn:
    """End the process with exit code 2 and the problems in words."""
    for problem in problems:
        print(problem, file=sys.stderr)
    raise SystemExit(Exit.USAGE)


class Conductor:
    """Conducts the runs of one Locust process, one after the other; headless there is just one."""

    def __init__(self, environment: Environment) -> None:
        """Check the options and take the shape's lead. Ends the process with exit code 2 when they are unusable."""
        self._environment = environment
        self._run: Run | None = None
        self._users: list[type[User]] = []
        self._workers = Workers(environment) if isinstance(environment.runner, MasterRunner) else None
        self._exit_code: int | None = None
        """The last verdict's; INVALID while a run is under way, None before the first."""
        self._look = Look()
        self._exposition = Exposition()
        self._stop_asked = self._quitting = False
        self._main = gevent.getcurrent()
        self._begun = gevent.event.Event()
        self._idle = gevent.event.Event()
        self._idle.set()
        given = environment.parsed_options
        self._or_exit()
        self._expose()
        self._protect()
        PlanShape.driver = self
        LoadUser.host = options.AS_PLANNED
        self._listen()
        self._quieten(headless=bool(given and given.headless))
        if self._workers is not None and (count := getattr(given, "local_workers", 0)):
            self._workers.start_here(count, [f"--loglevel={getattr(given, 'loglevel', 'WARNING')}"])

    # -- what the shape calls -------------------------------------------------------------------------------

    def begin(self, phases: tuple[Phase, ...] | None) -> None:
        """Start a run, with these phases in place of the plan's when there are any.

        As a master Locust says so twice.
        """
        if self._run is not None and self._workers is not None:
            return
        self._begun.clear()
        self._idle.clear()
        self._exit_code = Exit.INVALID
        self._stop_asked = False
        try:
            self._run = self._prepared(phases)
        except BaseException:
            self._idle.set()  # there is no run whose end could be waited for
            raise
        finally:
            self._begun.set()
        if self._stop_asked:
            self._on_stopping()
            self._on_stopped()
        else:
            gevent.spawn(self._stop_when_over, self._run)

    def _prepared(self, phases: tuple[Phase, ...] | None) -> Run:
        chosen = self._or_exit(phases)
        notes = [] if phases is None else [f"the shape {phases[0].name} stands in place of the plan's phases"]
        self._users = users = self._announced(chosen.plan)
        try:
            run = Run(self._environment, chosen, users, notes, self._workers)
        except OSError as error:
            problem = f"must be a folder that runs can be made in, got {chosen.runs} ({error.strerror or error})"
            exit_usage([Problem("command line", "--runs", problem)])
        self._look.run = self._exposition.watched = run
        print(f"run {run.folder.name}: {chosen.plan.title} against {run.session.host}", flush=True)
        return run

    @property
    def _preparing(self) -> bool:
        return not (self._begun.is_set() or self._idle.is_set())

    @property
    def _waiting(self) -> bool:
        """True in a headless process whose run has not begun: as a master Locust waits for the workers first."""
        given = self._environment.parsed_options
        return bool(given and given.headless) and self._idle.is_set() and not self._begun.is_set()

    def _give_up(self, why: str) -> None:
        """End before there is a run. Locust waits for workers where it would end on a signal with a traceback."""
        print(f"\n{why}: nothing was run", flush=True)
        if self._workers is not None:
            self._workers.dismiss()
        gevent.kill(self._main, SystemExit(Exit.INVALID))

    @property
    def _stage(self) -> Stage:
        if self._preparing:
            return Stage.PREPARING
        if self._run is not None:
            return Stage.DRAINING if self._run.progress.place().draining else Stage.RUNNING
        if not self._idle.is_set():
            return Stage.REPORTING
        return Stage.IDLE if self._look.run is None else Stage.ENDED

    def tick(self) -> Tick | None:
        """Return how many users there must be now, or None when there is no run."""
        self._begun.wait()  # Locust starts to tick while `begin` still waits for the processes around the run
        run = self._run
        if run is None:
            return None
        users = run.load.users_wanted()
        return users, max(float(users), 1.0), self._users

    # -- what Locust's events call --------------------------------------------------------------------------

    def _listen(self) -> None:
        events = self._environment.events
        events.test_stopping.add_listener(lambda **_: self._on_stopping())
        events.test_stop.add_listener(lambda **_: self._on_stopped())
        events.quitting.add_listener(lambda **_: self._on_quitting())
        gevent.signal_handler(signal.SIGINT, self._on_interrupt)
        gevent.signal_handler(signal.SIGTERM, self._on_terminate)
        if sys.platform == "win32":
            gevent.signal_handler(signal.SIGBREAK, self._on_interrupt)
        if getattr(self._environment.parsed_options, "exit_with_parent", False):
            gevent.spawn(self._end_with_input)
        if self._environment.web_ui is not None:
            web.extend(self._environment.web_ui, self._environment, self._look, lambda: self._stage, self._hindrance)
            web.add_metrics(self._environment.web_ui, self._exposition)

    def _hindrance(self) -> str | None:
        """Return why no run can begin now; None when one can."""
        if not self._idle.is_set():
            return "a run is being prepared, under way or reported: wait for its end"
        if self._workers is not None and not self._workers.present():
            return "no worker is there: start some (docs/distributed.md)"
        return None

    def _on_interrupt(self) -> None:
        """Ctrl-C: the first one drains the run, the next one ends it at once."""
        run = self._run
        if self._waiting:
            self._give_up("interrupted by Ctrl-C")
            return
        if run is None and self._begun.is_set() and not self._idle.is_set():
            print("\nthe report is being written", flush=True)
            self._quit_when_idle()
            return
        if run is None or run.over.is_set() or run.session.stopping.is_set():
            gevent.kill(self._main, KeyboardInterrupt)  # what Locust itself waits for
            return
        print("\ninterrupted: waiting for the requests in flight (Ctrl-C again ends them)", flush=True)
        run.interrupt("interrupted by Ctrl-C")
        run.session.stopping.set()
        self._quit_when_idle()

    def _quit_when_idle(self) -> None:
        """End a process with a web UI once its run is reported; headless it ends by itself."""

        def quit_then() -> None:
            self._idle.wait()
            if not self._quitting:
                gevent.kill(self._main, KeyboardInterrupt)

        if self._environment.web_ui is not None:
            gevent.spawn(quit_then)

    def _on_terminate(self, why: str = "interrupted by SIGTERM") -> None:
        """SIGTERM: end at once and in order. Locust itself listens to it only after a headless run."""
        if self._waiting:
            self._give_up(why)
        elif self._preparing:
            gevent.kill(self._main, KeyboardInterrupt)
        elif self._run is not None:
            self._run.interrupt(why)
            self._run.over.set()

    def _end_with_input(self) -> None:
        """Whoever started this process holds the other end of its input, and has died when that is closed."""
        source = sys.stdin.fileno()
        while _read(source):
            pass
        if self._begun.is_set() or self._waiting:
            self._on_terminate("the process that started the run has ended")
        else:
            gevent.kill(self._main, KeyboardInterrupt)

    def _stop_when_over(self, run: Run) -> None:
        """Stop the users as soon as the run is drained, or its deadline has passed: a tick would be up to 1 s late."""
        run.over.wait()
        if self._run is run and self._environment.runner is not None:
            self._environment.runner.stop()

    def _on_stopping(self) -> None:
        if self._run is not None:
            self._run.interrupt("stopped before its end")
            self._run.load.settle()  # before Locust stops the users, and before it quits and hears nothing any more

    def _on_stopped(self) -> None:
        """Every user has stopped: close the folder, make the report, keep the verdict."""
        run, self._run = self._run, None
        if run is None:
            self._stop_asked = self._preparing
            return
        # In a greenlet of its own: this may be one of Locust's runner, which ends with the last worker.
        gevent.spawn(self._close, run).join()

    def _close(self, run: Run) -> None:
        try:
            self._wait_for_farewells()
            folder = self._look.last = run.close()
            self._exit_code = self._exposition.verdict = self._reported(folder)
            run_file = getattr(self._environment.parsed_options, "run_file", "")
            if run_file:
                Path(run_file).write_text(str(folder), encoding="utf-8")
        finally:
            self._idle.set()  # whatever went wrong here, the process must be able to end

    def _reported(self, folder: Path) -> int:
        """Make the report, and return its exit code; INVALID when that is left to somebody else: nothing was judged."""
        if getattr(self._environment.parsed_options, "report_later", False):
            print(f"not judged yet: python -m reports {folder}", flush=True)
            return Exit.INVALID
        return children.report(folder)

    def _wait_for_farewells(self) -> None:
        """Locust does not wait for users that it asks to stop a second time, and some still have a request to make."""
        runner = self._environment.runner
        if runner is not None and not runner.user_greenlets.join(_FAREWELL_S):
            runner.user_greenlets.kill(timeout=1)

    def _on_quitting(self) -> None:
        """Give the verdict as exit code; on a signal the run is still to be closed, and Locust may come here twice."""
        self._quitting = True
        if self._run is not None and self._environment.runner is not None:
            self._on_stopping()
            self._environment.runner.stop()
            self._on_stopped()
        if not self._preparing:  # what is only being prepared is left as it is: nothing of it is under way
            self._idle.wait()
        if self._workers is not None:
            self._workers.stop_here()
        self._environment.process_exit_code = self._no_run if self._exit_code is None else self._exit_code

    @property
    def _no_run(self) -> Exit:
        """A process that was to run a plan and did not has no verdict; a web UI that nobody used has nothing to say."""
        given = self._environment.parsed_options
        return Exit.PASS if given is not None and not given.headless else Exit.INVALID

    # -- set-up ---------------------------------------------------------------------------------------------

    def _or_exit(self, phases: tuple[Phase, ...] | None = None) -> options.Options:
        given = self._environment.parsed_options
        assert given is not None  # Locust parses its command line before it fires init
        try:
            chosen = options.resolve(given, phases)
            classes.bring(self._environment, chosen.plan.mix)
            self._refuse_undivided(chosen.plan)
        except PlanError as error:
            exit_usage(error.problems)
        return chosen

    def _refuse_undivided(self, plan: Plan) -> None:
        """Raise PlanError for a plan that workers cannot share."""
        database = plan.mix.DatabaseUser
        if self._workers is not None and database is not None and database.own_file:
            wrong = "must be a database that all workers reach, such as postgresql://user@host/name, got 'sqlite'"
            raise PlanError([Problem(plan.id, "mix.DatabaseUser.url", wrong)])

    def _expose(self) -> None:
        """Open the port for Prometheus when one was asked for."""
        given = self._environment.parsed_options
        port = getattr(given, "metrics_port", 0)
        if not port:
            return
        try:
            self._metrics = serve(self._exposition, getattr(given, "metrics_host", "127.0.0.1"), port)
        except PlanError as error:
            exit_usage(error.problems)

    def _protect(self) -> None:
        """Ask for a login in the web UI when one was wanted."""
        web_ui, given = self._environment.web_ui, self._environment.parsed_options
        if web_ui is None or not web_ui.web_login:
            return
        if problems := login.problems(os.environ):
            exit_usage(problems)
        login.require(web_ui, getattr(given, "web_base_path", "") or "", os.environ)

    def _announced(self, plan: Plan) -> list[type[User]]:
        """Return the plan's user classes, of which Locust is told."""
        try:
            return classes.announce(self._environment, plan.mix)
        except PlanError as error:
            exit_usage(error.problems)

    @staticmethod
    def _quieten(headless: bool) -> None:
        """Keep Locust's rolling tables and spawn-rate warnings off the terminal: the progress line stands there."""
        logging.getLogger("locust.runners").addFilter(lambda record: "spawn rate is very high" not in record.msg)
        logging.getLogger("locust.runners").addFilter(lambda record: record.levelno > logging.INFO)
        if headless:
            logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)


def _read(source: int) -> bytes:
    """Return what comes next on a descriptor, while the others go on; Windows can wait for sockets only."""
    if sys.platform == "win32":
        return bytes(gevent.os.tp_read(source, 1024))
    gevent.socket.wait_read(source)
    return os.read(source, 1024)
