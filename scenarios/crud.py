"""CRUD on evaluation runs: three kinds of API users, the mix of operations, and answers that are checked."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar
from urllib.parse import quote_plus

from locust import task

from clients.errors import ClientError
from plans.hosts import EMBEDDED
from plans.mix import CrudMix, Operations
from plans.run import QueryPlan
from samples.recorder import Attempt, Failure
from samples.sample import Outcome, Sample
from scenarios.base import ArrivingUser
from scenarios.evaluation_runs import Fields, KnownRuns, RunId, a_run, compared, content, expect, exported, runs_in
from scenarios.session import Session

_WARM_UP_S = 3.0
_PAGE, _LONG_PAGE = 20, 100
_SEARCHES = ("baseline", "summary", "accuracy", "nightly", "regression", "chat")


class _EvaluationUser(ArrivingUser):
    """What the three kinds of API users have in common."""

    abstract = True
    options: CrudMix
    operations: ClassVar[Operations] = Operations()
    known: ClassVar[KnownRuns]

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Generate the bodies of creations; what is known of the server's runs starts afresh."""
        cls.known = KnownRuns(session.seed)

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Learn the ids of some runs. A server that does not answer is found out by the load, not here."""
        path = f"{_options(cls, session).path}?page=1&limit={_LONG_PAGE}"
        with session.client() as client, suppress(ClientError, Failure):
            cls._remember(runs_in(client.request("GET", path, timeout=_WARM_UP_S), _LONG_PAGE))

    @classmethod
    def wind_up(cls, session: Session) -> list[QueryPlan]:
        """Remove the runs that were created; the embedded platform is thrown away whole."""
        options = _options(cls, session)
        if options.clean and session.plan.target.host != EMBEDDED:
            left = cls.known.remove_created(session.remove, options.path, options.clean_within)
            if left is not None:
                session.notes.append(f"{cls.__name__}: {left}")
        return []

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        weights = (self.options.operations or self.operations).model_dump()
        self._names, self._weights = list(weights), list(itertools.accumulate(weights.values()))
        self._choose = self.session.random(self.scenario).choices

    @task
    def operate(self) -> None:
        """Begin one operation, chosen by the weights of the mix."""
        name = self._choose(self._names, cum_weights=self._weights)[0]
        action: Callable[[Attempt], None] = getattr(self, f"_{name}")
        with self.measure(name) as attempt:
            action(attempt)

    def _list(self, attempt: Attempt) -> None:
        page = self.session.random("pages").randint(1, 5)
        answer = self.exchange(attempt.sample, "GET", f"{self.options.path}?page={page}&limit={_PAGE}")
        self._remember(runs_in(answer, _PAGE))

    def _create(self, attempt: Attempt) -> None:
        run, body = self.session.random("payloads").choice(self.known.payloads)
        self.known.unanswered += 1
        try:
            answer = self.exchange(attempt.sample, "POST", self.options.path, body, expected=(201,))
        except Failure as failure:
            self.known.unanswered -= failure.outcome is Outcome.HTTP_ERROR  # refused: there is no run
            raise
        created = a_run(content(answer))
        self.known.unanswered -= 1
        self.known.add_created(created["id"], created["name"])
        a_run(created, dict(run))

    def _details(self, attempt: Attempt) -> None:
        run_id = self._some_run(attempt.sample)
        written: Fields = {"id": run_id}
        if run_id in self.known.created:
            written["name"] = self.known.created[run_id]
        a_run(content(self.exchange(attempt.sample, "GET", f"{self.options.path}/{run_id}")), written)

    def _search(self, attempt: Attempt) -> None:
        text = self.session.random("searches").choice(_SEARCHES)
        answer = self.exchange(attempt.sample, "GET", f"{self.options.path}/search?q={quote_plus(text)}&limit={_PAGE}")
        for run in runs_in(answer, _PAGE):
            found_in = f"{run['name']} {run.get('description')} {run['template_name']}"
            expect(text in found_in.lower(), "the search found a run without the text")

    def _compare(self, attempt: Attempt) -> None:
        pair = self._two_runs(attempt.sample)
        body = json.dumps({"run_ids": pair}).encode()
        compared(self.exchange(attempt.sample, "POST", f"{self.options.path}/compare", body), pair)

    def _update(self, attempt: Attempt) -> None:
        """Change a run of one's own, and look whether the change was kept."""
        random = self.session.random("updates")
        with self._own_run(attempt.sample) as run_id:
            change: Fields = {
                "status": random.choice(("running", "completed", "failed")),
                "description": f"changed under load, {random.getrandbits(64):016x}",
            }
            written, path = {"id": run_id} | change, f"{self.options.path}/{run_id}"
            answer = self.exchange(attempt.sample, "PATCH", path, json.dumps(change).encode())
            a_run(content(answer), written)
            with self.measure("update (read back)") as back:
                a_run(content(self.exchange(back.sample, "GET", path)), written)
            if back.sample.outcome is Outcome.BAD_CONTENT:
                raise Failure(Outcome.BAD_CONTENT, f"read back after the update: {back.sample.error}")

    def _export(self, attempt: Attempt) -> None:
        ids = ",".join(map(str, self._two_runs(attempt.sample)))
        exported(self.exchange(attempt.sample, "GET", f"{self.options.path}/compare/export?run_ids={ids}&format=csv"))

    def _some_run(self, sample: Sample) -> RunId:
        return self.session.random("known").choice(self._known_ids(sample, 1))

    def _two_runs(self, sample: Sample) -> list[RunId]:
        return self.session.random("known").sample(self._known_ids(sample, 2), 2)

    def _known_ids(self, sample: Sample, least: int) -> Sequence[RunId]:
        """Return ids of runs that exist; with too few known, ask for the list first, as an extra request."""
        if len(self.known.ids) < least:
            with self.measure("list (for ids)") as extra:
                self._list(extra)
            # What follows starts late because of this request, and not because the load generator is slow.
            sample.waited = True
        if len(self.known.ids) < least:
            raise Failure(Outcome.BAD_CONTENT, f"the server has fewer than {least} runs to work on")
        return self.known.ids

    @contextmanager
    def _own_run(self, sample: Sample) -> Iterator[RunId]:
        """Take a run that this load created and nobody else is changing; without one, create it first, as an extra."""
        known = self.known
        if not known.idle:
            with self.measure("create (to update)") as extra:
                self._create(extra)
            sample.waited = True
        if not known.idle:
            raise Failure(Outcome.BAD_CONTENT, "there is no run to update: it could not be created")
        run_id = known.idle.popleft()
        yield run_id
        known.idle.append(run_id)  # not after a failure: what the server makes of it may come later

    @classmethod
    def _remember(cls, runs: list[Fields]) -> None:
        for run in runs:
            cls.known.add(run["id"])


def _options(cls: type[_EvaluationUser], session: Session) -> CrudMix:
    options = session.plan.mix.arriving()[cls.__name__]
    assert isinstance(options, CrudMix)  # held by the plan's schema
    return options


class EvaluationRunUser(_EvaluationUser):
    """Regular work: all operations, in the proportions of the platform."""


class HighVolumeUser(_EvaluationUser):
    """Creates many runs, and looks at them now and then."""

    operations = Operations(list=0.1, create=0.8, details=0.1, search=0, compare=0, update=0, export=0)


class ReadOnlyUser(_EvaluationUser):
    """Analytics: reads alone."""

    operations = Operations(list=0.4, create=0, details=0.2, search=0.2, compare=0.15, update=0, export=0.05)
