"""Which of the plans that a command names are to be run: by their tags, by the name of a scenario, without soaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plans.loading import load
from plans.problems import PlanError, Problem
from plans.schema import Plan

SOAK = "soak"
"""Tag of the plans that take hours: out of a folder they run only when they are asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command says of the plans that it wants; an empty set is no wish."""

    scenarios: frozenset[str] = frozenset()
    """Names of plan files, without `.yaml`."""
    tags: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()
    """Tags that must not be there."""
    soak: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plans to be run, and those that were left out because they are soaks."""

    plans: list[Path]
    left_out: list[Path]


def words(text: str | None) -> frozenset[str]:
    """Return the words of a list that is separated by commas."""
    return frozenset(word.strip() for word in (text or "").split(",") if word.strip())


def choose(paths: Sequence[Path], alone: Sequence[Path], wanted: Wanted) -> Chosen:
    """Return the plans to be run of all that were found; those in `alone` were named as files, not by their folder.

    Raises PlanError with the problems of all plans, chosen or not, and when nothing is left.
    """
    if not paths:
        raise PlanError([_problem("PLAN", "names no plan: the folder holds no .yaml files")])
    plans = _loaded(paths)
    names = {path.stem for path in plans}
    if unknown := sorted(wanted.scenarios - names):
        allowed = ", ".join(sorted(names))
        raise PlanError([_problem("--scenario", f"must be one of the plans ({allowed}), got '{unknown[0]}'")])
    fitting = [path for path, plan in plans.items() if _fits(path, set(plan.tags), wanted)]
    if not fitting:
        known = ", ".join(sorted({tag for plan in plans.values() for tag in plan.tags})) or "none"
        raise PlanError([_problem("--tags", f"must leave a plan; the plans' tags are: {known}")])
    asked = wanted.soak or SOAK in wanted.tags
    left_out = [
        path
        for path in fitting
        if SOAK in plans[path].tags and not (asked or path in alone or path.stem in wanted.scenarios)
    ]
    chosen = [path for path in fitting if path not in left_out]
    if not chosen:
        raise PlanError([_problem("--include-soak", "must be given: there are only plans with the tag 'soak'")])
    return Chosen(chosen, left_out)


def _loaded(paths: Sequence[Path]) -> dict[Path, Plan]:
    plans, problems = {}, []
    for path in paths:
        try:
            plans[path] = load(path)
        except PlanError as error:
            problems += error.problems
    if problems:
        raise PlanError(problems)
    return plans


def _fits(path: Path, tags: set[str], wanted: Wanted) -> bool:
    named = not wanted.scenarios or path.stem in wanted.scenarios
    return named and bool(not wanted.tags or tags & wanted.tags) and not tags & wanted.unwanted


def _problem(field: str, message: str) -> Problem:
    return Problem("command line", field, message)
