"""What the OpenAPI document says of the config routes; FastAPI cannot see it, because the rules are ours."""

from typing import Any

from pydantic import BaseModel

from ingest import openapi_examples as examples
from ingest.config_index import CHILDREN
from ingest.config_queries import LIST_QUERIES, DeleteQuery, Paging
from ingest.openapi_problems import OF_THE_SERVER, problem_responses
from schemas.config import SPECS, TopicSpec
from schemas.stored import STAMPS

Json = dict[str, Any]

ALWAYS = (
    "admin_key_missing",
    "too_many_wrong_keys",
    "role",
    "host_not_allowed",
    "internal_error",
    "unavailable",
    "overloaded",
    *OF_THE_SERVER,
)
_OF_BODIES = ("malformed", "body_too_slow", "too_large", "invalid", "not_confirmed")
_OF_CONDITIONS = ("bad_condition", "version_changed", "conflict")
_OF_PAGES = ("bad_cursor", "invalid_parameter")
_STRING = {"type": "string"}
_HEADERS = {"ETag": {"schema": _STRING, "description": "The version, for `If-Match`."}}
_CREATED_HEADERS = _HEADERS | {"Location": {"schema": _STRING}}
_COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}


def config_paths() -> dict[str, Json]:
    """The paths of every kind."""
    paths: dict[str, Json] = {}
    for kind in SPECS:
        one = f"/api/v1/{kind}/{{record_id}}"
        paths[f"/api/v1/{kind}"] = {"get": _get_page(kind), "post": _create(kind)}
        paths[one] = {"get": _get(kind), "put": _put(kind), "patch": _patch(kind), "delete": _delete(kind)}
        paths[f"{one}/check"] = {"post": _check(kind)}
        paths[f"{one}/references"] = {"get": _get_references(kind)}
    return paths


def config_components() -> dict[str, Json]:
    """The JSON Schemas of the config records: `SourceSpec` is what is sent, `Source` what is answered, and so on."""
    components: dict[str, Json] = {}
    for kind, spec in SPECS.items():
        schema = spec.model_json_schema(ref_template="#/components/schemas/{model}")
        components |= schema.pop("$defs", {})
        components[_shown_name(kind)] = _shown_schema(schema)
        schema["required"] = [name for name in schema.get("required", []) if name != "id"]  # the URL has it, or we
        components[spec.__name__] = schema
    return components


def _shown_name(kind: str) -> str:
    return SPECS[kind].__name__.removesuffix("Spec")


def _shown_schema(schema: Json) -> Json:
    stamps = {name: {"type": "string" if name.endswith("_at") else "integer"} for name in STAMPS}
    warning = {"type": "object", "required": ["field", "code", "message"], "additionalProperties": _STRING}
    warnings = {"type": "array", "items": warning, "description": "What is legal but has no effect yet."}
    return schema | {
        "properties": schema["properties"] | stamps | {"warnings": warnings},
        "required": [*schema["properties"], *STAMPS],
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json, **values: Json) -> Json:
    return {"application/json": {"schema": schema, "examples": {name: {"value": v} for name, v in values.items()}}}


def _operation(kind: str, name: str, summary: str, responses: Json, **more: Any) -> Json:
    return {
        "tags": [kind],
        "summary": summary,
        "operationId": f"{kind}_{name}",
        "security": [{"key": []}],
        "responses": dict(sorted(responses.items())),
    } | more


def _record_id() -> Json:
    return {"name": "record_id", "in": "path", "required": True, "schema": _STRING}


def _conditions(*names: str) -> list[Json]:
    return [{"name": name, "in": "header", "schema": _STRING} for name in names]


def parameters_of(model: type[BaseModel]) -> list[Json]:
    """The query parameters that a model reads."""
    properties = model.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}
        for name, schema in properties.items()
    ]


def _body(kind: str) -> Json:
    content = _json(_ref(SPECS[kind].__name__), **{kind.removesuffix("s"): dict(examples.REQUESTS[kind])})
    return {"required": True, "content": content}


def _record(kind: str) -> Json:
    more = {"dangling": examples.dangling()} if kind == TopicSpec.kind else {}
    return _json(_ref(_shown_name(kind)), **{kind.removesuffix("s"): examples.shown(kind)}, **more)


def _created(kind: str) -> Json:
    content = _json(_ref(_shown_name(kind)), **{kind.removesuffix("s"): examples.created(kind)})
    description = "Created; the only answer that shows the secret."
    return {"201": {"description": description, "headers": _CREATED_HEADERS, "content": content}}


def _replaced(kind: str, description: str) -> Json:
    return {"200": {"description": description, "headers": _HEADERS, "content": _record(kind)}}


def page_schema(items: Json) -> Json:
    """A page of items."""
    cursor = {"type": ["string", "null"], "description": "Of the next page; null on the last."}
    properties = {"data": {"type": "array", "items": items}, "next_cursor": cursor}
    return {"type": "object", "required": ["data", "next_cursor"], "properties": properties}


