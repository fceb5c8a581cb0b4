"""Is everything as it should be before load begins? Each precondition is checked, and the failed ones are named."""

import json
import os

from clients.errors import ClientError
from execution import dependencies
from execution.options import existing
from plans.capacity import Capacity
from plans.run import Precondition
from plans.schema import Plan
from scenarios.database import DatabaseUser
from scenarios.session import Session

_TIMEOUT_S = 5.0
_RESTING = {"target.cpu_cores": 0.5, "server.requests_running": 0.0, "server.requests_waiting": 0.0}
"""The most that a server at rest does: an engine's idle loop may take a part of a core."""
_WORDS = {
    "target.cpu_cores": "CPU {:.2f} cores",
    "target.rss_bytes": "memory {:.3g} bytes",
    "server.requests_running": "{:g} requests running",
    "server.requests_waiting": "{:g} waiting",
    "server.kv_cache_share": "KV-cache {:.0%}",
    "gpu.memory_used_bytes": "GPU memory {:.3g} bytes",
}


def check(session: Session) -> list[Precondition]:
    """Return what was found of the service and of this machine. A failed one is told, and the load decides."""
    found = [service(session)] if session.plan.mix.needs_server else []
    return [*found, _machine(), *dependencies.check(session.plan)]


def service(session: Session) -> Precondition:
    """Return whether the server under test answers, and what."""
    path = session.plan.target.health
    try:
        with session.client() as client:
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


def baseline(plan: Plan) -> tuple[list[Precondition], dict[str, object] | None]:
    """Return whether the plan's baseline is known, and what stands in it; nothing for a plan without one."""
    if plan.baseline is None:
        return [], None
    name = "baseline known"
    try:
        figures = json.loads(existing(plan.baseline).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [Precondition(name=name, held=False, found=f"{plan.baseline} cannot be read: {error}")], None
    if not isinstance(figures, dict) or not figures:
        return [Precondition(name=name, held=False, found=f"{plan.baseline} holds no figures")], None
    return [Precondition(name=name, held=True, found=f"{plan.baseline}: {len(figures)} entries")], figures


def canaries(session: Session) -> list[Precondition]:
    """Return whether the canaries have answers from before the load; nothing in a plan without them."""
    chat = session.plan.mix.ChatUser
    if chat is None or not chat.canaries:
        return []
    answered = len(session.unloaded)
    found = f"{answered} unloaded answers" if answered else "no answer before the load; consistency cannot be told"
    return [Precondition(name="canaries answered", held=answered > 0, found=found)]


def database(session: Session) -> list[Precondition]:
    """Return whether the database is as its users need it; nothing in a plan without them."""
    if session.plan.mix.DatabaseUser is None:
        return []
    trouble = DatabaseUser.trouble
    return [Precondition(name="database ready", held=trouble is None, found=trouble or DatabaseUser.found)]


def capacity(found: Capacity) -> list[Precondition]:
    """Return whether the plan asks for no more than was calibrated; nothing where that is not known."""
    if found.share is None:
        return []
    return [Precondition(name="within the calibrated capacity", held=found.share <= 1, found=found.sentence())]


def monitors(error: str | None, missing: list[str] | None = None) -> Precondition:
    """Return whether the monitor samples; `error` is what kept it from it, `missing` what it has not to watch."""
    found = error or "; ".join(["a reading before the load", *(missing or [])])
    return Precondition(name="monitors collecting", held=error is None, found=found)


def target_at_rest(before: dict[str, float]) -> Precondition:
    """Return whether the server had nothing to do in the monitor's last reading before the load."""
    busy = [name for name, most in _RESTING.items() if before.get(name, 0.0) > most]
    told = [words.format(before[name]) for name, words in _WORDS.items() if name in before]
    if not told:
        return Precondition(name="target at rest", held=False, found="no reading of the target before the load")
    return Precondition(name="target at rest", held=not busy, found=", ".join(told))
