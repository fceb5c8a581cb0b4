"""What every user of a run shares: one typed object on the user class, set when a run begins."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic

import gevent.event

from clients.http import HttpClient
from clients.options import Limits, Options, Tls
from plans.run import derive_seed
from plans.schema import Plan
from samples.answers import KeptAnswers
from samples.recorder import Recorder
from scenarios.clean_up import remove
from scenarios.dispatcher import Dispatcher

_SHORTEST_SECRET = 6


def client_options(plan: Plan) -> Options:
    """Return what the plan says of connections."""
    given = plan.target.connections
    return Options(
        connect_timeout=given.connect_timeout,
        first_byte_timeout=given.first_byte_timeout,
        idle_timeout=given.idle_timeout,
        tls=Tls(given.tls.ca, given.tls.cert, given.tls.key, given.tls.server_name),
        proxy=given.proxy,
        compression=given.compression,
        cookies=given.cookies,
        follow_redirects=given.follow_redirects,
        limits=Limits(body_bytes=given.body_limit_mb * 2**20),
    )


def headers_of(plan: Plan) -> dict[str, str]:
    """Return the headers of every request; the bearer token comes from the environment and is kept nowhere else."""
    headers = {name: value.get_secret_value() for name, value in plan.target.headers.items()}
    variable = plan.target.api_key_env
    token = os.environ.get(variable) if variable else None
    return headers | {"Authorization": f"Bearer {token}"} if token else headers


def secrets_of(plan: Plan) -> tuple[str, ...]:
    """Return what must not be kept, should a server send it back. A very short value would spoil ordinary words."""
    words = [value.removeprefix("Bearer ") for value in headers_of(plan).values()]
    if plan.mix.DatabaseUser is not None:
        words.append(plan.mix.DatabaseUser.url.password or "")
    return tuple(word for word in words if len(word) >= _SHORTEST_SECRET)


class Clock:
    """Seconds from the run's origin, on the monotonic clock; negative until the load begins."""

    __slots__ = ("origin",)

    def __init__(self) -> None:
        self.origin = monotonic()

    def __call__(self) -> float:
        """Return the time now."""
        return monotonic() - self.origin

    def at(self, moment: float) -> float:
        """Return a moment of `time.monotonic()` in seconds from the origin."""
        return moment - self.origin


@dataclass(slots=True)
class Session:
    """One run in this process."""

    plan: Plan
    host: str
    seed: int
    stripe: int
    clock: Clock
    recorder: Recorder
    dispatcher: Dispatcher
    folder: Path
    """The run folder."""
    firsts: dict[str, int] = field(default_factory=dict)
    """Number of the first arrival of each phase: from there the rows of a recording are counted."""
    started: gevent.event.Event = field(default_factory=gevent.event.Event)
    """Set at the run's origin; users that hold connections wait for it."""
    stopping: gevent.event.Event = field(default_factory=gevent.event.Event)
    """Set when no further work may begin."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the report must know of what was found before the load."""
    answers: KeptAnswers = field(default_factory=KeptAnswers)
    """The answers that the report shows, and a sample of all of them for a judge."""
    unloaded: dict[str, str] = field(default_factory=dict)
    """The answers to the canaries before the load, by the prompt's id."""
    places: int = 1
    """Processes that make this load; `stripe` is the place of this one among them, from 0."""
    leads: bool = True
    """True in the process that makes and removes what all of them use."""
    left_over: list[str] | None = None
    """Paths of what this process has made, for others to remove: they still use it. None: it removes them itself."""
    _users: Iterator[int] = field(default_factory=count)
    _random: dict[str, Random] = field(default_factory=dict)

    def random(self, name: str) -> Random:
        """Return the source of random numbers of one consumer, the same one at every call."""
        if name not in self._random:
            self._random[name] = Random(derive_seed(self.seed, name, self.stripe))
        return self._random[name]

    def next_user(self) -> int:
        """Return the number of a user that has just come, from 1; another one in every process."""
        return 1 + self.stripe + next(self._users) * self.places

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return headers_of(self.plan)

    def client(self, *, together: bool = False) -> HttpClient:
        """Return a new client of the target, as the plan has its connections; `together` for one that reads streams."""
        options = replace(client_options(self.plan), together=together)
        return HttpClient(self.host, self.headers(), options=options)

    def remove(self, paths: list[str], within: float) -> int:
        """Delete what the load has made on the server, for `within` seconds at most; return how many are left."""
        if self.left_over is not None:
            self.left_over += paths
            return 0
        return remove(self.client, paths, within)

    def phase_at(self, t: float) -> str:
        """Return the name of the phase at `t` seconds; the first before the origin, the last after the end."""
        end = 0.0
        for phase in self.plan.phases:
            end += phase.duration
            if t < end:
                return phase.name
        return self.plan.phases[-1].name
