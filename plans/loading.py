"""Reading a plan: YAML, `extends`, `${VAR:-default}`, and every problem at once."""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from plans.problems import PlanError, Problem
from plans.schema import Plan

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen and key_node.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> Plan:
    """Return the plan in the file at `path`.

    Raises PlanError with every problem that could be found, each with file, field, value and what is allowed.
    """
    file = str(path)
    raw = _substitute(_merged(Path(path), ()), environ if environ is not None else os.environ, file)
    try:
        plan = Plan.model_validate(raw)
    except ValidationError as error:
        problems = [problem_from(details, file, Plan) for details in error.errors()]
        raise PlanError([*problems, *_reference_problems(raw, file)]) from None
    if problems := _reference_problems(raw, file):
        raise PlanError(problems)
    return plan


def _merged(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise PlanError([Problem(str(path), "extends", "leads back to this plan")])
    raw = _read(path)
    parent = raw.pop("extends", None)
    if parent is None:
        return raw
    if not isinstance(parent, str):
        raise PlanError([Problem(str(path), "extends", f"must be the path of a plan, got {parent!r}")])
    return merge(_merged(path.parent / parent, (*seen, path.resolve())), raw)


def merge(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """Return the child over the parent: mappings merge key by key, lists and values replace, null removes.

    >>> merge({"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"y": 3}, "b": None})
    {'a': {'x': 1, 'y': 3}}
    """
    result = dict(parent)
    for key, value in child.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def _read(path: Path) -> dict[str, Any]:
    file = str(path)
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PlanError([Problem(file, "", f"does not exist{_similar_file(path)}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError([Problem(file, "", f"cannot be read: {error}")]) from None
    try:
        raw = yaml.load(content, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error)
        raise PlanError([Problem(file, line, f"is not valid YAML: {reason}")]) from None
    if not isinstance(raw, dict):
        raise PlanError([Problem(file, "", f"must be a mapping of plan keys, got {type(raw).__name__}")])
    return raw


def _similar_file(path: Path) -> str:
    siblings = [str(p) for p in path.parent.rglob("*.yaml")] if path.parent.is_dir() else []
    close = get_close_matches(str(path), siblings, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _substitute(value: Any, environ: Mapping[str, str], file: str) -> Any:
    problems: list[Problem] = []

    def replaced(text: str, field: str) -> str:
        def one(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            if environ.get(name):
                return environ[name]
            if default is None:
                problems.append(Problem(file, field, f"needs the environment variable {name}, which is not set"))
                return match.group(0)
            return default

        return _VARIABLE.sub(one, text)

    def walk(node: Any, field: str) -> Any:
        if isinstance(node, str):
            return replaced(node, field)
        if isinstance(node, dict):
            return {key: walk(child, f"{field}.{key}" if field else str(key)) for key, child in node.items()}
        if isinstance(node, list):
            return [walk(child, f"{field}[{index}]") for index, child in enumerate(node)]
        return node

    result = walk(value, "")
    if problems:
        raise PlanError(problems)
    return result


def problem_from(details: ErrorDetails, file: str, model: type[BaseModel]) -> Problem:
    """Return a pydantic error as a problem in the words of an operator."""
    loc = details["loc"]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    value, kind, context = details["input"], details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(file, field, f"is not a known key{_suggestion(str(loc[-1]), _keys_at(model, loc[:-1]))}")
    if kind == "missing":
        return Problem(file, field, "is missing")
    if kind == "value_error":
        text = str(context["error"])
        if text.startswith("."):
            inner, _, text = text.partition(" ")
            field += inner
        got = "" if isinstance(value, dict | BaseModel) or "got" in text else f", got {value!r}"
        return Problem(file, field.lstrip("."), text.strip() + got)
    limits = {"greater_than": "> {gt}", "greater_than_equal": ">= {ge}", "less_than": "< {lt}", "less_than_equal": "<= {le}"}
    if kind in limits:
        return Problem(file, field, f"must be {limits[kind].format(**context)}, got {value!r}")
    if kind in {"literal_error", "enum"}:
        return Problem(file, field, f"must be one of {context['expected']}, got {value!r}")
    message = details["msg"][0].lower() + details["msg"][1:]
    return Problem(file, field, f"is wrong: {message}, got {value!r}")


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model allows at `loc`."""
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int) or current is None:
            continue
        info = current.model_fields.get(str(part))
        current = next(_models_in(info.annotation), None) if info else None
    if current is None:
        return []
    return [info.alias or name for name, info in current.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _suggestion(key: str, allowed: list[str]) -> str:
    if not allowed:
        return ""
    close = get_close_matches(key, allowed, n=1)
    return (f"; did you mean '{close[0]}'?" if close else "") + f" Allowed: {', '.join(allowed)}"


def _reference_problems(raw: dict[str, Any], file: str) -> list[Problem]:
    """Find what only the plan as a whole can show: names that point nowhere, and phases that nobody serves."""
    problems: list[Problem] = []
    phases = [p for p in _list(raw.get("phases")) if isinstance(p, dict)]
    names = [str(p.get("name")) for p in phases]
    for index, name in enumerate(names):
        if name in names[:index]:
            problems.append(Problem(file, f"phases[{index}].name", f"must be unique, got '{name}' again"))
    mix = raw.get("mix") if isinstance(raw.get("mix"), dict) else {}
    if raw.get("mix") == {}:
        problems.append(Problem(file, "mix", "must name at least one scenario"))
    if mix and set(mix) == {"WebSocketUser"} and any("rate" in p for p in phases):
        problems.append(
            Problem(file, "mix", "has only WebSocketUser, which takes no arrivals: use users: in the phases or add a scenario")
        )
    for index, criterion in enumerate(_list(raw.get("criteria"))):
        if not isinstance(criterion, dict):
            continue
        for key, allowed in (("phase", names), ("scenario", list(mix))):
            value = criterion.get(key)
            if value is not None and value not in allowed:
                known = ", ".join(allowed) or "none"
                problems.append(
                    Problem(file, f"criteria[{index}].{key}", f"must be one of the plan's ({known}), got {value!r}")
                )
    return problems


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
