"""A new test case from a template: what the id says is what the plan becomes."""

import re
from pathlib import Path

from plans.loading import load
from plans.problems import PlanError, Problem

BASES = Path(__file__).parent / "base"
KINDS = ("llm", "api")
_TYPES = {"LOAD": ("load", "Load testing"), "STRESS": ("stress", "Stress testing"), "BENCH": ("bench", "Benchmark")}
_ID = re.compile(r"TC-L3-([A-Z]+)-([A-Z]+)-(\d{3})")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")

_TEMPLATE = """\
# yaml-language-server: $schema=../plan.schema.json
# {title}: everything but the identity and the target comes from {base}.
#   {variable}_HOST   http://127.0.0.1:8000, say; without it the case runs on the embedded platform
extends: {base}
id: {id}
title: {title}
component: {service}
tags: [{kind}, {service}]
traceability: {{}}    # requirement, user_story, architecture, task
target: {{host: "${{{variable}_HOST:-embedded}}"{model}}}
"""


def new_case(case: str, service: str, kind: str, folder: Path) -> Path:
    """Write a plan for a service into `folder` and return its path. Raises PlanError and writes nothing then."""
    found = _ID.fullmatch(case)
    problems = []
    if found is None or found[2] not in _TYPES:
        wanted = " or ".join(f"TC-L3-PERF-{word}-042" for word in _TYPES)
        problems.append(_problem("ID", f"must be of the form {wanted}, got '{case}'"))
    if not _SERVICE.fullmatch(service):
        wanted = "must be 1 to 40 small letters, digits, '.' or '-', the first no sign"
        problems.append(_problem("SERVICE", f"{wanted}, got '{service}'"))
    if problems or found is None:
        raise PlanError(problems)
    word, title = _TYPES[found[2]]
    path = folder / f"{service}-{word}.yaml"
    if path.exists():
        raise PlanError([_problem("SERVICE", f"{path} exists already")])
    if taken := _with_id(case, folder):
        raise PlanError([_problem("ID", f"'{case}' is the id of {taken}")])
    _write_checked(path, _text(case, service, kind, word, title))
    return path


def _problem(field: str, message: str) -> Problem:
    return Problem("command line", field, message)


def _text(case: str, service: str, kind: str, word: str, title: str) -> str:
    variable = re.sub(r"[^A-Z0-9]", "_", service.upper())
    return _TEMPLATE.format(
        id=case,
        title=f"{title} - {service}",
        base=f"../base/{kind}-{word}.yaml",
        service=service,
        kind=kind,
        variable=f"S{variable}" if variable[0].isdigit() else variable,
        model=f", model: {service}" if kind == "llm" else "",
    )


def _with_id(case: str, folder: Path) -> Path | None:
    line = re.compile(rf"^id: {re.escape(case)}$", re.MULTILINE)
    return next((path for path in sorted(folder.glob("*.yaml")) if line.search(path.read_text("utf-8"))), None)


def _write_checked(path: Path, text: str) -> None:
    """Write the plan and load it: a template that does not hold leaves no file behind."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlanError([_problem("FOLDER", f"{path} cannot be written: {error.strerror}")]) from None
    try:
        load(path)
    except PlanError:
        path.unlink()
        raise
