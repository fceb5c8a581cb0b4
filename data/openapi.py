"""OpenAPI 3 documents: the operations that can be called, with bodies to send and checks for the answers.

Everything is read, generated and compiled here, before the load.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import yaml

from data.schemas import Check, SchemaError

_METHODS = ("get", "post", "put", "patch", "delete")
_DIALECT = "$schema", "$id", "$ref"
_BODIES = 20
_TRIES = 10
_MOST_REFERENCES = 20
"""From one place of a document to the next, before it is taken for a circle."""
_PARAMETER = re.compile(r"\{([^{}]+)\}")


class OpenApiError(ValueError):
    """A document that cannot be used; the message says why, and where."""


@dataclass(slots=True)
class Operation:
    """One method of one path, ready to be called."""

    method: str
    template: str
    """The path as the document has it, `/pets/{petId}`."""
    names: tuple[str, ...]
    """What it can be called by in a plan: `GET /pets`, its operationId, its tags."""
    answers: dict[str, Check | None]
    """By status as declared (`200`, `2XX`, `default`): the check of a JSON body, None where there is no schema."""
    bodies: list[bytes] = field(default_factory=list)
    """Bodies to choose from; none when the operation takes none."""
    queries: list[str] = field(default_factory=list)
    """Query strings to choose from, of the parameters that must be given."""
    values: dict[str, list[object]] = field(default_factory=dict)
    """Values of path parameters that the document itself offers."""
    made: dict[str, list[object]] = field(default_factory=dict)
    """Values of path parameters by their schema alone: for those that no answer tells."""

    @property
    def name(self) -> str:
        """Under which its requests are counted."""
        return f"{self.method} {self.template}"

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters in the path, in their order."""
        return _PARAMETER.findall(self.template)

    def declared(self, status: int) -> tuple[bool, Check | None]:
        """Return whether a status is one of the document's, and the check of its body."""
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in self.answers:
                return True, self.answers[key]
        return False, None


@dataclass(slots=True)
class Api:
    """What a document offers."""

    prefix: str
    """Path of the document's first server, before every path."""
    operations: list[Operation]
    left_out: list[str]
    """Operations that cannot be called, each with the reason."""

    def chosen(self, include: Sequence[str], exclude: Sequence[str]) -> list[Operation]:
        """Return the operations that patterns choose; all of them without any."""
        return [
            operation
            for operation in self.operations
            if (not include or matches(operation.names, include)) and not matches(operation.names, exclude)
        ]


def matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether one of the names is of one of the patterns, `*` standing for anything."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def read(path: Path, seed: int = 1) -> Api:
    """Return what a document in JSON or YAML offers; the same seed makes the same bodies. Raises OpenApiError."""
    try:
        return _read(path, seed, path.stat().st_mtime_ns)
    except OSError as error:
        raise OpenApiError(f"cannot be read: {error.strerror}") from None


@lru_cache(maxsize=2)
def _read(path: Path, seed: int, _changed: int) -> Api:
    document = _Document(_content(path), seed)
    found, left_out = [], []
    for template, item in document.paths():
        for method in _METHODS:
            if method not in item:
                continue
            try:
                found.append(document.operation(template, method))
            except OpenApiError as error:
                left_out.append(f"{method.upper()} {template}: {error}")
    if not found:
        raise OpenApiError(f"has no operation that can be called{': ' if left_out else ''}{'; '.join(left_out)}")
    return Api(document.prefix(), found, left_out)


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise OpenApiError(f"cannot be read: {reason}") from None
    if not isinstance(content, dict) or not str(content.get("openapi", "")).startswith("3."):
        raise OpenApiError("must be an OpenAPI 3 document, with openapi: 3.x at its top")
    if not isinstance(content.get("paths"), dict):
        raise OpenApiError("must have paths")
    return content


