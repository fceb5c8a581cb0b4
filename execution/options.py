"""The options of a run, for the command line and the web UI's start form alike."""

import math
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from locust.argument_parser import LocustArgumentParser
from pydantic import ValidationError

from clients.address import Address
from clients.dial import proxy_for
from clients.tls import client_context
from plans.hosts import EMBEDDED
from plans.loading import load
from plans.phases import Phase
from plans.problems import PlanError, Problem
from plans.run import scaled
from plans.schema import Plan
from plans.target import Target
from scenarios import database
from shapes.arrivals import expected

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PLAN = "plans/quickstart.yaml"
DEFAULT_SEED = 1
MOST_ARRIVALS = 50_000_000
"""The schedule is in memory before the load begins, with some 50 bytes for each."""
AS_PLANNED = "as planned"
"""What stands in the web UI's form for a host that is the plan's own."""


def add_arguments(parser: LocustArgumentParser) -> None:
    """Add Proofload's options to Locust's parser; all but the folders stand in the web UI's start form too."""

    def add(name: str, kind: type, default: object, text: str, *, form: bool) -> None:
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            help=text,
            env_var=f"PROOFLOAD_{name.replace('-', '_').upper()}",
            include_in_web_ui=form,
        )

    add("plan", str, DEFAULT_PLAN, "the plan to run", form=True)
    add("rate", float, 0.0, "requests/s in place of the plan's nominal rate; 0 keeps the plan's rates", form=True)
    add("time-scale", float, 1.0, "multiplies every duration; not 1 makes the run a rehearsal", form=True)
    add("seed", int, DEFAULT_SEED, "seed of arrivals, prompts and data", form=True)
    add("allow-host", str, "", "further hosts that load may go to, separated by commas", form=False)
    add("runs", str, str(ROOT / "runs"), "folder that run folders are made in", form=False)
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end the run when standard input ends", include_in_web_ui=False
    )
    add("metrics-port", int, 0, "serve metrics of the run for Prometheus on this port; 0: none", form=False)
    add("metrics-host", str, "127.0.0.1", "address that the port of the metrics is opened on", form=False)
    add("local-workers", int, 0, "as a master, start so many workers on this machine", form=False)
    parser.add_argument(
        "--report-later", action="store_true", help="leave the run to `python -m reports`", include_in_web_ui=False
    )
    add("run-file", str, "", "file that the path of the finished run's folder is written to", form=False)


