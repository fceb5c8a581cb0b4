"""Accounts on the server under test: who the users log in as."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from plans.strict import Frozen

Path = Annotated[str, Field(pattern="^/[!-~]*$")]


class Accounts(Frozen):
    """A pool of accounts, the same ones in every run: users take them in turn."""

    count: int = Field(100, ge=1, le=1_000_000, description="size of the pool")
    name: str = Field("load-{number:05d}", min_length=1, description="user name; {number} counts from 1")
    password_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="variable with the password of all; else made from the name",
    )
    login: Path = Field("/api/v1/auth/login", description="POST of username and password")
    refresh: Path | None = Field("/api/v1/auth/refresh", description="POST of refresh_token; null: log in anew")
    logout: Path | None = Field("/api/v1/auth/logout", description="POST at a user's end; null: none")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        try:
            names = {self.name_of(1), self.name_of(2)}
        except (LookupError, ValueError, AttributeError, TypeError):
            names = set()
        if len(names) < 2:
            raise ValueError(f".name must hold {{number}}, such as 'load-{{number:05d}}', got '{self.name}'")
        return self

    def name_of(self, number: int) -> str:
        """Return the user name of an account; those beyond the pool are its first ones again."""
        return self.name.format(number=(number - 1) % self.count + 1)
