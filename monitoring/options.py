"""The options of the monitor."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

from monitoring.lookup import ByName, ByPid, ByPort, Lookup
from monitoring.remote import EXPORTERS, METRICS


class Options(argparse.Namespace):
    """What to watch, and where the readings go."""

    folder: Path
    origin: float | None
    interval: float
    host: bool
    gpu: bool
    exit_with_parent: bool
    lookup: Lookup | None
    page: str | None
    page_process: bool
    page_token: str | None
    database: str | None
    prometheus: str | None
    preset: str | None
    selector: str
    query: list[tuple[str, str]]
    scraped_every: float


def parse(arguments: Sequence[str] | None, description: str | None) -> Options:
    """Return the options; wrong usage ends the process with code 2."""
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=description, allow_abbrev=False)
    parser.add_argument("--folder", type=_folder, required=True, help="the run's folder")
    parser.add_argument(
        "--origin",
        type=_number,
        help="time.monotonic() at the run's second 0; may lie ahead. Left out: it is a line of standard input",
    )
    parser.add_argument("--interval", type=_interval, default=1.0, help="seconds between readings (default: 1)")
    parser.add_argument("--host", action="store_true", help="watch the machine")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--target-pid", dest="lookup", type=_by_pid, metavar="N", help="watch this process")
    which.add_argument("--target-port", dest="lookup", type=_by_port, metavar="N", help="... the one that listens")
    which.add_argument("--target-name", dest="lookup", type=_by_name, metavar="TEXT", help="... the one called so")
    _add_sources(parser)
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    options = parser.parse_args(arguments, namespace=Options())
    watched = (options.host, options.lookup, options.gpu, options.page, options.database, options.prometheus)
    if not any(watched):
        parser.error(
            "there is nothing to watch: give --host, --gpu, --page, --database, --prometheus, or one of --target-pid, "
            "--target-port, --target-name"
        )
    if options.prometheus is not None and bool(options.preset) == bool(options.query):
        parser.error("--prometheus needs either --preset or --query")
    return options


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gpu", action="store_true", help="watch the GPUs of this machine")
    parser.add_argument("--page", metavar="URL", help="read this page of the server's own metrics")
    parser.add_argument("--page-process", action="store_true", help="the process that serves the page is the server")
    parser.add_argument("--page-token", metavar="VARIABLE", help="environment variable with the page's bearer token")
    parser.add_argument(
        "--database", metavar="VARIABLE", help="environment variable with the URL of a PostgreSQL to ask"
    )
    parser.add_argument(
        "--prometheus", metavar="URL", help="ask this Prometheus server for the target's CPU and memory"
    )
    parser.add_argument("--preset", choices=EXPORTERS, help="... as this exporter names them")
    parser.add_argument("--selector", default="", metavar="MATCHERS", help="... of the series with these labels")
    parser.add_argument(
        "--query", type=_query, action="append", default=[], metavar="NAME=EXPRESSION", help="... or by this expression"
    )
    parser.add_argument("--scraped-every", type=_interval, default=15.0, help="... which has new values so often")


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder that exists, got '{text}'")
    if not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"must be a folder that can be written to, got '{text}'")
    return path


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, got '{text}'")
    return value


def _interval(text: str) -> float:
    value = _number(text)
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be from 0.05 to 3600 seconds, got '{text}'")
    return value


def _whole(text: str, highest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= highest:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {highest}, got '{text}'")
    return value


def _by_pid(text: str) -> ByPid:
    return ByPid(_whole(text, 2**31 - 1))


def _by_port(text: str) -> ByPort:
    return ByPort(_whole(text, 65535))


def _by_name(text: str) -> ByName:
    if not text.strip():
        raise argparse.ArgumentTypeError("must be the name of a process, got an empty text")
    return ByName(text)


def _query(text: str) -> tuple[str, str]:
    name, _, expression = text.partition("=")
    if name not in METRICS or not expression.strip():
        raise argparse.ArgumentTypeError(f"must be {' or '.join(METRICS)}, =, and an expression, got '{text}'")
    return METRICS[name], expression