class _Document:
    """A document, and the random values that are made from its schemas."""

    def __init__(self, content: dict[str, Any], seed: int) -> None:
        self._content = _modern(content) if str(content["openapi"]).startswith("3.0") else content
        self._seed = seed

    def prefix(self) -> str:
        servers = self._content.get("servers")
        url = servers[0].get("url", "") if isinstance(servers, list) and servers else ""
        return urlsplit(url).path.rstrip("/") if "{" not in url else ""

    def paths(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for template in self._content["paths"]:
            item, _ = self._at(("paths", template))
            yield template, item

    def operation(self, template: str, method: str) -> Operation:
        item, place = self._at(("paths", template))
        operation, own = self._at((*place, method))
        title = f"{method.upper()} {template}"
        rng = random.Random(f"{self._seed}:{title}")
        result = Operation(
            method=method.upper(),
            template=template,
            names=(
                title,
                *([operation["operationId"]] if "operationId" in operation else ()),
                *operation.get("tags", ()),
            ),
            answers=dict(self._answers((*own, "responses"))),
            bodies=self._bodies(own, rng) if "requestBody" in operation else [],
        )
        parameters = {}
        for base, holder in ((place, item), (own, operation)):
            for index in range(len(holder.get("parameters", ()))):
                parameter, where = self._at((*base, "parameters", index))
                parameters[parameter.get("in"), parameter.get("name")] = (parameter, where)
        queries: dict[str, list[object]] = {}
        for (kind, name), (parameter, where) in parameters.items():
            if kind == "path":
                result.values[name] = self._given(parameter)
                result.made[name] = self._made((*where, "schema"), rng) if "schema" in parameter else []
            elif parameter.get("required") and kind == "query":
                queries[name] = self._given(parameter) or self._made((*where, "schema"), rng)
            elif parameter.get("required"):
                raise OpenApiError(f"needs the {kind} parameter {name}, which is not sent")
        undescribed = [name for name in result.parameters if name not in result.values]
        result.values |= {name: [] for name in undescribed}
        result.queries = [
            "&".join(f"{quote(name)}={quote(_text(rng.choice(values)), safe='')}" for name, values in queries.items())
            for _ in range(_BODIES if queries else 0)
        ]
        return result

    def _at(self, place: tuple[str | int, ...]) -> tuple[Any, tuple[str | int, ...]]:
        """Return what stands at a place of the document, and the place that a reference leads to."""
        for _ in range(_MOST_REFERENCES):
            node: Any = self._content
            try:
                for key in place:
                    node = node[key]
            except (LookupError, TypeError):
                raise OpenApiError(f"refers to {_pointer(place)}, which is not in the document") from None
            if not (isinstance(node, dict) and isinstance(node.get("$ref"), str)):
                return node, place
            place = _place(node["$ref"])
        raise OpenApiError(f"refers to itself at {_pointer(place)}")

    def _answers(self, place: tuple[str | int, ...]) -> Iterator[tuple[str, Check | None]]:
        responses, place = self._at(place)
        for status in responses:
            response, where = self._at((*place, status))
            media = _json_media(response.get("content", {}))
            has_schema = media is not None and "schema" in response["content"][media]
            key = str(status).upper() if str(status) != "default" else "default"
            yield key, self._validator((*where, "content", media or "", "schema")) if has_schema else None

    def _validator(self, place: tuple[str | int, ...]) -> Check:
        """Return the compiled check of a schema; what it refers to is found in the document around it."""
        around = {key: value for key, value in self._content.items() if key not in _DIALECT}
        try:
            return Check(around | {"$ref": _pointer(place)})
        except SchemaError as error:
            raise OpenApiError(f"has a schema that cannot be used: {error}") from None

    def _bodies(self, own: tuple[str | int, ...], rng: random.Random) -> list[bytes]:
        body, place = self._at((*own, "requestBody"))
        media = _json_media(body.get("content", {}))
        if media is None:
            if not body.get("required"):
                return []
            raise OpenApiError("needs a body that is not JSON")
        content = body["content"][media]
        values = _examples(content)
        if not values and "schema" in content:
            values = self._made((*place, "content", media, "schema"), rng)
        if not values:
            raise OpenApiError("has a body without schema or example")
        return [json.dumps(value).encode() for value in values]

    def _given(self, parameter: dict[str, Any]) -> list[object]:
        """Return the values that a document gives to a parameter."""
        schema = parameter.get("schema", {})
        schema = self._at(_place(schema["$ref"]))[0] if "$ref" in schema else schema
        found = [*_examples(parameter), *_examples(schema)]
        return found or list(schema.get("enum", ())) or ([schema["default"]] if "default" in schema else [])

    def _made(self, place: tuple[str | int, ...], rng: random.Random) -> list[object]:
        """Return values of a schema: its examples, or generated ones that hold against it. Raises OpenApiError."""
        from jsf import JSF  # noqa: PLC0415 - takes a second, and only these users need it

        schema, place = self._at(place)
        if examples := _examples(schema):
            return examples
        validator, made = self._validator(place), []
        state = random.getstate()
        random.seed(rng.getrandbits(64))  # the generator has no source of its own
        try:
            plain = self._inlined(schema)
            for _ in range(_BODIES * _TRIES):
                value = json.loads(json.dumps(JSF(plain).generate(), default=str))
                if validator.is_valid(value):
                    made.append(value)
                if len(made) == _BODIES:
                    break
        except Exception as error:
            raise OpenApiError(f"no value could be made of its schema: {type(error).__name__}: {error}") from None
        finally:
            random.setstate(state)
        if not made:
            raise OpenApiError("no value could be made that holds against its own schema; give it an example")
        return made

    def _inlined(self, node: Any, within: tuple[str, ...] = ()) -> Any:
        """Return a schema with what it refers to in its place; what goes on within itself ends after two rounds."""
        if isinstance(node, list):
            return [self._inlined(one, within) for one in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            if within.count(reference) > 1:
                return {}
            found, _ = self._at(_place(reference))
            return self._inlined(found, (*within, reference))
        return {key: self._inlined(value, within) for key, value in node.items()}


def _modern(node: Any) -> Any:
    """Return schemas of OpenAPI 3.0 as JSON Schema has them: `nullable`, and bounds that exclude by a flag."""
    if isinstance(node, list):
        return [_modern(one) for one in node]
    if not isinstance(node, dict):
        return node
    result = {key: _modern(value) for key, value in node.items()}
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(result.get(flag), bool) and result.pop(flag) and bound in result:
            result[flag] = result.pop(bound)
    if result.get("nullable") is True:
        del result["nullable"]
        result = {"anyOf": [result, {"type": "null"}]}
    return result


def _json_media(content: dict[str, Any]) -> str | None:
    for media in content:
        kind = media.partition(";")[0].strip().lower()
        if kind in {"application/json", "*/*", "application/*"} or kind.endswith("+json"):
            return str(media)
    return None


def _examples(node: Any) -> list[object]:
    """Return the examples of a schema, a parameter or a body."""
    if not isinstance(node, dict):
        return []
    if "example" in node:
        return [node["example"]]
    examples = node.get("examples")
    if isinstance(examples, dict):
        return [one["value"] for one in examples.values() if isinstance(one, dict) and "value" in one]
    return list(examples) if isinstance(examples, list) else []


def _place(reference: str) -> tuple[str | int, ...]:
    if not reference.startswith("#/"):
        raise OpenApiError(f"refers to another document: {reference}")
    return tuple(unquote(part).replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/"))


def _pointer(place: tuple[str | int, ...]) -> str:
    return "#/" + "/".join(quote(str(part).replace("~", "~0").replace("/", "~1"), safe="~") for part in place)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
