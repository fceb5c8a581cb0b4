"""WHO queries a database: the options of `DatabaseUser`, and the files of named queries."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, PlainSerializer, SecretStr

from plans.arriving import Arriving
from plans.hosts import name_problem

SQLITE = "sqlite"
"""A database file of the run's own, which is removed at its end."""


OWN_FILE = "load.db"


class DatabaseUrl(SecretStr):
    """A database's URL; wherever it is written down its password shows as asterisks."""

    def _display(self) -> str:
        parts = urlsplit(self.get_secret_value())
        if not parts.password:
            return self.get_secret_value()
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))

    @property
    def password(self) -> str | None:
        """What no record may show."""
        return urlsplit(self.get_secret_value()).password


def _a_database(url: DatabaseUrl) -> DatabaseUrl:
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if text != SQLITE and not (parts.scheme and (parts.hostname or parts.scheme.startswith("sqlite"))):
        raise ValueError(f"must be 'sqlite', or a URL such as postgresql://user@host/name, got '{url}'")
    return url


class DatabaseMix(Arriving):
    """Options of `DatabaseUser`: one query per arrival, through a pool of connections."""

    url: Annotated[DatabaseUrl, AfterValidator(_a_database), PlainSerializer(str, str, when_used="json")] = Field(
        DatabaseUrl(SQLITE), description="the database; 'sqlite' is a file of the run's own"
    )
    connections: int = Field(10, ge=1, le=10_000, description="size of the pool of each process")
    rows: int = Field(1000, ge=1, le=1_000_000, description="runs that the built-in tables hold before the load")
    clean: bool = Field(True, description="make the built-in tables anew, and remove them after the load")
    queries: str | None = Field(None, min_length=1, description="YAML file of named queries in place of the built-in")
    only: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default_factory=dict, description="phase: the queries that alone are made in it"
    )

    def problem(self, allow: tuple[str, ...]) -> str | None:
        """Return why load must not go to the database, or None when it may."""
        host = urlsplit(self.url.get_secret_value()).hostname
        return None if host is None else name_problem(host, allow)

    def url_in_use(self, folder: Path) -> str:
        """Return the URL that is connected to; `folder` takes the file of the run's own database."""
        return f"sqlite:///{(folder / OWN_FILE).as_posix()}" if self.own_file else self.url.get_secret_value()

    @property
    def own_file(self) -> bool:
        """True when the database is a file of the run's own."""
        return self.url.get_secret_value() == SQLITE
