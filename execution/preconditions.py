"""Is everything as it should be before load begins? Each precondition is checked, and the failed ones are named."""

import json
import os

from clients.errors import ClientError
from clients.http import HttpClient
from execution.options import existing
from plans.run import Precondition
from plans.schema import Plan
from scenarios.session import Session

_TIMEOUT_S = 5.0


def check(session: Session) -> list[Precondition]:
    """Return what was found of the service and of this machine. A failed one is told, and the load decides."""
    return [_service(session), _machine(), *_baseline(session.plan)]


def _service(session: Session) -> Precondition:
    path = session.plan.target.health
    try:
        with HttpClient(session.host, session.headers()) as client:
            status = client.request("GET", path, timeout=_TIMEOUT_S).status
    except ClientError as error:
        return Precondition(name="service healthy", held=False, found=f"no answer from {session.host}{path}: {error}")
    # A server without such a path says 404, and is there; only its own word that it is not well counts against it.
    return Precondition(name="service healthy", held=status < 500, found=f"HTTP {status} from {path}")


def _machine() -> Precondition:
    name, cpus = "machine at rest", os.cpu_count() or 1
    if not hasattr(os, "getloadavg"):
        return Precondition(name=name, held=True, found="this system tells no load average")
    load = os.getloadavg()[0]
    return Precondition(name=name, held=load < cpus, found=f"load average {load:.2f} on {cpus} CPUs")


def _baseline(plan: Plan) -> list[Precondition]:
    if plan.baseline is None:
        return []
    name, file = "baseline known", existing(plan.baseline)
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [Precondition(name=name, held=False, found=f"{plan.baseline} cannot be read: {error}")]
    return [Precondition(name=name, held=bool(figures), found=f"{plan.baseline}: {len(figures)} entries")]


def monitors(error: str | None) -> Precondition:
    """Return whether the monitor samples; `error` is what kept it from it."""
    return Precondition(name="monitors collecting", held=error is None, found=error or "a reading before the load")
