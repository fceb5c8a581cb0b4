"""Reading a plan: YAML, `extends`, `${VAR:-default}`, and every problem at once."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from plans.input_files import complete_replays, input_problems, with_files_placed
from plans.problems import PlanError, Problem
from plans.queries import NamedQuery, QueryFile
from plans.schema import Plan, Pool
from plans.user_files import file_problems
from plans.wording import problem_from

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MAX_VALUES = 20_000
_MAX_DEPTH = 40


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key_node.value in seen and key_node.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class _Source:
    """One file of an `extends` chain and what stands in it."""

    file: str
    raw: dict[str, Any]
    appended: dict[str, int]
    """Where its `key+` entries begin in the merged list of `key`."""


def load_queries(path: Path) -> dict[str, NamedQuery]:
    """Return the named queries in the file at `path`. Raises PlanError with every problem found."""
    raw = _read(path)
    try:
        return QueryFile.model_validate(raw).queries
    except ValidationError as error:
        raise PlanError([problem_from(details, raw, QueryFile, str(path)) for details in error.errors()]) from None


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> Plan:
    """Return the plan in the file at `path`.

    Raises PlanError with every problem that could be found, each with file, field, value and what is allowed;
    a problem that was inherited names the file in which the value stands.
    """
    merged: dict[str, Any] = {}
    sources: list[_Source] = []
    for file, content in _chain(Path(path), ()):
        below, appended = _with_appended(merged, with_files_placed(content, Path(file).parent))
        sources.append(_Source(file, content, appended))
        merged = merge(merged, below)
    problems: list[Problem] = []
    raw = _substituted(merged, environ if environ is not None else os.environ, problems)
    problems += complete_replays(raw)
    try:
        plan = Plan.model_validate(raw)
    except ValidationError as error:
        # What a missing variable left behind would be reported a second time as a wrong value.
        unset = {problem.field for problem in problems}
        # Entries that are wrong are taken for missing ones too.
        errors = (d for d in error.errors() if not (d["type"] == "too_short" and d["input"]))
        found = [problem_from(details, raw, Plan) for details in errors]
        problems += [problem for problem in found if problem.field not in unset]
    problems += _reference_problems(raw)
    if not problems:
        problems = [*file_problems(plan.mix), *input_problems(plan)]
    if problems:
        raise PlanError(list(dict.fromkeys(_placed(problem, sources) for problem in problems)))
    return plan


def _with_appended(parent: dict[str, Any], child: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the child with `key+` lists put after the parent's `key`, and where each of them begins."""
    result, begins = dict(child), dict[str, int]()
    for key, value in child.items():
        name = key[:-1] if isinstance(key, str) and key.endswith("+") else None
        if name and isinstance(value, list) and name not in child:
            above = _list(parent.get(name))
            result[name] = [*above, *value]
            begins[name] = len(above)
            del result[key]
    return result, begins


def _placed(problem: Problem, sources: list[_Source]) -> Problem:
    """Return the problem with the file in which its value stands: the youngest that has it."""
    steps = [
        int(step[1:-1]) if step.startswith("[") else step for step in re.findall(r"\[\d+\]|[^.\[\]]+", problem.field)
    ]
    best, depth = sources[-1].file, 0
    for source in reversed(sources):
        key, index = (*steps, None, None)[:2]
        begin = source.appended.get(str(key))
        if begin is not None and isinstance(index, int) and index >= begin:
            shifted = problem.field.replace(f"{key}[{index}]", f"{key}+[{index - begin}]", 1)
            return Problem(source.file, shifted, problem.message)
        reached = _reached(source.raw, steps)
        if reached > depth:
            best, depth = source.file, reached
    return Problem(best, problem.field, problem.message)


def _reached(
    node: Any,
    steps: Sequence[int | str],
) -> int:
    """Return how many of the steps lead to something."""
    for count, step in enumerate(steps):
        known = range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ()
        if step not in known:
            return count
        node = node[step]
    return len(steps)


