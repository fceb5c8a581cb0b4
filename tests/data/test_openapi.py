"""OpenAPI documents: what can be called, with bodies that hold, and why the rest is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from data.openapi import OpenApiError, Operation, read

NODE = {
    "type": "object",
    "required": ["label"],
    "properties": {
        "label": {"type": "string", "minLength": 1},
        "weight": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "nullable": True},
        "children": {"type": "array", "maxItems": 1, "items": {"$ref": "#/components/schemas/Node"}},
    },
}


def body(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema} | more}}


def operations(folder: Path, paths: dict[str, Any], version: str = "3.0.3", **more: Any) -> dict[str, Operation]:
    path = folder / "api.json"
    content = {"openapi": version, "paths": paths, "components": {"schemas": {"Node": NODE}}} | more
    path.write_text(json.dumps(content), encoding="utf-8")
    return {operation.name: operation for operation in read(path).operations}


def test_bodies_are_generated_and_hold_also_of_schemas_that_refer_to_themselves(tmp_path: Path) -> None:
    ref = {"$ref": "#/components/schemas/Node"}
    post = {"requestBody": body(ref), "responses": {"201": {"description": ""}}}
    found = operations(tmp_path, {"/nodes": {"post": post}})["POST /nodes"]
    assert len(found.bodies) == 20
    plain = NODE | {"properties": {"label": {"type": "string", "minLength": 1}}}
    for raw in found.bodies:
        value = json.loads(raw)
        jsonschema.validate(value, plain)
        assert value.get("weight") is None or value["weight"] > 0
    again = operations(tmp_path / ".", {"/nodes": {"post": post}})["POST /nodes"]
    assert again.bodies == found.bodies


def test_examples_go_before_generated_values(tmp_path: Path) -> None:
    put = {
        "requestBody": body({"type": "object"}, examples={"one": {"value": {"a": 1}}, "two": {"value": {"a": 2}}}),
        "parameters": [
            {"name": "dry", "in": "query", "required": True, "schema": {"type": "boolean"}, "example": True},
            {"name": "page", "in": "query", "schema": {"type": "integer"}},
            {"name": "key", "in": "path", "required": True, "schema": {"enum": ["x", "y"]}},
        ],
        "responses": {"2XX": {"description": ""}},
    }
    found = operations(tmp_path, {"/things/{key}": {"put": put}})["PUT /things/{key}"]
    assert [json.loads(raw) for raw in found.bodies] == [{"a": 1}, {"a": 2}]
    assert set(found.queries) == {"dry=true"}
    assert found.values == {"key": ["x", "y"]}
    assert [found.declared(status)[0] for status in (200, 299, 301, 404)] == [True, True, False, False]


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_answers_are_held_against_the_schema_in_the_words_of_its_version(tmp_path: Path, version: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "nullable": True}}}
    get = {"responses": {"200": {"description": "", "content": {"application/json": {"schema": schema}}}}}
    found = operations(tmp_path, {"/n": {"get": get}}, version)["GET /n"]
    declared, check = found.declared(200)
    assert declared
    assert check is not None
    assert check.is_valid({"n": 1})
    assert not check.is_valid({"n": "1"})
    assert check.is_valid({"n": None}) == (version == "3.0.3")  # 3.1 has no `nullable`


def test_what_cannot_be_called_is_left_out_with_the_reason(tmp_path: Path) -> None:
    ok = {"responses": {"200": {"description": ""}}}
    header = ok | {"parameters": [{"name": "X-Shop", "in": "header", "required": True, "schema": {"type": "string"}}]}
    form = ok | {"requestBody": {"required": True, "content": {"multipart/form-data": {}}}}
    elsewhere = ok | {"requestBody": body({"$ref": "other.json#/x"})}
    nothing = ok | {"requestBody": body({"$ref": "#/components/schemas/None"})}
    paths = {"/a": {"get": ok}, "/b": {"get": header}, "/c": {"post": form}, "/d": {"post": elsewhere, "put": nothing}}
    assert list(operations(tmp_path, paths)) == ["GET /a"]
    assert read(tmp_path / "api.json").left_out == [
        "GET /b: needs the header parameter X-Shop, which is not sent",
        "POST /c: needs a body that is not JSON",
        "POST /d: refers to another document: other.json#/x",
        "PUT /d: refers to #/components/schemas/None, which is not in the document",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "must be an OpenAPI 3 document"),
        ("{", "cannot be read"),
        ('{"openapi": "3.1.0"}', "must have paths"),
        ('{"openapi": "3.1.0", "paths": {}}', "has no operation that can be called"),
    ],
)
def test_a_document_that_cannot_be_used_says_why(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "api.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OpenApiError, match=why):
        read(path)
