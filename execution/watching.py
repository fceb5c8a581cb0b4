"""What the monitor is told to watch: the options of its process, from the plan and the host."""

import os
from urllib.parse import quote, urlsplit, urlunsplit

from plans.schema import Plan, loopback
from plans.target import Resources

_EMBEDDED_PAGE = "/metrics"
_DATABASE = "PROOFLOAD_MONITORED_DATABASE"


def options(plan: Plan, host: str, pid: int | None) -> list[str]:
    """Return the monitor's options; `pid` is the embedded platform's process, None for another server."""
    target, monitors = plan.target, plan.monitors
    result = ["--host"] if monitors.host else []
    if monitors.gpu and monitors.target and loopback(host):
        result.append("--gpu")
    if _database(plan) is not None:
        result += ["--database", _DATABASE]
    if monitors.target:
        # A platform of this run's own is always seen as a process; the plan's words are for one that is elsewhere.
        resources = target.resources if pid is None else None
        result += _process(plan, host, pid) if resources is None else _resources(resources)
    page = target.prometheus or (_EMBEDDED_PAGE if pid is not None else None)
    if page is not None and (monitors.server or "--page-process" in result):
        result += _page(host, page, target.api_key_env)
    return result


def secrets(plan: Plan) -> dict[str, str]:
    """Return what the monitor must know and no command line may show: the URL of the database, its password in it."""
    url = _database(plan)
    return {} if url is None else {_DATABASE: url}


def _database(plan: Plan) -> str | None:
    """Return the URL of the PostgreSQL that the load goes to, or that the server under test depends on."""
    if not plan.monitors.database:
        return None
    loaded, needed = plan.mix.DatabaseUser, plan.dependencies.postgresql
    if loaded is not None:
        parts = urlsplit(loaded.url.get_secret_value())
        kind = parts.scheme.partition("+")[0]
        return urlunsplit(parts._replace(scheme="postgresql")) if kind in {"postgresql", "postgres"} else None
    if needed is None:
        return None
    parts = urlsplit(needed.url)
    password = os.environ.get(needed.secret_env, "") if needed.secret_env else ""
    if not password:
        return needed.url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))


def _process(plan: Plan, host: str, pid: int | None) -> list[str]:
    """Return how the target's process is found, when it runs here."""
    if not loopback(host):
        return []
    if pid is not None:
        return ["--target-pid", str(pid)]
    if plan.target.process is not None:
        field, value = next((k, v) for k, v in plan.target.process.model_dump().items() if v is not None)
        return [f"--target-{field}", str(value)]
    parts = urlsplit(host)
    if parts.scheme == "http+unix":
        return []  # no port leads from a Unix socket to its process; target.process can name it
    return ["--target-port", str(parts.port or 80)]


def _resources(resources: Resources) -> list[str]:
    if resources.prometheus is None:
        return ["--page-process"]
    result = ["--prometheus", resources.prometheus, "--scraped-every", str(resources.interval)]
    if resources.preset is not None:
        return [*result, "--preset", resources.preset, "--selector", resources.selector]
    assert resources.queries is not None  # held by the plan's schema
    queries = resources.queries.model_dump(exclude_none=True)
    return [*result, *(part for name, query in queries.items() for part in ("--query", f"{name}={query}"))]


def _page(host: str, page: str, token_variable: str | None) -> list[str]:
    parts, own = urlsplit(page), urlsplit(host)
    if not parts.scheme:
        page = f"{own.scheme}://{own.netloc}{page}"
    elif parts.path in ("", "/"):
        page = page.rstrip("/") + "/metrics"
    # The token is the server's: nobody else gets it.
    same = not parts.scheme or (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
    return ["--page", page, *(["--page-token", token_variable] if token_variable and same else [])]
