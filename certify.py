"""Runs one plan or many, one after the other, and exits with the worst verdict.

    python certify.py plans/quickstart.yaml
    python certify.py plans/hxp/mixtral-load.yaml --time-scale 0.02 --host http://127.0.0.1:11400
    python certify.py plans/catalytic --scenario spike,mixed

Every plan is checked before the first one runs. Exit codes: 0 PASS, 1 FAIL, 2 bad plan or usage, 3 INVALID.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from plans.apart import OWN_GROUP, pass_on
from plans.exits import Exit
from plans.places import plans_in
from plans.problems import PlanError

ROOT = Path(__file__).resolve().parent
_MOST_WORKERS = 1000
_BY_SEVERITY = (Exit.PASS, Exit.FAIL, Exit.INVALID, Exit.USAGE)
_PASSED_ON = ("host", "rate", "time_scale", "seed", "allow_host", "runs", "metrics_port", "metrics_host")


@dataclass(frozen=True, slots=True)
class Certified:
    """What came out of one plan; `folder` is None when no run came about."""

    plan: Path
    exit_code: int
    folder: Path | None

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return "NOT RUN" if self.exit_code == Exit.USAGE else Exit(self.exit_code).name


def main(arguments: Sequence[str]) -> int:
    """Run the plans; the result is the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    try:
        named, plans, left_out = _chosen(options)
    except PlanError as error:
        print(error, file=sys.stderr)
        return Exit.USAGE
    if options.docker:
        return Runner([]).run_in_docker([argument for argument in arguments if argument != "--docker"])
    passed_on = [f"--{key.replace('_', '-')}={value}" for key in _PASSED_ON if (value := getattr(options, key))]
    passed_on += [*_distribution(options), f"--loglevel={'INFO' if options.verbose else 'WARNING'}"]
    passed_on += [f"--{key.replace('_', '-')}" for key in ("otel", "report_later") if getattr(options, key)]
    runner = Runner(passed_on)
    results = runner.run_all(plans)
    if len(plans) > 1:
        _pages(results, named, Path(options.runs or "runs"))
        print("\n" + "\n".join(_summary(results)))
    for path in left_out:
        print(f"left out: {path} (a soak; --include-soak runs it)")
    return max((result.exit_code for result in results), key=_BY_SEVERITY.index)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="certify.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("plans", nargs="+", metavar="PLAN", help="plan file, or a folder of them")
    parser.add_argument("--host", help="URL of the server under test, in place of the plan's")
    parser.add_argument("--allow-host", help="further hosts that load may go to, separated by commas")
    parser.add_argument("--rate", help="requests/s in place of the plan's nominal rate")
    parser.add_argument("--time-scale", help="multiplies every duration; makes the run a rehearsal")
    parser.add_argument("--seed", help="seed of arrivals, prompts and data")
    parser.add_argument("--metrics-port", help="serve metrics of the run for Prometheus on this port (default: none)")
    parser.add_argument("--metrics-host", help="address that the port of the metrics is opened on (default: 127.0.0.1)")
    parser.add_argument("--workers", type=_count, help="make the load in so many worker processes of this machine")
    parser.add_argument("--master", action="store_true", help="make the load in workers that come from elsewhere")
    parser.add_argument("--expect-workers", type=_count, default=1, help="with --master: wait for so many (default: 1)")
    parser.add_argument("--master-bind-host", default="127.0.0.1", help="address for workers (default: 127.0.0.1)")
    parser.add_argument("--master-bind-port", type=int, default=5557, help="port for workers (default: 5557)")
    parser.add_argument("--scenario", help="only plans whose files have these names, separated by commas: spike,mixed")
    parser.add_argument(
        "--include-soak", action="store_true", help="run the plans of a folder that have the tag soak, too"
    )
    parser.add_argument("--tags", help="only plans with one of these tags, separated by commas")
    parser.add_argument("--exclude-tags", help="no plan with one of these tags, separated by commas")
    parser.add_argument("--docker", action="store_true", help="do all that in the containers of docker-compose.yml")
    parser.add_argument(
        "--otel", action="store_true", help="export metrics of the run by OpenTelemetry, as Locust does"
    )
    parser.add_argument(
        "--report-later", action="store_true", help="record only: `python -m reports` judges the run (exit code 3)"
    )
    parser.add_argument("--verbose", action="store_true", help="let Locust tell what it does: users, shape, end")
    runs = os.environ.get("PROOFLOAD_RUNS")  # of the settings that Locust reads itself, the one that is used here too
    parser.add_argument("--runs", default=runs, help="folder that run folders are made in (default: runs)")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"must be 1 to {_MOST_WORKERS}, got {count}")
    return count


def _distribution(options: argparse.Namespace) -> list[str]:
    """Return Locust's options for a load that workers make; none for a load of one process."""
    if options.workers:
        place = ["--master-bind-host=127.0.0.1", "--master-bind-port=0", f"--local-workers={options.workers}"]
    elif options.master:
        place = [f"--master-bind-host={options.master_bind_host}", f"--master-bind-port={options.master_bind_port}"]
    else:
        return []
    return ["--master", f"--expect-workers={options.workers or options.expect_workers}", *place]


