"""SQL: named queries against a database, through a pool of connections whose wait is measured apart."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, ClassVar

from locust import task

from clients.errors import ClientError, QueryFailed
from data import tables
from plans.database import OWN_FILE, DatabaseMix
from plans.loading import load_queries
from plans.problems import PlanError, Problem
from plans.queries import Drawn, NamedQuery
from plans.run import QueryPlan
from plans.schema import Plan
from samples.recorder import Failure
from samples.sample import Protocol, Sample
from scenarios.base import ArrivingUser, outcome_of
from scenarios.session import Session

if TYPE_CHECKING:
    from clients.sql import SqlClient

_FILL_BATCH = 1000
_BATCHES = 20
"""Batches of rows that are made before the load, for the inserts of the load to choose from."""
Parameters = dict[str, object]


@dataclass(slots=True)
class _Prepared:
    """A query with the values that its parameters are chosen from."""

    query: NamedQuery
    choices: dict[str, Sequence[object]] = field(default_factory=dict)
    batches: list[list[Parameters]] = field(default_factory=list)

    def parameters(self, random: Random) -> Parameters | list[Parameters]:
        """Return what the next execution is given."""
        if self.batches:
            return random.choice(self.batches)
        if self.query.batch > 1:
            return [self._one(random) for _ in range(self.query.batch)]
        return self._one(random)

    def _one(self, random: Random) -> Parameters:
        return {name: random.choice(values) for name, values in self.choices.items()}


class DatabaseUser(ArrivingUser):
    """Executes one query per arrival, chosen by its weight, and fetches all its rows."""

    protocol = Protocol.SQL
    options: DatabaseMix
    database: ClassVar["SqlClient"]
    found: ClassVar[str] = ""
    """What was found of the database before the load."""
    trouble: ClassVar[str | None] = None
    """Why it is not ready; None when it is."""
    queries: ClassVar[dict[str, _Prepared]]
    weights: ClassVar[dict[str, tuple[list[str], list[float]]]]
    """Per phase the names of the queries and their cumulated weights."""

    @classmethod
    def prepare(cls, session: Session) -> None:
        """Read the queries, and generate the rows that they insert."""
        options = _options(session)
        cls.found, cls.trouble = "", None
        cls.queries = {name: _Prepared(query) for name, query in queries_of(options).items()}
        for prepared in cls.queries.values():
            if prepared.query.rows is not None:
                size = prepared.query.batch
                rows = tables.run_rows(session.seed + 1, size * _BATCHES)
                prepared.batches = [list(itertools.islice(rows, size)) for _ in range(_BATCHES)]
        cls.weights = {phase.name: cls._weights(options.only.get(phase.name)) for phase in session.plan.phases}
        from clients.sql import SqlClient  # noqa: PLC0415 - 12 MB and a tenth of a second for those who query

        url = options.url_in_use(session.folder)
        cls.database = SqlClient(url, connections=options.connections, timeout=options.timeout)

    @classmethod
    def _weights(cls, only: tuple[str, ...] | None) -> tuple[list[str], list[float]]:
        names = list(only or cls.queries)
        weights = [cls.queries[name].query.weight for name in names]
        return names, list(itertools.accumulate(weights))

    @classmethod
    def warm_up(cls, session: Session) -> None:
        """Make and fill the tables, and draw the values of parameters. What fails is told, and the load goes on."""
        options = _options(session)
        try:
            if options.queries is None and session.leads:
                cls._make_tables(session.seed, options)
            for prepared in cls.queries.values():
                for name, source in prepared.query.parameters.items():
                    values = cls._drawn(source) if isinstance(source, Drawn) else source
                    if not values:
                        raise QueryFailed(f"parameter {name}: its query found no value")
                    prepared.choices[name] = values
            cls.found = f"{cls.database.backend}: {len(cls.queries)} kinds of queries"
        except ClientError as error:
            cls.trouble = str(error)

    @classmethod
    def _drawn(cls, source: Drawn) -> list[object]:
        return [row[0] for row in cls.database.run(source.query).rows]

    @classmethod
    def _make_tables(cls, seed: int, options: DatabaseMix) -> None:
        database = cls.database
        for statement in (*(tables.DROP if options.clean else ()), *tables.create(database.backend)):
            database.run(statement)
        if database.run("SELECT COUNT(*) FROM proofload_templates").rows[0][0] == 0:
            database.run(tables.INSERT_TEMPLATE, tables.templates())
        present = int(database.run("SELECT COUNT(*) FROM proofload_runs").rows[0][0])
        rows = tables.run_rows(seed, max(options.rows - present, 0))
        insert = cls.queries["bulk_insert"].query.sql
        while batch := list(itertools.islice(rows, _FILL_BATCH)):
            database.run(insert, batch)
        if database.backend in {"postgresql", "sqlite"}:
            database.run("ANALYZE")  # a planner without statistics would not choose as it does in production

    @classmethod
    def wind_up(cls, session: Session) -> list[QueryPlan]:
        """Explain each query on the data as the load left it, remove the tables, and close the connections."""
        options = _options(session)
        if not session.leads:
            cls.database.close()
            return []
        random, plans = session.random("explain"), []
        try:
            for name, prepared in cls.queries.items():
                parameters = prepared.parameters(random)
                one = parameters[0] if isinstance(parameters, list) else parameters
                plans.append(cls._plan(name, prepared.query.sql, one))
            if options.queries is None and options.clean:
                for statement in tables.DROP:
                    cls.database.run(statement)
        except ClientError as error:
            session.notes.append(f"DatabaseUser: the database could not be left as it was: {error}")
        finally:
            cls.database.close()
            if options.own_file:
                for file in session.folder.glob(f"{OWN_FILE}*"):
                    file.unlink(missing_ok=True)
        return plans

    @classmethod
    def _plan(cls, name: str, sql: str, parameters: Parameters) -> QueryPlan:
        try:
            explained = cls.database.explain(sql, parameters)
        except ClientError as error:
            return QueryPlan(name=name, sql=sql, plan=str(error))
        if explained is None:
            return QueryPlan(name=name, sql=sql, plan="this database's way of explaining is not known")
        return QueryPlan(
            name=name, sql=sql, plan=explained.text, indexes=list(explained.indexes), scanned=list(explained.scanned)
        )

    def open(self) -> None:
        """The users of a process share the pool."""

    def close(self) -> None:
        """Closed for all of them when the load is over."""

    @task
    def query(self) -> None:
        """One query, chosen by the weights that hold in the phase in which it is due."""
        arrival = self._arrival
        names, weights = self.weights[arrival.phase if arrival else self.session.plan.phases[-1].name]
        random = self.session.random(self.scenario)
        name = random.choices(names, cum_weights=weights)[0]
        prepared = self.queries[name]
        with self.measure(name) as attempt:
            self._execute(attempt.sample, prepared.query.sql, prepared.parameters(random))

    def _execute(self, sample: Sample, sql: str, parameters: Parameters | list[Parameters]) -> None:
        sample.sent_s = self.session.clock()
        try:
            rows = self.database.run(sql, parameters)
        except ClientError as error:
            raise Failure(outcome_of(error), str(error)) from None
        clock = self.session.clock
        sample.done_s, sample.rows = clock.at(rows.done), rows.count
        sample.pool_wait_ms = (clock.at(rows.acquired) - sample.sent_s) * 1000
        sample.connect_ms = rows.connect_ms


def queries_of(options: DatabaseMix) -> dict[str, NamedQuery]:
    """Return the queries of a plan: its own file's, or the built-in ones. Raises PlanError."""
    return load_queries(Path(options.queries) if options.queries is not None else tables.QUERIES)


