"""Any API that an OpenAPI 3 document describes: operations by weight, ids out of earlier answers, checked answers."""

import itertools
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from locust import task

from clients.http import Response
from data import openapi
from data.openapi import Operation
from plans.hosts import EMBEDDED
from plans.mix import OpenApiMix
from plans.run import QueryPlan
from samples.recorder import Failure
from samples.sample import Outcome, Sample
from scenarios.base import ArrivingUser
from scenarios.session import Session

_KNOWN = 500
_CHANGES = frozenset({"PUT", "PATCH", "DELETE"})
_ANY_STATUS = tuple(range(100, 600))
Binding = Mapping[str, object]
"""Values for the parameters of a path."""


@dataclass(slots=True)
class _Resource:
    """Things at one path with an id at its end, such as `/pets/{petId}`."""

    template: str
    parameter: str
    lister: Operation | None
    creator: Operation | None
    deleted: bool
    """True when operations of the load delete such things: what may be deleted is not read by others."""
    known: list[Binding] = field(default_factory=list)
    """Things that exist, for requests that read."""
    own: deque[Binding] = field(default_factory=deque)
    """Things that the load created, for requests that change or delete; each is in one hand at a time."""
    created: set[str] = field(default_factory=set)
    """Paths of what was created and not deleted."""
    _seen: set[str] = field(default_factory=set)

    def learn(self, binding: Binding, item: object) -> None:
        """Remember what a list shows; of very many, what was seen first is forgotten."""
        value = id_of(item, self.parameter)
        if value is None:
            return
        found = {**binding, self.parameter: value}
        path = filled(self.template, found)
        if path in self._seen or path in self.created:
            return
        self._seen.add(path)
        self.known.append(found)
        if len(self.known) > _KNOWN:
            self._seen.discard(filled(self.template, self.known.pop(0)))

    def add_created(self, binding: Binding, item: object) -> None:
        """Remember a thing of one's own."""
        value = id_of(item, self.parameter)
        if value is None:
            return
        found = {**binding, self.parameter: value}
        to_change = bool(self.known) and len(self.own) < len(self.known)
        if to_change or not self.deleted:
            self.own.append(found)
        if not to_change or not self.deleted:
            self.learn(binding, item)
        self.created.add(filled(self.template, found))


@dataclass(slots=True)
class _Api:
    """A document made ready for one run: what is called, and what is known of the server's things."""

    prefix: str
    operations: list[Operation]
    weights: list[float]
    """Cumulated."""
    left_out: list[str]
    removable: set[str]
    """Paths with a method that deletes, whether the load calls it or not."""
    resources: dict[str, _Resource] = field(default_factory=dict)

    @classmethod
    def of(cls, options: OpenApiMix, seed: int) -> "_Api":
        read = openapi.read(Path(options.spec), seed)
        chosen = read.chosen(options.include, options.exclude)
        weights = list(itertools.accumulate(options.weight(operation.names) for operation in chosen))
        prefix = read.prefix if options.prefix is None else options.prefix
        by_name = {operation.name: operation for operation in read.operations}
        called = {operation.name for operation in chosen}
        removable = {one.template for one in read.operations if one.method == "DELETE"}
        api = cls(prefix, chosen, weights, read.left_out, removable)
        for operation in read.operations:
            for parent, template, parameter in steps(operation.template):
                lister, creator = by_name.get(f"GET {parent}"), by_name.get(f"POST {parent}")
                resource = _Resource(template, parameter, lister, creator, f"DELETE {template}" in called)
                api.resources.setdefault(template, resource)
        return api

    def below(self, template: str) -> _Resource | None:
        """Return the things that a collection's path lists and creates."""
        return next((one for one in self.resources.values() if _parent(one.template) == template.rstrip("/")), None)


