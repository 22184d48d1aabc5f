"""Holds answers to the OpenAPI document: the status, the code and the shape must be written there."""

import re
from typing import Any

import httpx

_KNOWN = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "items",
    "properties",
    "required",
    "title",
    "type",
}
_BOUNDS = {
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "propertyNames",
}
"""Left to the models: the document is made of them."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}


class Contract:
    """An OpenAPI 3.1 document as a judge."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def check(self, response: httpx.Response) -> None:
        """Fails when the document does not tell of this answer."""
        response.read()
        operation = self.operation(response.request.method, response.request.url.path)
        told = operation["responses"].get(str(response.status_code))
        assert told, f"{response.request.method} {response.request.url.path}: {response.status_code} is not documented"
        if not response.content:
            assert "content" not in told
            return
        media_type = told["content"][response.headers["content-type"].partition(";")[0]]
        faults = self.faults(media_type["schema"], response.json())
        assert not faults, faults
        if response.is_error:
            codes = {example["value"]["code"] for example in media_type["examples"].values()}
            assert response.json()["code"] in codes
        for name, header in told.get("headers", {}).items():
            always = header.get("required") or not response.is_error  # of problems, some of a status may have it
            assert name in response.headers or not always, f"no {name}"

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """What a request runs, as the document has it."""
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path) and method.lower() in operations:
                found: dict[str, Any] = operations[method.lower()]
                return found
        raise AssertionError(f"{method} {path} is not documented")

    def resolve(self, reference: str) -> Any:
        """What a `$ref` leads to."""
        node: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        return node

    def faults(self, schema: dict[str, Any], value: Any, where: str = "") -> list[str]:
        """What is wrong with a value, by JSON Schema as far as the document uses it."""
        unknown = set(schema) - _KNOWN - _BOUNDS
        assert not unknown, f"the judge does not know {unknown}"
        if "$ref" in schema:
            return self.faults(self.resolve(schema["$ref"]), value, where)
        if "anyOf" in schema:
            tried = [self.faults(one, value, where) for one in schema["anyOf"]]
            return [] if [] in tried else [f"{where}: fits none of several"]
        found = [f"{where}: {fault}" for fault in _own_faults(schema, value)]
        if isinstance(value, dict):
            found += self._member_faults(schema, value, where)
        if isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                found += self.faults(schema["items"], item, f"{where}.{index}")
        return found

    def _member_faults(self, schema: dict[str, Any], value: dict[str, Any], where: str) -> list[str]:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        found = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in properties:
                found += self.faults(properties[name], member, f"{where}.{name}")
            elif isinstance(others, dict):
                found += self.faults(others, member, f"{where}.{name}")
            elif not others:
                found.append(f"{where}: {name} is unknown")
        return found


def _own_faults(schema: dict[str, Any], value: Any) -> list[str]:
    found = []
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(_is(name, value) for name in names):
        found.append(f"{value!r} is no {names}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{value!r} is none of {schema['enum']}")
    return found


def _is(name: str, value: Any) -> bool:
    if isinstance(value, bool) and name in {"integer", "number"}:
        return False
    return isinstance(value, _TYPES[name])