def refuse_forks(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Raise PlanError when Locust is asked to fork: a copy of a process is no worker that begins for itself."""
    if environ.get("LOCUST_PROCESSES") or any(a.partition("=")[0] == "--processes" for a in arguments):
        raise PlanError([_option("--processes", "is not supported: use --workers of certify.py (docs/distributed.md)")])


@dataclass(frozen=True, slots=True)
class Options:
    """A run as it was asked for, checked: everything in here can be run."""

    plan: Plan
    """With the time scale, the rate and the host applied."""
    plan_file: str
    time_scale: float
    rate_scale: float
    seed: int
    runs: Path


def resolve(given: Namespace, phases: tuple[Phase, ...] | None = None) -> Options:
    """Return the options with their plan, or with `phases` in place of the plan's. Raises PlanError."""
    problems: list[Problem] = []
    time_scale, rate, seed = (_number(given, name, problems) for name in ("time_scale", "rate", "seed"))
    if not (math.isfinite(time_scale) and 0 < time_scale <= 100):
        problems.append(_option("--time-scale", f"must be > 0 and <= 100, got {time_scale:g}"))
    if not (math.isfinite(rate) and 0 <= rate <= 1_000_000):
        problems.append(_option("--rate", f"must be 0 (as planned) or up to 1000000, got {rate:g}"))
    if not 0 <= seed < 2**63:
        problems.append(_option("--seed", f"must be a whole number from 0 to 2**63 - 1, got {seed:g}"))
    runs = Path(given.runs).resolve()
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(_option("--runs", f"must be a folder that can be made, got {runs} ({error.strerror})"))
    if runs.is_dir() and not os.access(runs, os.W_OK):
        problems.append(_option("--runs", f"must be a folder that can be written to, got {runs}"))
    if getattr(given, "tags", None) or getattr(given, "exclude_tags", None):
        problems.append(_option("--tags", "is not supported: a plan's mix says who takes part"))
    if getattr(given, "otel", False) and not _sdk_installed():
        problems.append(_option("--otel", "needs the OpenTelemetry SDK, which is not installed: make otel"))
    plan, file = None, str(given.plan)
    try:
        plan = load(existing(file))
        plan = plan.model_copy(update={"target": _target(plan, given)})
        plan = plan if phases is None else _with_phases(plan, phases)
        problems += _token_problems(plan)
        problems += _connection_problems(plan, file)
        problems += [replace(problem, file=problem.file or file) for problem in database.problems(plan)]
    except PlanError as error:
        problems += error.problems
    if problems or plan is None:
        raise PlanError(problems)
    rate_scale = _rate_scale(plan, rate)
    plan = scaled(plan, time_scale, rate_scale)
    if (count := expected(plan)) > MOST_ARRIVALS:
        message = f"must make at most {MOST_ARRIVALS:,} arrivals in all, got {count:,.0f}"
        raise PlanError([Problem(file, "phases", f"{message}: lower the rate, shorten the phases or split the plan")])
    return Options(
        plan=plan,
        plan_file=file,
        time_scale=time_scale,
        rate_scale=rate_scale,
        seed=int(seed),
        runs=runs,
    )


def _sdk_installed() -> bool:
    """Return whether Locust can export; without the SDK it would run, and export nothing."""
    try:
        return find_spec("opentelemetry.sdk") is not None
    except ModuleNotFoundError:  # not even the package above it
        return False


def _token_problems(plan: Plan) -> list[Problem]:
    """A token goes into a header as it is: a line break in it would make headers of its own."""
    variables = [plan.target.api_key_env, plan.judge.api_key_env if plan.judge else None]
    accounts = plan.target.accounts
    password = accounts.password_env if accounts else None
    found = _unprintable(variables)
    if password and not os.environ.get(password):
        found.append(Problem("environment", password, "must be set: it is the password of target.accounts"))
    return found


def _unprintable(variables: list[str | None]) -> list[Problem]:
    return [
        Problem("environment", variable, "must be printable ASCII without spaces or line breaks")
        for variable in variables
        if variable and not all("!" <= character <= "~" for character in os.environ.get(variable, ""))
    ]


def _connection_problems(plan: Plan, plan_file: str) -> list[Problem]:
    """What keeps every user from connecting is told before the load: files of TLS, and a proxy of another kind."""
    tls = plan.target.connections.tls
    files = {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
    missing = [name for name, file in files.items() if file is not None and not os.access(file, os.R_OK)]
    field = "target.connections.tls"
    if missing:
        return [
            Problem(plan_file, f"{field}.{name}", f"must be a file that can be read, got {files[name]}")
            for name in missing
        ]
    try:
        client_context(tls.ca, tls.cert, tls.key)
    except OSError as error:
        return [Problem(plan_file, field, f"must be certificates and a key without password in PEM form ({error})")]
    try:
        if plan.target.host != EMBEDDED and plan.target.connections.proxy:
            proxy_for(Address.parse(plan.target.host))
    except ValueError as error:
        return [Problem("environment", "http_proxy, https_proxy", str(error))]
    return []


def _with_phases(plan: Plan, phases: tuple[Phase, ...]) -> Plan:
    """Return the plan with other phases, and with the criteria that still have a place to be taken."""
    names = {phase.name for phase in phases}
    criteria = tuple(c for c in plan.criteria if c.phase is None or c.phase in names)
    return plan.model_copy(update={"phases": phases, "criteria": criteria})


def _option(name: str, message: str) -> Problem:
    return Problem("command line", name, message)


def _number(given: Namespace, name: str, problems: list[Problem]) -> float:
    """Return a number; the web UI's form may have put text in its place."""
    value = getattr(given, name)
    try:
        return float(value)
    except (TypeError, ValueError):
        problems.append(_option(f"--{name.replace('_', '-')}", f"must be a number, got {value!r}"))
        return 1.0


def existing(file: str) -> Path:
    """Return a file's path: as given, or under Proofload's own folder when Locust was started elsewhere."""
    path = Path(file)
    return ROOT / path if not path.exists() and (ROOT / path).exists() else path


def allowed(given: Namespace) -> tuple[str, ...]:
    """Return the hosts of `--allow-host`."""
    return tuple(part.strip() for part in (given.allow_host or "").split(",") if part.strip())


def _target(plan: Plan, given: Namespace) -> Target:
    allow = allowed(given)
    asked = None if given.host == AS_PLANNED else given.host
    host = asked or plan.target.host
    try:
        return plan.target.with_host(host, allow)
    except ValidationError as error:
        source = "--host" if asked else "target.host"
        text = str(error.errors()[0]["ctx"]["error"]).removeprefix(".host ")
        raise PlanError([Problem(str(given.plan), source, text)]) from None


def _rate_scale(plan: Plan, rate: float) -> float:
    if rate == 0:
        return 1.0
    nominal = plan.nominal_rate
    if nominal is None:
        raise PlanError([_option("--rate", "needs a plan with an open phase (rate), and this one has none")])
    return rate / nominal