class OpenApiUser(ArrivingUser):
    """Calls the operations of an OpenAPI document, one per arrival, and holds the answers against it."""

    options: OpenApiMix
    api: ClassVar[_Api]

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read the document, make the bodies and compile the checks."""
        options = _options(session)
        cls.api = _Api.of(options, session.seed)
        session.notes += [f"OpenApiUser: left out: {text}" for text in cls.api.left_out]

    @classmethod
    def wind_up(cls, session: Session) -> list[QueryPlan]:
        """Remove what was created, where the document says how; the embedded platform is thrown away whole."""
        options = _options(session)
        if not options.clean or session.plan.target.host == EMBEDDED:
            return []
        paths, stuck = [], 0
        for resource in cls.api.resources.values():
            if resource.template in cls.api.removable:
                paths += [cls.api.prefix + path for path in resource.created]
            else:
                stuck += len(resource.created)
        if left := stuck + session.remove(paths, options.clean_within):
            session.notes.append(f"OpenApiUser: {left} things that the load created could not be removed")
        return []

    @task
    def operate(self) -> None:
        """Call one operation, chosen by the weights."""
        random = self.session.random(self.scenario)
        self._call(random.choices(self.api.operations, cum_weights=self.api.weights)[0])

    def _call(self, operation: Operation, as_what: str = "") -> None:
        with self.measure(operation.name + as_what) as attempt:
            binding, borrowed = self._binding(operation, attempt.sample)
            self._perform(operation, binding, attempt.sample)
            if borrowed is not None and operation.method != "DELETE":
                borrowed.append(binding)  # not after a failure: what the server makes of it may come later

    def _perform(self, operation: Operation, binding: Binding, sample: Sample) -> None:
        random, path = self.session.random("requests"), self.api.prefix + filled(operation.template, binding)
        query = f"?{random.choice(operation.queries)}" if operation.queries else ""
        body = random.choice(operation.bodies) if operation.bodies else b""
        answer = self.exchange(sample, operation.method, path + query, body, expected=_ANY_STATUS)
        content = _checked(operation, answer)
        here, below = self.api.resources.get(operation.template), self.api.below(operation.template)
        if operation.method == "DELETE" and here is not None:
            here.created.discard(filled(operation.template, binding))
        if below is not None and operation.method == "POST":
            below.add_created(binding, content)
        elif below is not None and operation.method == "GET":
            for item in items_of(content):
                below.learn(binding, item)

    def _binding(self, operation: Operation, sample: Sample) -> tuple[Binding, deque[Binding] | None]:
        """Return values for the parameters in a path, and where a thing of one's own goes back to after the call.

        They are of things that exist. Only things of the load's own are changed where the load can create some.
        """
        last = self._last_resource(operation)
        if last is None:
            return {}, None
        changes = operation.method in _CHANGES and last.template == operation.template and last.creator is not None
        for source in (last.creator, last.creator) if changes else (last.lister, last.creator):
            if source is not None and source is not operation and not (last.own if changes else last.known):
                self._call(source, " (for ids)")
                sample.waited = True
        if changes:
            if not last.own:
                raise Failure(Outcome.BAD_CONTENT, "there is nothing of the load's own to change")
            return last.own.popleft(), last.own
        binding = self.session.random("known").choice(last.known) if last.known else {}
        offered = {name: self._offered(operation, name) for name in operation.parameters if name not in binding}
        return {**binding, **offered}, None

    def _last_resource(self, operation: Operation) -> _Resource | None:
        found = [self.api.resources[template] for _, template, _ in steps(operation.template)]
        return found[-1] if found else None

    def _offered(self, operation: Operation, name: str) -> object:
        values = operation.values.get(name) or operation.made.get(name)
        if not values:
            raise Failure(Outcome.BAD_CONTENT, f"no value is known for {{{name}}}, and the document offers none")
        return self.session.random("offered").choice(values)


def _checked(operation: Operation, answer: Response) -> object:
    """Return the content of an answer that is as the document declares. Raises Failure."""
    declared, check = operation.declared(answer.status)
    text = answer.body.decode("utf-8", "replace")
    if answer.status >= 500 or (answer.status >= 400 and declared):
        raise Failure(Outcome.HTTP_ERROR, f"HTTP {answer.status}: {text}", answer.status)
    if not declared:
        outcome = Outcome.HTTP_ERROR if answer.status >= 400 else Outcome.BAD_CONTENT
        raise Failure(outcome, f"HTTP {answer.status} is not declared by the document: {text}", answer.status)
    try:
        content = json.loads(answer.body) if answer.body else None
    except (ValueError, RecursionError):
        if check is not None:
            raise Failure(Outcome.BAD_CONTENT, "the answer is not JSON") from None
        return None
    if check is not None:
        wrong = check.problem(content)
        if wrong is not None:
            raise Failure(Outcome.BAD_CONTENT, f"not of the declared schema: {wrong}")
    return content


def steps(template: str) -> Iterator[tuple[str, str, str]]:
    """Yield what a path goes through: collection, thing in it, and the parameter that is its id.

    >>> list(steps("/shops/{shop}/pets/{petId}/photo"))
    [('/shops', '/shops/{shop}', 'shop'), ('/shops/{shop}/pets', '/shops/{shop}/pets/{petId}', 'petId')]
    """
    parts = template.split("/")
    for place, part in enumerate(parts):
        if match := re.fullmatch(r"\{([^{}]+)\}", part):
            yield "/".join(parts[:place]), "/".join(parts[: place + 1]), match[1]


def filled(template: str, binding: Binding) -> str:
    """Return a path with values in place of its parameters."""
    for name, value in binding.items():
        text = value if isinstance(value, str) else json.dumps(value)
        template = template.replace(f"{{{name}}}", quote(text, safe=""))
    return template


def items_of(content: object) -> list[object]:
    """Return the things that an answer lists: itself, or what stands in the lists in it, objects before words."""
    if isinstance(content, list):
        return content
    lists = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else []
    items = list(itertools.chain.from_iterable(lists))
    return [item for item in items if isinstance(item, dict)] or items


def id_of(item: object, parameter: str) -> str | int | None:
    """Return what stands for a thing in a path: the value of its parameter's name, else its `id` or `name`.

    >>> id_of({"id": 7, "name": "Rex"}, "petId"), id_of({"pet_id": "a"}, "petId"), id_of("Rex", "name")
    (7, 'a', 'Rex')
    """
    if isinstance(item, str | int) and not isinstance(item, bool):
        return item
    if not isinstance(item, dict):
        return None
    plain = {_plain(key): value for key, value in item.items() if isinstance(key, str)}
    for key in (_plain(parameter), "id", "uuid", "key", "slug", "name"):
        value = plain.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return value
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _parent(template: str) -> str:
    return template.rpartition("/")[0]


def _options(session: Session) -> OpenApiMix:
    options = session.plan.mix.OpenApiUser
    assert options is not None  # only the classes of the mix are prepared
    return options
