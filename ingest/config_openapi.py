"""What the OpenAPI document says of the config routes; FastAPI cannot see it, because the rules are ours."""

from collections.abc import Callable
from typing import Any

from schemas.config import SPECS

_SECURITY: list[dict[str, list[str]]] = [{"adminKey": []}]
_PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def problem(description: str) -> dict[str, Any]:
    """A response that is a problem document."""
    return {"description": description} | _PROBLEM


_ALWAYS = {401: problem("The admin key is missing or wrong."), 503: problem("Kafka did not confirm in time.")}
_INVALID = {400: problem("The body is no JSON object."), 422: problem("`errors` names every bad field.")}
_ABSENT = {404: problem("There is none with this id.")}
_CHANGED = {412: problem("It is not as `If-Match` says.")}


def _schema(kind: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{SPECS[kind].__name__}"}


def _json(kind: str) -> dict[str, Any]:
    return {"application/json": {"schema": _schema(kind)}}


def _docs(
    responses: dict[int, dict[str, Any]], *, body_of: str = "", parameters: tuple[str, ...] = ()
) -> dict[str, Any]:
    extra: dict[str, Any] = {"security": _SECURITY}
    if body_of:
        extra["requestBody"] = {"required": True, "content": _json(body_of)}
    if parameters:
        extra["parameters"] = [{"name": name, "in": "header", "schema": {"type": "string"}} for name in parameters]
    return {"responses": dict(sorted((responses | _ALWAYS).items())), "openapi_extra": extra}


def _create(kind: str) -> dict[str, Any]:
    created = {"description": "Created; the only answer that shows the secret.", "content": _json(kind)}
    taken = {409: problem("The id is taken.")}
    return {"status_code": 201} | _docs({201: created} | taken | _INVALID, body_of=kind)


def _get(kind: str) -> dict[str, Any]:
    return _docs({200: {"description": "The record, secrets masked.", "content": _json(kind)}} | _ABSENT)


def _get_page(kind: str) -> dict[str, Any]:
    data = {"type": "array", "items": _schema(kind)}
    cursor = {"type": ["string", "null"], "description": "Of the next page; null on the last."}
    schema = {"type": "object", "properties": {"data": data, "next_cursor": cursor}}
    content = {"application/json": {"schema": schema}}
    return _docs({200: {"description": "A page.", "content": content}, 400: problem("The cursor is wrong.")})


def _put(kind: str) -> dict[str, Any]:
    responses = {
        200: {"description": "Replaced.", "content": _json(kind)},
        201: {"description": "Created; the only answer that shows the secret.", "content": _json(kind)},
    }
    conditions = ("If-Match", "If-None-Match")
    return _docs(responses | _INVALID | _CHANGED, body_of=kind, parameters=conditions)


def _check(kind: str) -> dict[str, Any]:
    record = {"anyOf": [_schema(kind), {"type": "null"}]}
    properties = {
        "action": {"enum": ["create", "update", "nothing"]},
        "changed": {"type": "array", "items": {"type": "string"}, "description": "Fields; secrets are compared too."},
        "current": record,
        "record": _schema(kind),
    }
    content = {"application/json": {"schema": {"type": "object", "properties": properties}}}
    return _docs({200: {"description": "What a PUT would do.", "content": content}} | _INVALID, body_of=kind)


def _delete(_: str) -> dict[str, Any]:
    deleted = {204: {"description": "Deleted."}}
    return {"status_code": 204} | _docs(deleted | _ABSENT | _CHANGED, parameters=("If-Match",))


ROUTE_DOCS: dict[str, Callable[[str], dict[str, Any]]] = {
    "create": _create,
    "get": _get,
    "get_page": _get_page,
    "put": _put,
    "check": _check,
    "delete": _delete,
}
"""Arguments of FastAPI's `add_api_route` by the name of the endpoint, for one kind."""


def config_components() -> dict[str, Any]:
    """The JSON Schemas of the config records."""
    components: dict[str, Any] = {}
    for spec in SPECS.values():
        schema = spec.model_json_schema(ref_template="#/components/schemas/{model}")
        components |= schema.pop("$defs", {})
        schema["required"] = [name for name in schema.get("required", []) if name != "id"]  # the URL has it, or we
        components[spec.__name__] = schema
    return components
