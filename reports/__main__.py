"""`python -m reports RUN_FOLDER`: from a run folder to the report, the verdict and its exit code."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from plans.exits import Exit
from plans.run import RUN_FILE, RunRecord
from reports.analysis import PAGE, REPORT_FOLDER, Analysis, Verdict
from reports.baselines import NotKept, keep
from reports.chat import HOSTS, ChatForm, NotAllowed, check_url, payload, send
from reports.console import print_verdict
from reports.publish import Unwritten, publish
from reports.texts import one_line

BASELINES = Path("data/baselines")
_MOST_FIELDS = 3


class NoRun(Exception):
    """The folder holds no run that can be read; the message names the folder and what is missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Analyse a run and write its report; return 0 PASS, 1 FAIL, 2 no run folder or bad usage, 3 INVALID."""
    options = _parser().parse_args(arguments)
    _tolerate_narrow_encodings()
    try:
        _check(options.folder)
        if options.webhook is not None:
            check_url(options.webhook)
    except (NoRun, NotAllowed) as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.USAGE
    doing = "analysed"
    try:
        analysis = _analyse(options.folder)
        doing = "reported"
        code = report(analysis, options.folder, options.quiet)
        _further_forms(analysis, options)
        return code if options.keep is None else _keep(analysis, options.keep)
    except Exception as error:  # an operator gets a sentence, and the run is not certified
        print(f"INVALID: {options.folder} could not be {doing}: {_words(error)}", file=sys.stderr)
        if options.traceback:
            traceback.print_exc()
        else:
            print("The run folder is unchanged; --traceback shows where it happened.", file=sys.stderr)
        return Exit.INVALID


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument(
        "folder", type=Path, metavar="RUN_FOLDER", help=f"folder of a run: the one that holds {RUN_FILE}"
    )
    parser.add_argument("--quiet", action="store_true", help="print only the verdict and the path of the page")
    parser.add_argument("--keep", metavar="NAME", help=f"keep its figures as a baseline, {BASELINES}/NAME.json")
    parser.add_argument("--parquet", action="store_true", help="write every sample as a Parquet file, too")
    parser.add_argument("--webhook-file", type=Path, metavar="FILE", help="write the run in a few lines for a chat")
    parser.add_argument("--webhook", metavar="URL", help=f"send these lines; the host must be in {HOSTS}")
    parser.add_argument(
        "--webhook-form", type=ChatForm, choices=list(ChatForm), default=ChatForm.SLACK, help="who reads them (slack)"
    )
    parser.add_argument("--traceback", action="store_true", help="show where a defect of Proofload happened")
    return parser


def _further_forms(analysis: Analysis, options: argparse.Namespace) -> None:
    """Write and send what was asked for beside the report. What cannot be is said, and leaves the verdict as it is."""
    if options.parquet:
        from reports.parquet import write_parquet  # noqa: PLC0415  # as below

        try:
            print(f"samples: {write_parquet(options.folder)}")
        except OSError as error:
            print(f"error: the samples could not be written: {_words(error)}", file=sys.stderr)
    lines = payload(analysis, options.webhook_form)
    if options.webhook_file is not None:
        try:
            options.webhook_file.write_bytes(lines)
        except OSError as error:
            print(f"error: could not write {options.webhook_file}: {_words(error)}", file=sys.stderr)
    if options.webhook is not None and (why := send(options.webhook, lines)) is not None:
        print(f"error: the webhook did not take the report: {why}", file=sys.stderr)


def _keep(analysis: Analysis, name: str) -> int:
    try:
        print(f"baseline: {keep(analysis, name, BASELINES)}")
    except NotKept as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.USAGE
    except OSError as error:
        print(f"error: the baseline cannot be written: {_words(error)}", file=sys.stderr)
        return Exit.USAGE
    return Verdict.PASS.exit_code


def report(analysis: Analysis, folder: Path, quiet: bool = False) -> int:
    """Write and print the report of an analysis; return the exit code, which is never 0 when a form is missing."""
    unwritten = publish(analysis, folder)
    try:
        _tell(analysis, folder, quiet, unwritten)
        sys.stdout.flush()
    except (OSError, SystemExit):  # the latter is what rich makes of a broken pipe
        # Whoever read it has gone; the forms are on disk. A flush at exit must not fail again.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if unwritten and analysis.verdict is Verdict.PASS:
        print("INVALID: the limits held, but the evidence could not be kept.", file=sys.stderr)
        return Verdict.INVALID.exit_code
    return analysis.verdict.exit_code


def _tell(analysis: Analysis, folder: Path, quiet: bool, unwritten: Sequence[Unwritten]) -> None:
    if quiet:
        print(f"{analysis.verdict.value} {one_line(analysis.run.plan.id)}")
    else:
        print_verdict(analysis, sys.stdout)
    for form in unwritten:
        print(f"error: could not write {form}", file=sys.stderr)
    page = folder / REPORT_FOLDER / PAGE
    if not any(form.path in (page, page.parent) for form in unwritten):
        print(f"report: {page}")


def _analyse(folder: Path) -> Analysis:
    # Here and not above: pandas and scipy take a second that a wrong folder need not cost.
    from reports.analyzer import analyze  # noqa: PLC0415

    return analyze(folder)


def _check(folder: Path) -> None:
    """Raise NoRun when the folder is not one that a run wrote."""
    if not folder.exists():
        raise NoRun(f"{folder} does not exist")
    if not folder.is_dir():
        raise NoRun(f"{folder} is not a folder; give the run folder that holds {RUN_FILE}")
    if not (folder / RUN_FILE).exists():
        raise NoRun(f"{folder} is no run folder: {RUN_FILE} is missing")
    try:
        RunRecord.read(folder)
    except ValidationError as error:
        raise NoRun(f"{folder / RUN_FILE} is not the record of a run: {_fields(error)}") from None
    except (OSError, ValueError) as error:
        raise NoRun(f"{folder / RUN_FILE} cannot be read: {_words(error)}") from None


def _fields(error: ValidationError) -> str:
    """Return the first wrong fields in words; a record has too many to list them all."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    words = [f"{'.'.join(map(str, one['loc']))} {one['msg']}".strip() for one in found[:_MOST_FIELDS]]
    more = f" (and {len(found) - _MOST_FIELDS} more)" if len(found) > _MOST_FIELDS else ""
    return one_line("; ".join(words), 600) + more


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return f"{type(error).__name__}: {one_line(str(error), 600)}"


def _tolerate_narrow_encodings() -> None:
    """Let a terminal that lacks a sign show a question mark instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
