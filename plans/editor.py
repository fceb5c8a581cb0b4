"""The JSON schema of a plan file, for editors: the model, with `extends`, `key+`, `${VAR}` and durations."""

import json
from collections.abc import Iterator
from typing import Any

from plans.metrics import METRICS
from plans.phases import SHAPE_NAMES
from plans.schema import Plan

_REQUIRED_IN = {"Phase", "Criterion", "Fault"}
"""Entries of lists, which a child plan replaces whole; everything else may be completed by the parent."""

_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def editor_schema() -> str:
    """Return the JSON schema (draft 2020-12) as text."""
    schema: dict[str, Any] = Plan.model_json_schema(by_alias=True)
    required = schema.pop("required")
    for name, definition in schema["$defs"].items():
        if name not in _REQUIRED_IN:
            definition.pop("required", None)
    for node in list(_mappings(schema)):
        _allow_variable(node)
    properties = schema["properties"]
    properties["extends"] = {
        "type": "string",
        "title": "Extends",
        "description": "path of another plan, relative to this file: mappings merge, lists and values replace, "
        "null removes",
    }
    for name in [name for name, field in properties.items() if field.get("type") == "array"]:
        more = f"entries that follow those of the extended plan's `{name}`"
        properties[f"{name}+"] = {"type": "array", "items": properties[name]["items"], "description": more}
    schema["$defs"]["Phase"]["properties"]["shape"]["enum"] = list(SHAPE_NAMES)
    schema["$defs"]["Criterion"]["properties"]["metric"]["enum"] = list(METRICS)
    schema["anyOf"] = [{"required": ["extends"]}, {"required": required}]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Proofload plan"
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _mappings(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _mappings(child)
    elif isinstance(node, list):
        for child in node:
            yield from _mappings(child)


def _allow_variable(node: dict[str, Any]) -> None:
    """Let a number, a closed set or a text with a pattern be a `${VAR:-default}` too."""
    closed = "enum" in node or "pattern" in node
    if node is _VARIABLE or not (closed or node.get("type") == "number" or node.get("type") == "integer"):
        return
    kept = {key: node.pop(key) for key in ("title", "description", "default") if key in node}
    plain = dict(node)
    node.clear()
    node |= kept | {"anyOf": [plain, _VARIABLE]}
