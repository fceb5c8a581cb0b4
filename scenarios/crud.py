"""CRUD on evaluation runs: three kinds of API users, the mix of operations, and answers that are checked."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import quote_plus

from locust import task

from clients.errors import ClientError
from clients.http import HttpClient, Response
from data import generators
from plans.mix import CrudMix, Operations
from samples.recorder import Attempt, Failure
from samples.sample import Outcome, Sample
from scenarios.base import ArrivingUser
from scenarios.session import Session

_KNOWN_RUNS = 500
_PAYLOADS = 200
_WARM_UP_S = 3.0
_SEARCHES = ("baseline", "summary", "accuracy", "nightly", "regression", "chat")

RunId = int | str


class _KnownRuns:
    """Ids of runs that exist on the server, shared by the users of a process: later requests build on them."""

    def __init__(self, seed: int) -> None:
        self.ids: list[RunId] = []
        self._seen: set[RunId] = set()
        runs = generators.evaluation_runs(seed, _PAYLOADS)
        self.payloads = [(run["name"], json.dumps(run).encode()) for run in runs]

    def add(self, run_id: RunId) -> None:
        """Remember a run; of very many, the ones that were seen first are forgotten."""
        if run_id in self._seen:
            return
        self.ids.append(run_id)
        self._seen.add(run_id)
        if len(self.ids) > _KNOWN_RUNS:
            self._seen.remove(self.ids.pop(0))


class _EvaluationUser(ArrivingUser):
    """What the three kinds of API users have in common."""

    abstract = True
    operations: ClassVar[Operations] = Operations()
    known: ClassVar[_KnownRuns]

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Generate the bodies of creations; what is known of the server's runs starts afresh."""
        cls.known = _KnownRuns(session.seed)

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Learn the ids of some runs. A server that does not answer is found out by the load, not here."""
        options = session.plan.mix.arriving()[cls.__name__]
        assert isinstance(options, CrudMix)  # held by the plan's schema
        with HttpClient(session.host, session.headers()) as client, suppress(ClientError, Failure):
            cls._remember(_items(_json(client.request("GET", f"{options.path}?page=1&limit=100", timeout=_WARM_UP_S))))

    @property
    def options(self) -> CrudMix:
        """The plan's options of this scenario."""
        options = self.session.plan.mix.arriving()[self.scenario]
        assert isinstance(options, CrudMix)  # held by the plan's schema
        return options

    @task
    def operate(self) -> None:
        """Begin one operation, chosen by the weights of the mix."""
        operations = self.options.operations or self.operations
        weights = operations.model_dump()
        name = self.session.random(self.scenario).choices(list(weights), list(weights.values()))[0]
        action: Callable[[Attempt], None] = getattr(self, f"_{name}")
        with self.measure(name) as attempt:
            action(attempt)

    def _list(self, attempt: Attempt) -> None:
        page = self.session.random("pages").randint(1, 5)
        answer = _json(self.exchange(attempt.sample, "GET", f"{self.options.path}?page={page}&limit=20"))
        self._remember(_items(answer))

    def _create(self, attempt: Attempt) -> None:
        name, body = self.session.random("payloads").choice(self.known.payloads)
        answer = _json(self.exchange(attempt.sample, "POST", self.options.path, body, expected=(201,)))
        _expect(answer.get("name") == name, "the created run has another name")
        self._remember([answer])

    def _details(self, attempt: Attempt) -> None:
        run_id = self._some_run(attempt.sample)
        answer = _json(self.exchange(attempt.sample, "GET", f"{self.options.path}/{run_id}"))
        _expect(answer.get("id") == run_id, "the answer is about another run")

    def _search(self, attempt: Attempt) -> None:
        text = self.session.random("searches").choice(_SEARCHES)
        answer = _json(self.exchange(attempt.sample, "GET", f"{self.options.path}/search?q={quote_plus(text)}"))
        _items(answer)

    def _compare(self, attempt: Attempt) -> None:
        body = json.dumps({"run_ids": self._two_runs(attempt.sample)}).encode()
        _json(self.exchange(attempt.sample, "POST", f"{self.options.path}/compare", body))

    def _update(self, attempt: Attempt) -> None:
        run_id = self._some_run(attempt.sample)
        status = self.session.random("updates").choice(("running", "completed", "failed"))
        body = json.dumps({"status": status}).encode()
        answer = _json(self.exchange(attempt.sample, "PATCH", f"{self.options.path}/{run_id}", body))
        _expect(answer.get("status") == status, "the update was not kept")

    def _export(self, attempt: Attempt) -> None:
        ids = ",".join(map(str, self._two_runs(attempt.sample)))
        response = self.exchange(attempt.sample, "GET", f"{self.options.path}/compare/export?run_ids={ids}&format=csv")
        _expect(b"," in response.body and b"\n" in response.body, "the export is not CSV")

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

    @classmethod
    def _remember(cls, runs: list[dict[str, Any]]) -> None:
        for run in runs:
            if isinstance(run_id := run.get("id"), int | str):
                cls.known.add(run_id)


def _json(response: Response) -> dict[str, Any]:
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        raise Failure(Outcome.BAD_CONTENT, "the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise Failure(Outcome.BAD_CONTENT, f"the answer must be an object, got {type(answer).__name__}")
    return answer


def _items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    items = answer.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Failure(Outcome.BAD_CONTENT, "the answer has no list of items")
    return items


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failure(Outcome.BAD_CONTENT, otherwise)


class EvaluationRunUser(_EvaluationUser):
    """Regular work: all operations, in the proportions of the platform."""


class HighVolumeUser(_EvaluationUser):
    """Creates many runs, and looks at them now and then."""

    operations = Operations(list=0.1, create=0.8, details=0.1, search=0, compare=0, update=0, export=0)


class ReadOnlyUser(_EvaluationUser):
    """Analytics: reads alone."""

    operations = Operations(list=0.4, create=0, details=0.2, search=0.2, compare=0.15, update=0, export=0.05)
