"""A validation error in the words of an operator: what was wrong, the value, and what is allowed."""

from collections.abc import Iterator
from difflib import get_close_matches

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from plans.problems import Problem

_LONGEST_VALUE = 80

_LIMITS = {
    "greater_than": "must be > {gt:.10g}",
    "greater_than_equal": "must be >= {ge:.10g}",
    "less_than": "must be < {lt:.10g}",
    "less_than_equal": "must be <= {le:.10g}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
}

_KINDS = {
    "string_type": "must be text (in quotes where YAML reads something else)",
    "string_unicode": "must be text without broken characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "invalid_key": "has a key that is not text",
}

_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$": "1 to 80 letters, digits, dots, dashes or underscores",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$": "1 to 64 letters, digits, dots, dashes or underscores",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of an environment variable",
    "^/[!-~]*$": "a path that begins with / and holds no spaces",
    "^[a-z_]+$": "a word of small letters and underscores",
}


def problem_from(details: ErrorDetails, raw: object, model: type[BaseModel], file: str = "") -> Problem:
    """Return a validation error of `model` on `raw` as a problem, at the place as it was written."""
    loc = _written(details["loc"], raw)
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    value, kind, context = details["input"], details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(file, field, f"is not a known key{_suggestion(loc, model)}")
    if kind == "missing":
        return Problem(file, field, "is missing")
    if kind == "too_short":
        return Problem(file, field, "must have at least one entry, got none")
    if kind == "value_error":
        return _own(field, value, str(context["error"]), file)
    if kind in _LIMITS:
        allowed = _LIMITS[kind].format(**context)
    elif kind == "string_pattern_mismatch":
        allowed = f"must be {_PATTERNS.get(context['pattern'], 'of the form ' + context['pattern'])}"
    else:
        allowed = _KINDS.get(kind) or f"is wrong ({details['msg'][0].lower() + details['msg'][1:]})"
    if kind == "model_type" and str(context.get("class_name")) == "Levels":
        allowed = "must be a number or a mapping of levels"
    return Problem(file, field, f"{allowed}, got {shown(value)}")


def shown(value: object) -> str:
    """Return a value as a message shows it: text in quotes, long ones cut."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _own(field: str, value: object, text: str, file: str) -> Problem:
    """Return an error of the plan's own validators; `.key` at its beginning is a place below the field."""
    if text.startswith("."):
        inner, _, text = text.partition(" ")
        field += inner
    got = "" if isinstance(value, dict | BaseModel) or ", got " in text else f", got {shown(value)}"
    return Problem(file, field.lstrip("."), text.strip() + got)


def _written(loc: tuple[int | str, ...], raw: object) -> tuple[int | str, ...]:
    """Cut a place off where a plain value was written: `rate: -5` is at `rate` and not at `rate.value`."""
    node = raw
    for depth, part in enumerate(loc):
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            return loc[:depth]
        if node is None:
            return loc
    return loc


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model allows at `loc`."""
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int) or current is None:
            continue
        info = next((f for name, f in current.model_fields.items() if part in (name, f.alias)), None)
        # Below a name that is free, such as that of an operator's own scenario, the extra keys' model counts.
        annotation = info.annotation if info else current.__annotations__.get("__pydantic_extra__")
        current = next(_models_in(annotation), None)
    if current is None:
        return []
    keys = [info.alias or name for name, info in current.model_fields.items()]
    return ["extends", *keys] if current is model and not loc else keys


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _suggestion(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return what may have been meant by the unknown key at the end of `loc`."""
    key, allowed = str(loc[-1]), _keys_at(model, loc[:-1])
    if loc[0] == "mix" and key == "file":
        return f": {loc[1]} is a scenario of Proofload's own, a class of yours needs another name"
    own = "; a class of your own needs file:" if loc[:-1] == ("mix",) else ""
    close = get_close_matches(key, allowed, n=1)
    if close:
        return f"; did you mean '{close[0]}'?{own}"
    return f"; known are {', '.join(allowed)}{own}" if allowed else ""
