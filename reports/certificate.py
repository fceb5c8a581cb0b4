"""The certificate: one page over many cases, as HTML, JSON and Markdown.

python -m reports.certificate plans/hxp --runs runs
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from plans.loading import load
from plans.places import plans_in
from plans.problems import PlanError
from plans.schema import Plan
from reports.gates import LEVELS, Certificate, State, certificate
from reports.markdown import safe
from reports.render import page
from reports.suite import STYLES, known


def to_html(found: Certificate) -> str:
    """Return the page: one file, everything escaped, nothing fetched."""
    return page(
        "certificate.html.j2", STYLES, certificate=found, known=found.known, levels=LEVELS, certified=State.CERTIFIED
    )


def to_markdown(found: Certificate) -> str:
    """Return the same as GitHub Markdown."""
    reached = "none" if found.reached is None else f"{found.reached} ({LEVELS[found.reached]})"
    lines = [f"## Certificate · gate reached: {reached}", "", f"made {safe(found.made_at)}", ""]
    lines += ["| Level | Gate | Certified | State |", "|---:|---|---:|---|"]
    lines += [f"| {g.level} | {g.name} | {g.certified} of {g.cases} | {g.word} |" for g in found.gates]
    lines += ["", "| Case | Title | Level | State | Run | Verdict |", "|---|---|---:|---|---|---|"]
    lines += [
        f"| {safe(c.id)} | {safe(c.title)} | {c.level or '–'} | {c.state} | {safe(c.run or '–')} | {c.verdict or '–'} |"
        for c in found.cases
    ]
    lines += ["", "| Requirement | Case | Run | State |", "|---|---|---|---|"]
    lines += [
        f"| {safe(requirement)} | {safe(case.id)} | {safe(case.run or '–')} | {case.state} |"
        for requirement, cases in found.requirements
        for case in cases
    ]
    if found.known:
        lines += ["", "| Case | Measured | Name | Figures |", "|---|---|---|---|"]
        lines += [f"| {safe(one.plan)} | {one.kind} | {safe(one.name)} | {safe(one.figures)} |" for one in found.known]
    return "\n".join(lines) + "\n"


def to_json(found: Certificate) -> str:
    """Return the certificate for machines."""
    document = asdict(found) | {"reached": found.reached, "complete": found.complete}
    document["gates"] = [asdict(gate) | {"state": gate.word} for gate in found.gates]
    return json.dumps({"schema_version": 1, **document}, indent=1, ensure_ascii=True) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the certificate in its three forms and print it; return 0 complete, 1 open cases, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m reports.certificate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("plans", nargs="+", type=Path, metavar="PLAN", help="plan files, or folders of them")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are (default: runs)")
    parser.add_argument("--out", type=Path, default=None, help="where to write it (default: RUNS/certificate)")
    options = parser.parse_args(arguments)
    try:
        plans = [load(path) for place in options.plans for path in plans_in(place)]
    except PlanError as error:
        print(error, file=sys.stderr)
        return 2
    out = options.out or options.runs / "certificate"
    try:
        found = write(plans, options.runs, out)
    except OSError as error:
        print(f"error: the certificate cannot be written: {error}", file=sys.stderr)
        return 2
    print("\n".join(summary(found)))
    print(f"certificate: {out / 'certificate.html'}")
    return 0 if found.complete else 1


def summary(found: Certificate) -> list[str]:
    """Return the gates and the open cases, a line each."""
    lines = [f"gate {g.level} ({g.name}): {g.word}, {g.certified} of {g.cases} cases certified" for g in found.gates]
    reached = "none" if found.reached is None else f"{found.reached} ({LEVELS[found.reached]})"
    return [*lines, f"gate reached: {reached}", *(f"open: {case.id}: {case.state}" for case in found.open)]


def write(plans: Iterable[Plan], runs: Path, out: Path) -> Certificate:
    """Make the certificate and write it as HTML, JSON and Markdown. Raises OSError."""
    plans = list(plans)
    found = replace(certificate(plans, runs), known=known(plans, runs))
    out.mkdir(parents=True, exist_ok=True)
    forms = {"html": to_html(found), "json": to_json(found), "md": to_markdown(found)}
    for ending, text in forms.items():
        (out / f"certificate.{ending}").write_text(text, encoding="utf-8", errors="replace")
    return found


if __name__ == "__main__":
    sys.exit(main())
