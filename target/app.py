"""Puts the parts together: one `Platform` is everything behind one port."""

from __future__ import annotations

import os
import time

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from . import accounts, errors, llm, operations, runs, sessions, updates
from .database import Database
from .engine import Engine, RefusedError
from .faults import Faults
from .gateway import Gateway
from .operations import Lifetime
from .options import Options
from .telemetry import RouteNames, Telemetry

CRASHED = 70
"""Exit code of the fault `crash`."""


class Platform:
    """The parts of one server, started and stopped together."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.lifetime = Lifetime(started=time.monotonic())
        self.faults = Faults(options.seed)
        self.engine = Engine(options.engine, self.faults)
        live = updates.Updates(self.faults)
        self.telemetry = Telemetry(self.engine, self.faults, lambda: live.open, lambda: self.database.pool)
        live.telemetry = self.telemetry
        self.sessions = sessions.Sessions(self.faults, options.seed, self.telemetry.registry)
        self.database = Database(options.database, self.telemetry.database_seconds)
        self.app = self._application(live)

    async def start(self) -> None:
        """Open the database and start the engine; raises `database.DatabaseUnavailableError`."""
        await self.database.start(self._options.seed_runs, self._options.seed)
        self.engine.start()
        self.sessions.start()

    def drain(self) -> None:
        """Take no new requests and let those inside finish, freed from what slowed them on purpose."""
        self.lifetime.draining = True
        self.engine.drain()
        self.faults.clear_all()

    async def stop(self) -> None:
        """Give everything back."""
        self.faults.clear_all()
        await self.sessions.stop()
        await self.engine.stop()
        await self.database.stop()

    def _application(self, live: updates.Updates) -> ASGIApp:
        app = FastAPI(title="Platform under test", version="1", redoc_url=None)
        app.include_router(llm.router(self._options, self.engine, self.faults))
        people = accounts.Accounts(self._options.token_s)
        app.include_router(accounts.router(people))
        guards = [Depends(accounts.required(people))] if self._options.require_login else []
        app.include_router(runs.router(self.database), dependencies=guards)
        app.include_router(sessions.router(self.sessions), dependencies=guards)
        app.include_router(updates.router(live))
        app.include_router(operations.router(self.lifetime, self.engine, self.faults, self.telemetry))
        app.add_exception_handler(RequestValidationError, errors.on_invalid)
        app.add_exception_handler(errors.ModelError, errors.on_model_error)
        app.add_exception_handler(RefusedError, errors.on_refused)
        app.add_exception_handler(HTTPException, errors.on_http_error)
        names = RouteNames([*app.openapi()["paths"], "/openapi.json", "/docs"])
        return Gateway(app, self.faults, self.telemetry, names, self._crash)

    def _crash(self) -> None:
        """End the process as one that crashes does: every connection is lost, and nobody listens any more."""
        self.faults.clear_all()
        self.database.remove()
        os._exit(CRASHED)