def _chosen(options: argparse.Namespace) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the plans that are named, those to be run and those left out. Raises PlanError with what is wrong.

    A single file leaves no choice, and Locust checks it: what loads plans would take 18 MB beside the whole load.
    """
    places = [_place(Path(text)) for text in options.plans]
    wishes = options.scenario or options.tags or options.exclude_tags
    if len(places) == 1 and not places[0].is_dir() and not wishes:
        return places, places, []
    from plans.choosing import Wanted, choose, words  # noqa: PLC0415

    named = [plan for place in places for plan in plans_in(place)]
    alone = [place for place in places if not place.is_dir()]
    scenarios, tags, unwanted = map(words, (options.scenario, options.tags, options.exclude_tags))
    found = choose(named, alone, Wanted(scenarios, tags, unwanted, options.include_soak))
    return named, found.plans, found.left_out


def _place(path: Path) -> Path:
    """Return the path; Proofload's own plans can be named from any folder."""
    return ROOT / path if not path.exists() and (ROOT / path).exists() else path


def _pages(results: Sequence[Certified], plans: Sequence[Path], runs: Path) -> None:
    """Write the summary of what ran, and the certificate over the cases among the plans.

    A plan is a case when it has a level. A page that cannot be written changes no verdict.
    """
    # Beside the load, which is over here, pandas would take 100 MB and a second at the start.
    from plans.loading import load  # noqa: PLC0415
    from reports import certificate, suite  # noqa: PLC0415

    try:
        ran = suite.suite([(load(one.plan), one.verdict, one.folder) for one in results], runs)
        print(f"\n{ran.passed} of {len(results)} plans passed; summary: {suite.write(ran, runs / 'suite')}")
        if cases := [plan for plan in map(load, plans) if plan.level is not None]:
            found = certificate.write(cases, runs, runs / "certificate")
            print("\n".join(certificate.summary(found)))
            print(f"certificate: {runs / 'certificate' / 'certificate.html'}")
    except OSError as error:
        print(f"the summary cannot be written: {error}", file=sys.stderr)


class Runner:
    """Starts Locust once per plan, or the containers. Signals are passed on, and no further plan is begun."""

    def __init__(self, passed_on: list[str]) -> None:
        self._passed_on = passed_on
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._to_pass_on: list[int] = []

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def run_all(self, plans: Sequence[Path]) -> list[Certified]:
        """Run the plans in order; those after an interruption are not run, and count as INVALID."""
        return [self._run(plan) for plan in plans]

    def run_in_docker(self, arguments: Sequence[str]) -> int:
        """Let the containers of docker-compose.yml do what the command line asks for; the result is their exit code."""
        return self._follow([sys.executable, str(ROOT / "deploy" / "compose.py"), "run", *arguments])

    def _follow(self, command: Sequence[str]) -> int:
        # Of OTLP's protocols this one is installed by `make otel`; Locust's own default is gRPC.
        otlp = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        environment = otlp | os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        # In a session of its own: a Ctrl-C then reaches it once, from here, however this program was interrupted.
        # Its input ends when this program does, also when that was killed: it then ends the run in order.
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, start_new_session=True, creationflags=OWN_GROUP
        ) as self._process:
            self._pass_on()
            return self._process.wait()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stopped = True
        self._to_pass_on.append(number)
        self._pass_on()

    def _pass_on(self) -> None:
        """Give Locust the signals that it has not had, one that came while it was being started among them."""
        while self._process is not None and self._to_pass_on:
            pass_on(self._to_pass_on.pop(0), self._process)

    def _run(self, plan: Path) -> Certified:
        if self._stopped:
            return Certified(plan, Exit.INVALID, None)
        with tempfile.TemporaryDirectory() as scratch:
            run_file = Path(scratch) / "run"
            command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfile.py"), "--headless"]
            command += [f"--plan={plan}", f"--run-file={run_file}"]
            command += ["--exit-with-parent", *self._passed_on]
            code = self._follow(command)
            folder = Path(run_file.read_text(encoding="utf-8")) if run_file.exists() else None
        if folder is None and code != Exit.USAGE:
            print(f"{plan}: the load generator ended with code {code} before it could make a report", file=sys.stderr)
            print("what it recorded is in the newest run folder: python -m reports runs/<id>", file=sys.stderr)
        if folder is None:
            return Certified(plan, Exit.USAGE if code == Exit.USAGE else Exit.INVALID, None)
        return Certified(plan, code if code in _BY_SEVERITY else Exit.INVALID, folder)


def _summary(results: Sequence[Certified]) -> list[str]:
    width = max(len(str(result.plan)) for result in results)
    return [
        f"{result.verdict:<8} {result.plan!s:<{width}}  "
        + (str(result.folder / "report" / "report.html") if result.folder else "no run")
        for result in results
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
