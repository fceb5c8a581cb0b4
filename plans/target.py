"""Where the load goes, and how the server under test is watched."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from plans.accounts import Accounts
from plans.connections import Connections
from plans.durations import Duration
from plans.headers import Headers
from plans.hosts import EMBEDDED, host_problem, url_problem
from plans.strict import Frozen

_NO_SECRETS = "put a token into the environment and name it in target.api_key_env"
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class Process(Frozen):
    """How the server's process is found when it runs on this machine: exactly one of pid, port or name."""

    pid: int | None = Field(None, gt=0)
    port: int | None = Field(None, gt=0, lt=65536)
    name: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.pid, self.port, self.name)) != 1:
            raise ValueError(" must have exactly one of pid, port, name")
        return self


class Queries(Frozen):
    """PromQL expressions that give one value each."""

    memory_bytes: str | None = Field(None, min_length=1)
    cpu_cores: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _any(self) -> Self:
        if self.memory_bytes is None and self.cpu_cores is None:
            raise ValueError(" must have memory_bytes, cpu_cores or both")
        return self


class Resources(Frozen):
    """Where CPU and memory of a server come from whose process is not on this machine."""

    prometheus: str | None = Field(None, description="URL of a Prometheus server that watches the server under test")
    preset: Literal["page", "process", "cadvisor", "node_exporter"] | None = None
    selector: str = Field("", description="label matchers of the preset's series")
    queries: Queries | None = None
    interval: Duration = Field(15.0, ge=1, le=60, description="how often Prometheus has new values")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.preset is None) == (self.queries is None):
            raise ValueError(" must have exactly one of preset, queries")
        if self.preset == "page" and self.prometheus is not None:
            raise ValueError(".prometheus must be left out: preset page reads the page in target.prometheus")
        if self.preset != "page" and self.prometheus is None:
            raise ValueError(".prometheus is missing: the URL of the Prometheus server to ask")
        if self.selector and self.preset in (None, "page"):
            raise ValueError(".selector belongs to the presets process, cadvisor and node_exporter")
        return self


class Target(Frozen):
    """The server under test. `host: embedded` starts Proofload's own platform on a free loopback port."""

    host: str = EMBEDDED
    model: str = "embedded"
    allow: tuple[str, ...] = Field((), description="host names, or *.suffix, that load may go to beside loopback")
    api_key_env: Variable | None = Field(
        None,
        description="environment variable that holds the bearer token",
    )
    headers: Headers = Field(default_factory=dict)
    accounts: Accounts | None = None
    connections: Connections = Field(default_factory=Connections)
    health: str = Field("/health", pattern="^/[!-~]*$", description="path that tells whether the service is well")
    process: Process | None = None
    prometheus: str | None = Field(
        None, description="page of the server's own metrics: a URL, or a path on the target's host"
    )
    resources: Resources | None = None

    @field_validator("process", "prometheus", "api_key_env", mode="before")
    @classmethod
    def _blank(cls, value: object) -> object:
        """An empty text, as `${VAR:-}` leaves it, means: not given."""
        return None if value == "" else value

    @model_validator(mode="after")
    def _allowed_host(self) -> Self:
        if self.host != EMBEDDED and (problem := host_problem(self.host, self.allow)):
            raise ValueError(f".host {problem}")
        if self.resources is not None and self.resources.preset == "page" and self.prometheus is None:
            raise ValueError(".prometheus is missing: resources with preset page read CPU and memory from it")
        return self

    @model_validator(mode="after")
    def _allowed_sources(self) -> Self:
        """What is only read is contacted too."""
        page = self.prometheus if self.prometheus is not None and not self.prometheus.startswith("/") else None
        source = self.resources.prometheus if self.resources is not None else None
        for field, url, example in (
            (".prometheus", page, "http://127.0.0.1:8000/metrics, or a path such as /metrics"),
            (".resources.prometheus", source, "http://127.0.0.1:9090"),
        ):
            if url is not None and (problem := url_problem(url, self.allow, example=example, secret=_NO_SECRETS)):
                raise ValueError(f"{field} {problem}")
        return self

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.api_key_env and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError(".headers.Authorization must not be given beside api_key_env")
        if self.accounts is not None and (
            self.api_key_env or any(name.lower() == "authorization" for name in self.headers)
        ):
            raise ValueError(".accounts must not be given beside api_key_env or headers.Authorization")
        return self

    def with_host(self, host: str, allow: tuple[str, ...] = ()) -> "Target":
        """Return the target at another host. Raises pydantic's ValidationError when it is not allowed."""
        return Target.model_validate(self.model_dump() | {"host": host, "allow": (*self.allow, *allow)})
