"""The routes of evaluation runs: create, read, update, delete, search, compare, export and aggregate."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from .database import METRICS, STATUSES, Database, Row

ROOT = "/api/v1/evaluations/runs"
MAX_PAGE = 100
# A 32-bit id; larger numbers would be an error of the database instead of a 404 of this server.
MAX_ID = 2**31 - 1

Status = Literal["pending", "running", "completed", "failed"]
RunId = Annotated[int, Path(ge=1, le=MAX_ID)]


class Metrics(BaseModel):
    """Results of a run; what is not measured yet is null."""

    model_config = ConfigDict(extra="forbid")
    accuracy: float | None = Field(default=None, ge=0, le=1)
    latency_ms: float | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0, le=MAX_ID)
    cost_usd: float | None = Field(default=None, ge=0)


class NewRun(BaseModel):
    """Body of a POST."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    name: str = Field(min_length=1, max_length=200)
    template_name: str = Field(min_length=1, max_length=100)
    model_name: str = Field(default="mixtral-8x7b", min_length=1, max_length=100)
    description: str = Field(default="", max_length=2000)
    status: Status = "pending"
    metrics: Metrics = Metrics()


class Change(BaseModel):
    """Body of a PATCH; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})
    name: str = Field(default="", min_length=1, max_length=200)
    status: Status = "pending"
    description: str = Field(default="", max_length=2000)
    error_message: str | None = Field(default=None, max_length=500)
    metrics: Metrics = Metrics()


class Run(BaseModel):
    """A run as every route returns it; times are ISO 8601 in UTC."""

    model_config = ConfigDict(protected_namespaces=())
    id: int
    name: str
    status: Status
    template_name: str
    model_name: str
    description: str
    created_at: datetime
    updated_at: datetime
    metrics: Metrics
    error_message: str | None


class RunPage(BaseModel):
    """One page of a list; `pages` is 0 when nothing passes the filters."""

    items: list[Run]
    total: int
    page: int
    limit: int
    pages: int


class Found(BaseModel):
    """The answer to a search; `limit` says where it stopped looking."""

    items: list[Run]
    query: str
    limit: int


class Pair(BaseModel):
    """Body of a comparison."""

    run_ids: list[Annotated[int, Field(ge=1, le=MAX_ID)]] = Field(min_length=2, max_length=2)


def router(database: Database) -> APIRouter:
    """The routes under /api/v1/evaluations/runs; fixed paths come before /{run_id}, which would take them."""
    routes = APIRouter(tags=["evaluation runs"])
    _collection(routes, database)
    _comparison(routes, database)
    _single(routes, database)
    return routes


def _collection(routes: APIRouter, database: Database) -> None:
    @routes.post(ROOT, status_code=201, response_model=None, responses={201: {"model": Run}}, summary="Create a run")
    async def create(run: NewRun) -> Response:
        now = datetime.now(UTC)
        values = run.model_dump(exclude={"metrics"}) | run.metrics.model_dump()
        row = await database.insert({**values, "created_at": now, "updated_at": now})
        return JSONResponse(shown(row), 201, {"location": f"{ROOT}/{row['id']}"})

    @routes.get(ROOT, response_model=None, responses={200: {"model": RunPage}}, summary="List runs, newest first")
    async def page(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
        status: Status | None = None,
        template: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Response:
        total, rows = await database.page(status, template, limit, (page - 1) * limit)
        items = [shown(row) for row in rows]
        pages = -(-total // limit)
        return JSONResponse({"items": items, "total": total, "page": page, "limit": limit, "pages": pages})

    @routes.get(f"{ROOT}/search", response_model=None, responses={200: {"model": Found}}, summary="Search in names")
    async def search(
        q: Annotated[str, Query(min_length=1, max_length=100)],
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    ) -> Response:
        rows = await database.search(q, limit)
        return JSONResponse({"items": [shown(row) for row in rows], "query": q, "limit": limit})

    @routes.get(f"{ROOT}/stats", response_model=None, summary="Counts, averages and sums by status")
    async def stats() -> Response:
        found = {row["status"]: row for row in await database.stats()}
        by_status = {status: _aggregate(found.get(status)) for status in STATUSES}
        return JSONResponse({"total": sum(int(str(row["runs"])) for row in found.values()), "by_status": by_status})


def _comparison(routes: APIRouter, database: Database) -> None:
    @routes.post(f"{ROOT}/compare", response_model=None, summary="Difference of two runs, by metric")
    async def compare(pair: Pair) -> Response:
        return JSONResponse(await _compared(database, pair.run_ids))

    @routes.get(f"{ROOT}/compare/export", response_model=None, summary="The same as a file")
    async def export(
        run_ids: Annotated[str, Query(pattern=r"^\d{1,9},\d{1,9}$", description="two ids, separated by a comma")],
        format: Literal["csv", "json"] = "csv",  # noqa: A002 - the name of the query parameter
    ) -> Response:
        compared = await _compared(database, [int(part) for part in run_ids.split(",")])
        named = {"content-disposition": f'attachment; filename="comparison.{format}"'}
        if format == "json":
            return JSONResponse(compared, headers=named)
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(["metric", "a", "b", "difference", "relative"])
        metrics: dict[str, dict[str, object]] = compared["metrics"]
        for name, values in metrics.items():
            table.writerow([name, *values.values()])
        return Response(text.getvalue(), media_type="text/csv", headers=named)


def _single(routes: APIRouter, database: Database) -> None:
    @routes.get(f"{ROOT}/{{run_id}}", response_model=None, responses={200: {"model": Run}}, summary="One run")
    async def get(run_id: RunId) -> Response:
        return JSONResponse(shown(_existing(run_id, await database.get(run_id))))

    @routes.patch(f"{ROOT}/{{run_id}}", response_model=None, responses={200: {"model": Run}}, summary="Change a run")
    async def update(run_id: RunId, change: Change) -> Response:
        values = change.model_dump(exclude_unset=True)
        values |= values.pop("metrics", {})
        if not values:
            raise HTTPException(422, "the body changes nothing; give name, status, description or metrics")
        return JSONResponse(shown(_existing(run_id, await database.update(run_id, values))))

    @routes.delete(f"{ROOT}/{{run_id}}", status_code=204, response_model=None, summary="Delete a run")
    async def delete(run_id: RunId) -> Response:
        if not await database.delete(run_id):
            raise _missing(run_id)
        return Response(status_code=204)


def shown(row: Row) -> dict[str, object]:
    """A row of the table as the routes return it."""
    fields = dict(row)
    fields["metrics"] = {name: fields.pop(name) for name in METRICS}
    for name in ("created_at", "updated_at"):
        moment = fields[name]
        assert isinstance(moment, datetime)
        # SQLite stores no zone; all times here are UTC.
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        fields[name] = aware.isoformat()
    return fields


async def _compared(database: Database, run_ids: list[int]) -> dict[str, dict[str, dict[str, object]]]:
    first, second = run_ids
    if first == second:
        raise HTTPException(422, f"a comparison needs two different runs, got {first} twice")
    rows = await database.get_several(run_ids)
    a, b = _existing(first, rows.get(first)), _existing(second, rows.get(second))
    metrics = {name: _difference(a[name], b[name]) for name in METRICS}
    return {"runs": {"a": shown(a), "b": shown(b)}, "metrics": metrics}


def _difference(a: object, b: object) -> dict[str, object]:
    """b - a, absolutely and relative to a; null where a value is missing."""
    difference = relative = None
    if isinstance(a, int | float) and isinstance(b, int | float):
        difference = b - a
        relative = difference / a if a else None
    return {"a": a, "b": b, "difference": difference, "relative": relative}


def _aggregate(row: Row | None) -> dict[str, object]:
    row = row or {}
    names = ("accuracy", "latency_ms", "tokens", "cost_usd")
    averaged = {f"mean_{name}": row.get(name) for name in names[:2]}
    return {
        "runs": row.get("runs", 0),
        **averaged,
        **{f"total_{name}": row.get(name) or 0 for name in names[2:]},
    }


def _existing(run_id: int, row: Row | None) -> Row:
    if row is None:
        raise _missing(run_id)
    return row


def _missing(run_id: int) -> HTTPException:
    return HTTPException(404, f"there is no evaluation run with the id {run_id}")