def problems(plan: Plan) -> list[Problem]:
    """Return what is wrong with a plan's `DatabaseUser` beyond what its schema shows."""
    options, field = plan.mix.DatabaseUser, "mix.DatabaseUser"
    if options is None:
        return []
    found: list[Problem] = []
    if (refused := options.problem(plan.target.allow)) is not None:
        found.append(Problem("", f"{field}.url", refused))
    from clients.sql import driver_url  # noqa: PLC0415 - as above

    try:
        driver_url(options.url_in_use(Path()))
    except ValueError as error:
        found.append(Problem("", f"{field}.url", str(error)))
    try:
        known = queries_of(options)
    except PlanError as error:
        return [*found, *error.problems]
    phases = {phase.name for phase in plan.phases}
    found += [
        Problem("", f"{field}.only.{name}", "is not a phase of the plan") for name in options.only if name not in phases
    ]
    for phase, names in options.only.items():
        wrong = [name for name in names if name not in known]
        if wrong or not sum(known[name].weight for name in names if name in known):
            all_of_them = ", ".join(known)
            message = f"must name queries of weight > 0 ({all_of_them}), got {', '.join(wrong or names)}"
            found.append(Problem("", f"{field}.only.{phase}", message))
    return found


def _options(session: Session) -> DatabaseMix:
    options = session.plan.mix.DatabaseUser
    assert options is not None  # only the classes of the mix are prepared
    return options
