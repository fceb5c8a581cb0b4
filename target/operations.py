"""The routes for operators: health, metrics and faults."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from .engine import Engine
from .faults import DURATION, PARAMETERS, BadFaultError, Faults
from .telemetry import Telemetry

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Lifetime:
    """Since when the server runs, and whether it is on its way out."""

    started: float
    draining: bool = False


def router(lifetime: Lifetime, engine: Engine, faults: Faults, telemetry: Telemetry) -> APIRouter:
    """The routes /health, /metrics and /faults."""
    routes = APIRouter(tags=["operations"])
    _state(routes, lifetime, engine, faults, telemetry)
    _switches(routes, faults)
    return routes


def _state(routes: APIRouter, lifetime: Lifetime, engine: Engine, faults: Faults, telemetry: Telemetry) -> None:
    @routes.get("/health", response_model=None, summary="200 while requests are welcome, else 503")
    async def health() -> Response:
        status = "draining" if lifetime.draining else "unhealthy" if faults.get("unhealthy") else "ok"
        body = {
            "status": status,
            "uptime_s": round(time.monotonic() - lifetime.started, 3),
            "running": engine.running,
            "waiting": engine.waiting,
            "slots": engine.options.slots,
        }
        return JSONResponse(body, 200 if status == "ok" else 503)

    @routes.get("/metrics", response_model=None, summary="Prometheus text")
    async def metrics() -> Response:
        return Response(telemetry.render(), headers={"content-type": METRICS_TYPE})


def _switches(routes: APIRouter, faults: Faults) -> None:
    @routes.get("/faults", response_model=None, summary="Faults that are on, and all that there are")
    async def listed() -> Response:
        kinds = {
            kind: {
                name: {"default": parameter.default, "allowed": parameter.allowed()}
                for name, parameter in (parameters | {"duration_s": DURATION}).items()
            }
            for kind, parameters in PARAMETERS.items()
        }
        return JSONResponse({"active": [fault.describe() for fault in faults.active()], "kinds": kinds})

    @routes.put("/faults", response_model=None, summary="Switch a fault on, or change it")
    async def put(request: Request) -> Response:
        try:
            fault = faults.put(json.loads(await request.body()))
        except BadFaultError as bad:
            return JSONResponse({"detail": bad.problems}, 422)
        except ValueError:
            return JSONResponse({"detail": [{"field": "body", "message": "the body is not valid JSON"}]}, 422)
        return JSONResponse(fault.describe())

    @routes.delete("/faults", response_model=None, summary="Switch every fault off")
    async def clear_all() -> Response:
        faults.clear_all()
        return JSONResponse({"active": []})

    @routes.delete("/faults/{kind}", response_model=None, summary="Switch one fault off")
    async def clear(kind: str) -> Response:
        if kind not in PARAMETERS:
            return JSONResponse({"detail": f"there is no fault {kind!r}; there are: {', '.join(PARAMETERS)}"}, 404)
        faults.clear(kind)
        return JSONResponse({"active": [fault.describe() for fault in faults.active()]})
