"""Named SQL queries: the ones of a plan, or the user's own file of them."""

from typing import Annotated, Literal

from pydantic import Field

from plans.strict import Frozen

Scalar = str | int | float | bool | None


class Drawn(Frozen):
    """Values that the database gives before the load, such as ids that exist: the first column of a query."""

    query: str = Field(min_length=1)


class NamedQuery(Frozen):
    """One kind of query. `:name` in its SQL stands for a parameter."""

    sql: str = Field(min_length=1)
    weight: float = Field(1.0, ge=0, description="share of the queries that are of this kind")
    parameters: dict[str, Annotated[list[Scalar], Field(min_length=1)] | Drawn] = Field(
        default_factory=dict, description="values to choose from, one at random for each execution"
    )
    rows: Literal["evaluation_runs"] | None = Field(None, description="parameters are generated rows, by column name")
    batch: int = Field(1, ge=1, le=100_000, description="sets of parameters that are sent at once")


class QueryFile(Frozen):
    """A file of named queries."""

    queries: dict[Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,60}$")], NamedQuery] = Field(min_length=1)
