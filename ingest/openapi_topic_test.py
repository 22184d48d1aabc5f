"""What the OpenAPI document says of the route that tries a topic."""

from typing import Any

from ingest.openapi_config import ALWAYS
from ingest.openapi_problems import problem_responses

Json = dict[str, Any]

_ANSWER = {"event_id": "01JGKC6Y3XSPA7QZ0N8M4T5R2V", "status": "QUEUED", "event_type": "push"}
_SCHEMA = {
    "type": "object",
    "required": list(_ANSWER),
    "properties": {name: {"type": "string"} for name in _ANSWER},
}
_DESCRIPTION = (
    "A sample event of the source's provider, signed with the source's own secret, takes the way of a real one, to "
    "every subscription that matches. Its body has `hooklog_test`: true, its request the header `hooklog-test`."
)
_PROBLEMS = (
    "auth_type_unknown",
    "topic_not_found",
    "source_not_found",
    "too_large",
    "cannot_sign",
    "schema_mismatch",
    "event_type_unknown",
    "not_stored",
    *ALWAYS,
)


def topic_test_paths() -> dict[str, Json]:
    """The path that tries a topic."""
    content = {"application/json": {"schema": _SCHEMA, "examples": {"github": {"value": _ANSWER}}}}
    operation = {
        "tags": ["topics"],
        "summary": "Send a sample event through a topic",
        "description": _DESCRIPTION,
        "operationId": "topics_test",
        "security": [{"key": []}],
        "parameters": [{"name": "record_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"202": {"description": "Kafka has it.", "content": content}} | problem_responses(*_PROBLEMS),
    }
    return {"/api/v1/topics/{record_id}/test": {"post": operation}}
