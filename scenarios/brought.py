"""Users that the operator brings along: any user class of a locustfile becomes a scenario of the plan."""

import re
import sys
import traceback
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import gevent
from locust import FastHttpUser, HttpUser, TaskSet, User, events
from locust.user.task import filter_tasks_by_tags

from plans.mix import LocustMix, Mix
from plans.problems import PlanError, Problem
from samples.live import SampleContext
from samples.sample import Protocol
from scenarios.base import LoadUser
from scenarios.locust_clients import PENDING, failure_of, fit
from scenarios.session import Session
from scenarios.witness import Pending, Seen, Witness

_users: WeakKeyDictionary[object, "BroughtUser"] = WeakKeyDictionary()
"""The user of each greenlet that runs one."""


class BroughtUser(User):
    """Goes before a class of the operator's own: the schedule is its wait time, and its requests are recorded.

    Every name in here begins with `proofload`, so that none of the class's own is hidden.
    """

    abstract = True
    proofload_session: ClassVar[Session]
    """The run; set on the class before users start."""
    proofload_options: ClassVar[LocustMix]
    proofload_protocol: ClassVar[Protocol]

    def __init__(self, environment: object) -> None:
        session = self.proofload_session
        self.proofload = Witness(session, type(self).__name__, self.proofload_protocol)
        self.host = session.host
        super().__init__(environment)
        fit(getattr(self, "client", None), self.proofload, self.proofload_options.timeout)

    def wait_time(self) -> float:
        """Wait until this user's next arrival is due; Locust then has nothing left to wait for."""
        self.proofload.take_arrival()
        return 0

    def on_start(self) -> None:
        """Let the user get ready, and wait once: Locust runs a user's first task without waiting."""
        _users[gevent.getcurrent()] = self
        super().on_start()
        if self.proofload.idle and self._taskset_instance is not None:
            self._taskset_instance.wait()  # `self.wait` may be a task of the class

    def on_stop(self) -> None:
        """Account for what was under way, before and after the user's own farewell."""
        self.proofload.leave()
        try:
            super().on_stop()
        finally:
            self.proofload.leave()


def classes(mix: Mix) -> dict[str, type[User]]:
    """Return the classes that a mix takes from files; the files are imported, once. Raises PlanError."""
    found: dict[str, type[User]] = {}
    problems: list[Problem] = []
    for name, options in mix.brought().items():
        try:
            found[name] = _scenario(name, options)
        except PlanError as error:
            problems += error.problems
    if problems:
        raise PlanError(problems)
    return found


@lru_cache(maxsize=256)
def _scenario(name: str, options: LocustMix) -> type[User]:
    """Return the class `name` of a file, made ready for the mix."""

    def wrong(why: str) -> PlanError:
        return PlanError([Problem(options.file, name, why)])

    own = getattr(_module(Path(options.file).resolve(), options.file), name, None)
    if not (isinstance(own, type) and issubclass(own, User)):
        raise wrong(f"must be a Locust user class, got {'nothing' if own is None else repr(own)}")
    if not own.tasks:
        raise wrong("must have a task (@task, or tasks = [...])")
    before = (own,) if issubclass(own, LoadUser) else (BroughtUser, own)
    http = issubclass(own, HttpUser | FastHttpUser)
    extra = {"proofload_options": options, "proofload_protocol": Protocol.HTTP if http else Protocol.OTHER}
    make: Any = type(own)
    made: type[User] = make(name, before, {"__module__": own.__module__, **extra})
    copies: dict[Any, Any] = {}
    made.tasks = [_copied(task, copies) for task in own.tasks]
    if options.tags or options.exclude_tags:
        filter_tasks_by_tags(made, set(options.tags) or None, set(options.exclude_tags) or None)
        if not made.tasks:
            raise wrong("must have a task that tags and exclude_tags of the mix leave")
    return made


def _copied(task: Any, copies: dict[Any, Any]) -> Any:
    """Return a task as it is, a task set as a copy whose wait time is the schedule's and whose tasks can be chosen."""
    if not (isinstance(task, type) and issubclass(task, TaskSet)):
        return task
    if task not in copies:
        # Abstract: a Markov chain would be looked for in what the copy itself defines.
        content = {"__module__": task.__module__, "wait_time": TaskSet.wait_time, "abstract": True}
        make: Any = type(task)
        copies[task] = make(task.__name__, (task,), content)
        copies[task].tasks = [_copied(one, copies) for one in task.tasks]
    return copies[task]


@lru_cache(maxsize=256)
def _module(path: Path, shown: str) -> ModuleType:
    """Import a file as Locust does: its folder can be imported from meanwhile. Raises PlanError with the line."""
    _listen()
    name = "brought_" + re.sub(r"\W", "_", str(path))
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PlanError([Problem(shown, "", "must be a Python file, with .py at its end")])
    module = module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"line {lines[-1]}" if lines else ""
        raise PlanError([Problem(shown, where, f"cannot be imported: {type(error).__name__}: {error}")]) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


@lru_cache(maxsize=1)
def _listen() -> None:
    """Hear of every request before the operator's own listeners do."""
    events.request.add_listener(_on_request)
    events.user_error.add_listener(_on_user_error)


def _on_request(
    request_type: str = "",
    name: str = "",
    response_time: float | None = None,
    response_length: int | None = None,
    exception: BaseException | str | None = None,
    context: object = None,
    response: object = None,
    **_: object,
) -> None:
    if isinstance(context, SampleContext):
        return
    pending = context.pop(PENDING, None) if isinstance(context, dict) else None
    if not isinstance(pending, Pending):
        user = _current_user()
        if user is None:
            return
        pending = user.proofload.begin_of_event()
    status = getattr(response, "status_code", None)
    seen = Seen(
        name=f"{request_type} {name}".strip(),
        size=response_length,
        status=status if isinstance(status, int) and status > 0 else None,
    )
    pending.witness.report(pending, response_time or 0, failure_of(exception, response), seen)


def _on_user_error(user_instance: object, exception: BaseException, **_: object) -> None:
    user = getattr(user_instance, "user", user_instance)  # Locust tells of the task set
    if isinstance(user, BroughtUser):
        user.proofload.task_failed(exception)


def _current_user() -> BroughtUser | None:
    """Return the user whose greenlet this is, or whose greenlet spawned it."""
    greenlet: Any = gevent.getcurrent()
    while greenlet is not None:
        if (user := _users.get(greenlet)) is not None:
            return user
        parent = getattr(greenlet, "spawning_greenlet", None)
        greenlet = parent() if parent is not None else None
    return None