def _create(kind: str) -> Json:
    responses = _created(kind) | problem_responses("exists", *_OF_BODIES, *ALWAYS)
    return _operation(
        kind, "create", "Create one, with an id of your own or of ours", responses, requestBody=_body(kind)
    )


def _get_page(kind: str) -> Json:
    content = _json(page_schema(_ref(_shown_name(kind))), page={"data": [examples.shown(kind)], "next_cursor": None})
    found = {"200": {"description": "A page, in the order of the ids, secrets masked.", "content": content}}
    responses = found | problem_responses(*_OF_PAGES, *ALWAYS)
    return _operation(kind, "get_page", "List", responses, parameters=parameters_of(LIST_QUERIES[kind]))


def _get(kind: str) -> Json:
    responses = _replaced(kind, "The record, secrets masked.") | problem_responses("not_found", *ALWAYS)
    return _operation(kind, "get", "Read one", responses, parameters=[_record_id()])


def _put(kind: str) -> Json:
    problems = problem_responses(*_OF_BODIES, *_OF_CONDITIONS, *ALWAYS)
    parameters = [_record_id(), *_conditions("If-Match", "If-None-Match")]
    responses = _replaced(kind, "Replaced.") | _created(kind) | problems
    summary = "Create or replace one; secrets that are masked or left out stay"
    return _operation(kind, "put", summary, responses, parameters=parameters, requestBody=_body(kind))


def _patch(kind: str) -> Json:
    problems = problem_responses("not_found", "patch_type", *_OF_BODIES, *_OF_CONDITIONS, *ALWAYS)
    body = {"schema": {"type": "object"}, "examples": {"patch": {"value": dict(examples.PATCHES[kind])}}}
    content = {"application/merge-patch+json": body, "application/json": body}
    return _operation(
        kind,
        "patch",
        "Change the fields that are named (RFC 7396): objects merge, null sets back to the default",
        _replaced(kind, "Changed.") | problems,
        parameters=[_record_id(), *_conditions("If-Match")],
        requestBody={"required": True, "content": content},
    )


def _check(kind: str) -> Json:
    shown = _ref(_shown_name(kind))
    properties = {
        "action": {"enum": ["create", "update", "nothing"]},
        "changed": {"type": "array", "items": _STRING, "description": "Fields, and members that are masked."},
        "current": {"anyOf": [shown, {"type": "null"}]},
        "record": {"type": "object", "description": "As it would be, secrets masked."},
    }
    schema = {"type": "object", "required": list(properties), "properties": properties}
    example = {"action": "nothing", "changed": [], "current": examples.shown(kind), "record": examples.shown(kind)}
    responses = {"200": {"description": "What a PUT would do.", "content": _json(schema, check=example)}}
    problems = problem_responses(*(code for code in _OF_BODIES if code != "not_confirmed"), *ALWAYS)
    summary = "What a PUT of this would change; writes nothing"
    return _operation(kind, "check", summary, responses | problems, parameters=[_record_id()], requestBody=_body(kind))


def _delete(kind: str) -> Json:
    schema = {
        "type": "object",
        "required": ["dry_run", "counts", "data", "truncated"],
        "properties": {
            "dry_run": {"const": True},
            "counts": _COUNTS,
            "data": {"type": "array", "items": _reference_schema()},
            "truncated": {"type": "boolean"},
        },
    }
    one = {"kind": kind, "id": examples.REQUESTS[kind]["id"]}
    preview = {"dry_run": True, "counts": {kind: 1}, "data": [one], "truncated": False}
    responses: Json = {
        "200": {"description": "What `dry_run=true` would delete.", "content": _json(schema, preview=preview)},
        "204": {"description": "Deleted, and what referred to it before it."},
    }
    codes = ("not_found", "invalid_parameter", "in_use", "not_confirmed", *_OF_CONDITIONS, *ALWAYS)
    parameters = [_record_id(), *parameters_of(DeleteQuery), *_conditions("If-Match")]
    summary = "Delete one, after all that refers to it; a repeat finishes what was interrupted"
    return _operation(kind, "delete", summary, responses | problem_responses(*codes), parameters=parameters)


def _reference_schema() -> Json:
    return {
        "type": "object",
        "required": ["kind", "id"],
        "properties": {"kind": {"enum": list(SPECS)}, "id": _STRING, "name": _STRING},
    }


def _get_references(kind: str) -> Json:
    schema = page_schema(_reference_schema())
    schema["required"].append("counts")
    schema["properties"]["counts"] = _COUNTS
    child = CHILDREN.get(kind)
    data = [{"kind": child, "id": examples.REQUESTS[child]["id"], "name": "Its name"}] if child else []
    counts = {child: 1} if child else {}
    content = _json(schema, references={"data": data, "next_cursor": None, "counts": counts})
    found = {"200": {"description": "A page of what refers to it, and how many there are.", "content": content}}
    responses = found | problem_responses("not_found", *_OF_PAGES, *ALWAYS)
    parameters = [_record_id(), *parameters_of(Paging)]
    return _operation(kind, "get_references", "What refers to it", responses, parameters=parameters)