def _chain(path: Path, seen: tuple[Path, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Return the file and everything that it extends, the oldest first."""
    raw = _read(path)
    parent = raw.pop("extends", None)
    if parent is None:
        return [(str(path), raw)]
    if not isinstance(parent, str) or not parent.strip() or "\0" in parent:
        raise PlanError([Problem(str(path), "extends", f"must be the path of a plan, got {parent!r}")])
    # normpath and not resolve: a message should show the path as people write it.
    above = Path(os.path.normpath(path.parent / parent))
    identity = Path(os.path.realpath(path))
    if Path(os.path.realpath(above)) in (*seen, identity):
        raise PlanError([Problem(str(path), "extends", f"leads back to this plan through '{parent}'")])
    if not above.is_file():
        raise PlanError([Problem(str(path), "extends", f"must be the path of a plan, got '{parent}'{_similar(above)}")])
    return [*_chain(above, (*seen, identity)), (str(path), raw)]


def merge(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """Return the child over the parent: mappings merge key by key, lists and values replace, null removes.

    >>> merge({"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"y": 3}, "b": None})
    {'a': {'x': 1, 'y': 3}}
    """
    result = dict(parent)
    for key, value in child.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def _read(path: Path) -> dict[str, Any]:
    file = str(path)
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PlanError([Problem(file, "", f"does not exist{_similar(path)}")]) from None
    except UnicodeDecodeError:
        raise PlanError([Problem(file, "", "is not text in UTF-8")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError([Problem(file, "", f"cannot be read: {reason}")]) from None
    try:
        raw = yaml.load(content, Loader=_UniqueKeys)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, KeyError, AttributeError) as error:
        # PyYAML lets its constructors' own errors out: month 13, an integer of 5000 digits, `!!int x`.
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PlanError([Problem(file, line, f"is not valid YAML: {reason}")]) from None
    if not isinstance(raw, dict):
        kind = {"NoneType": "nothing", "str": "text", "list": "a list"}.get(type(raw).__name__, type(raw).__name__)
        raise PlanError([Problem(file, "", f"must be a mapping of plan keys, got {kind}")])
    if not _bounded(raw):
        raise PlanError([Problem(file, "", f"must hold at most {_MAX_VALUES} values, {_MAX_DEPTH} levels deep")])
    return raw


def _bounded(raw: dict[str, Any]) -> bool:
    """Return False for a document whose anchors contain themselves or multiply beyond reason."""
    count, pending = 0, [(raw, 0)]
    while pending:
        node, depth = pending.pop()
        count += 1
        if count > _MAX_VALUES or depth > _MAX_DEPTH:
            return False
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
        pending += [(child, depth + 1) for child in children]
    return True


def _similar(path: Path) -> str:
    """Return a hint at a plan of a similar name beside, above or below the path that was given."""
    try:
        folder = path.parent if path.parent.is_dir() else path.parent.parent
        plans = [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]
    except (OSError, ValueError):
        return ""
    by_stem = {plan.stem: plan for plan in reversed(plans)}
    close = get_close_matches(path.stem, by_stem, n=1, cutoff=0.6)
    return f"; did you mean {by_stem[close[0]]}?" if close else ""


def _substituted(value: object, environ: Mapping[str, str], problems: list[Problem], field: str = "") -> object:
    """Return the value with variables replaced; a variable that is not set is added to the problems."""
    if isinstance(value, dict):
        return {
            key: _substituted(child, environ, problems, f"{field}.{key}" if field else str(key))
            for key, child in value.items()
        }
    if isinstance(value, list):
        return [_substituted(child, environ, problems, f"{field}[{index}]") for index, child in enumerate(value)]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if environ.get(name):
            return environ[name]
        if default is None:
            problems.append(Problem("", field, f"needs the environment variable {name}, which is not set"))
            return match.group(0)
        return default

    return _VARIABLE.sub(one, value)


def _reference_problems(raw: object) -> list[Problem]:
    """Find what only the whole plan can show: names that point nowhere, and phases that nobody serves."""
    problems: list[Problem] = []
    if not isinstance(raw, dict):
        return problems
    phases = [p for p in _list(raw.get("phases")) if isinstance(p, dict)]
    names = [p.get("name") for p in phases]
    for index, name in enumerate(names):
        if isinstance(name, str) and name in names[:index]:
            problems.append(Problem("", f"phases[{index}].name", f"must be unique, got '{name}' again"))
    mix = raw.get("mix")
    if isinstance(mix, dict) and not mix:
        problems.append(Problem("", "mix", "must name at least one scenario"))
    scenarios = list(mix) if isinstance(mix, dict) else []
    if scenarios == ["WebSocketUser"] and any("rate" in p for p in phases):
        message = "has only WebSocketUser, which takes no arrivals: use users: in the phases or add a scenario"
        problems.append(Problem("", "mix", message))
    for index, criterion in enumerate(_list(raw.get("criteria"))):
        if isinstance(criterion, dict):
            problems += _unknown_name(f"criteria[{index}].phase", criterion.get("phase"), names)
            problems += _unknown_name(f"criteria[{index}].scenario", criterion.get("scenario"), scenarios)
    problems += _pool_problems(raw, phases)
    store = raw.get("store")
    for name in store if isinstance(store, dict) else ():
        problems += _unknown_name("store", name, names)
    return problems


def _pool_problems(raw: dict[str, Any], phases: list[dict[str, Any]]) -> list[Problem]:
    """A closed phase needs as many users as it names."""
    pool = raw.get("pool")
    most = pool.get("max_users") if isinstance(pool, dict) else None
    if not isinstance(most, int):
        most = Pool().max_users
    problems = []
    for index, phase in enumerate(phases):
        users = phase.get("users")
        levels = users.values() if isinstance(users, dict) else [users]
        highest = max((n for n in levels if isinstance(n, int | float) and not isinstance(n, bool)), default=0)
        if highest > most:
            message = f"must be at most pool.max_users ({most}), got {highest:g}"
            problems.append(Problem("", f"phases[{index}].users", message))
    return problems


def _unknown_name(field: str, value: object, allowed: list[Any]) -> list[Problem]:
    # A value of another type is already reported as one.
    if not isinstance(value, str) or value in allowed:
        return []
    known = ", ".join(str(name) for name in allowed) or "none"
    close = get_close_matches(value, [n for n in allowed if isinstance(n, str)], n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return [Problem("", field, f"must be one of the plan's ({known}), got '{value}'{hint}")]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
