"""What the OpenAPI document says of the routes of API keys."""

from typing import Any

from pydantic import BaseModel

from ingest.config_queries import Paging
from ingest.key_document import KeyChange, NewKey, shown_key
from ingest.openapi_config import ALWAYS, Json, page_schema, parameters_of
from ingest.openapi_problems import problem_responses
from schemas.key import KeySpec
from schemas.stored import STAMPS, Record

_KEY_ID = "01JGKC6Y3XSPA7QZ0N8M4T5R2V"
_KEY = f"hlk_{_KEY_ID}_" + "x" * 43
_NEW = {"name": "ci", "role": "editor", "expires_at": "2027-01-02T03:04:05.000Z"}
_STRING = {"type": "string"}
_OF_BODIES = ("malformed", "body_too_slow", "too_large", "invalid", "overloaded", "not_confirmed")


def key_paths() -> dict[str, Json]:
    """The paths of API keys."""
    return {
        "/api/v1/keys": {"get": _get_page(), "post": _create()},
        "/api/v1/keys/{key_id}": {"get": _get(), "patch": _patch(), "delete": _delete()},
    }


def key_components() -> dict[str, Json]:
    """`Key` is what is answered, `NewKey` and `KeyChange` what is sent."""
    shown: Json = KeySpec.model_json_schema()
    del shown["properties"]["hash"]
    stamps = {name: {"type": "string" if name.endswith("_at") else "integer"} for name in STAMPS}
    expired = {"type": "boolean", "description": "Whether `expires_at` is over, so that it opens nothing."}
    shown["properties"] |= stamps | {"expired": expired}
    shown["required"] = [*shown["properties"]]
    return {"Key": shown, "NewKey": NewKey.model_json_schema(), "KeyChange": _change_schema()}


def _change_schema() -> Json:
    schema: Json = KeyChange.model_json_schema()
    for name in ("name", "role"):  # the defaults stand for "as it is", and are never used
        del schema["properties"][name]["default"]
    return schema


def _example() -> Json:
    created_at = "2026-01-02T03:04:05.678Z"
    spec = KeySpec(id=_KEY_ID, hash="0" * 64, name="ci", role="editor", expires_at=str(_NEW["expires_at"]))
    return shown_key(Record(spec, 17, 17, created_at, created_at)) | {"expired": False}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Json, example: Any) -> Json:
    return {"application/json": {"schema": schema, "examples": {"key": {"value": example}}}}


def _operation(name: str, summary: str, responses: Json, **more: Any) -> Json:
    return {
        "tags": ["keys"],
        "summary": summary,
        "operationId": f"keys_{name}",
        "security": [{"key": []}],
        "responses": dict(sorted(responses.items())),
    } | more


def _one() -> list[Json]:
    return [{"name": "key_id", "in": "path", "required": True, "schema": _STRING}]


def _body(model: type[BaseModel], example: Json, *media_types: str) -> Json:
    content = _content(_ref(model.__name__), example)["application/json"]
    return {"required": True, "content": dict.fromkeys(media_types or ("application/json",), content)}


def _create() -> Json:
    shown = key_components()["Key"]
    shown |= {"properties": shown["properties"] | {"key": _STRING}, "required": [*shown["required"], "key"]}
    created = {
        "description": "Made; the only answer that shows the key.",
        "headers": {"Location": {"schema": _STRING}},
        "content": _content(shown, _example() | {"key": _KEY}),
    }
    responses = {"201": created} | problem_responses(*_OF_BODIES, *ALWAYS)
    return _operation("create", "Make a key", responses, requestBody=_body(NewKey, _NEW))


def _get_page() -> Json:
    content = _content(page_schema(_ref("Key")), {"data": [_example()], "next_cursor": None})
    found = {"200": {"description": "A page, the oldest first.", "content": content}}
    responses = found | problem_responses("bad_cursor", "invalid_parameter", *ALWAYS)
    return _operation("get_page", "List", responses, parameters=parameters_of(Paging))


def _get() -> Json:
    found = {"200": {"description": "The key, without what opens.", "content": _content(_ref("Key"), _example())}}
    return _operation("get", "Read one", found | problem_responses("not_found", *ALWAYS), parameters=_one())


def _patch() -> Json:
    changed = {"200": {"description": "Changed.", "content": _content(_ref("Key"), _example())}}
    body = _body(KeyChange, {"role": "viewer", "expires_at": None}, "application/merge-patch+json", "application/json")
    responses = changed | problem_responses("not_found", "patch_type", "conflict", *_OF_BODIES, *ALWAYS)
    summary = "Change its name, role or end (RFC 7396)"
    return _operation("patch", summary, responses, parameters=_one(), requestBody=body)


def _delete() -> Json:
    gone: Json = {"204": {"description": "Revoked: it opens nothing any more."}}
    responses = gone | problem_responses("not_found", "not_confirmed", *ALWAYS)
    return _operation("delete", "Revoke one", responses, parameters=_one())
