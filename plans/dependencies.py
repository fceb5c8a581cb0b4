"""What the server under test depends on, to be checked before the load."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BeforeValidator, Field

from plans.durations import Duration
from plans.hosts import url_problem
from plans.strict import Frozen

_SCHEMES = {
    "postgresql": frozenset({"postgresql", "postgres"}),
    "redis": frozenset({"redis", "rediss"}),
    "qdrant": frozenset({"http", "https"}),
    "prometheus": frozenset({"http", "https"}),
}
_EXAMPLES = {
    "postgresql": "postgresql://me@127.0.0.1:5432/llm",
    "redis": "redis://127.0.0.1:6379/0",
    "qdrant": "http://127.0.0.1:6333",
    "prometheus": "http://127.0.0.1:9090",
}


class Dependency(Frozen):
    """One service. A text in its place is its URL."""

    url: str
    secret_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable with the password (PostgreSQL, Redis), API key (Qdrant) or bearer token",
    )


def _written(value: object) -> object:
    """A text means the URL; an empty one, as `${VAR:-}` leaves it, means: not given."""
    if isinstance(value, str):
        return {"url": value} if value else None
    return None if isinstance(value, dict) and value.get("url") == "" else value


_Short = Annotated[
    Dependency | None, BeforeValidator(_written, json_schema_input_type=Dependency | str | None), Field()
]


class Dependencies(Frozen):
    """The services by kind; each is checked step by step, and each step has the time limit."""

    postgresql: _Short = None
    redis: _Short = None
    qdrant: _Short = None
    prometheus: _Short = None
    timeout: Duration = Field(5.0, ge=1, le=60)

    def services(self) -> Iterator[tuple[str, Dependency]]:
        """Yield the kind and the address of each service that is given."""
        for kind in _SCHEMES:
            found = getattr(self, kind)
            if found is not None:
                yield kind, found

    def problem(self, allow: tuple[str, ...]) -> str | None:
        """Return what is wrong with the first URL that is not one to send to, with its place; None: all may."""
        for kind, dependency in self.services():
            secret = f"put the password into the environment and name it in dependencies.{kind}.secret_env"
            found = url_problem(
                dependency.url, allow, example=_EXAMPLES[kind], secret=secret, schemes=_SCHEMES[kind], user=True
            )
            if found:
                return f".dependencies.{kind} {found}"
        return None
