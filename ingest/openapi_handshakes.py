"""What the OpenAPI document says of the questions that senders ask before they send."""

from typing import Any

from ingest.openapi_problems import problem_responses

Json = dict[str, Any]

_TEXT = {"schema": {"type": "string"}}
_PROOF = "Some providers ask with a GET whether a URL is its owner's: Meta for `hub.challenge`, X for its `crc_token`."
_LEAVE = "HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4: abuse protection of CloudEvents senders."
_ANYWHERE = (
    "auth_type_unknown",
    "topic_not_found",
    "source_not_found",
    "host_not_allowed",
    "internal_error",
    "unavailable",
)


def handshake_operations(operation_id: str, parameter: str, *problems: str) -> dict[str, Json]:
    """GET and OPTIONS of a path that takes events."""
    parameters = [{"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}]
    refused = ("challenge_malformed", "token_missing", "token_mismatch", "secret_missing")
    return {
        "get": {
            "tags": ["ingest"],
            "summary": "Answer the provider that asks whose URL this is",
            "description": _PROOF,
            "operationId": f"{operation_id}_handshake",
            "parameters": parameters,
            "responses": {"200": {"description": "The answer, as the provider wants it.", "content": _ANSWERS}}
            | problem_responses(*problems, *refused, "method_not_allowed", *_ANYWHERE),
        },
        "options": {
            "tags": ["ingest"],
            "summary": "Give a sender of CloudEvents leave to send",
            "description": _LEAVE,
            "operationId": f"{operation_id}_leave",
            "parameters": [*parameters, {"name": "WebHook-Request-Origin", "in": "header", **_TEXT}],
            "responses": {
                "200": {"description": "It may send, at any rate.", "headers": dict.fromkeys(_LEAVES, _TEXT)},
                "204": {"description": "It did not ask; `Allow` says what may be done.", "headers": {"Allow": _TEXT}},
            }
            | problem_responses(*problems, "bad_origin", *_ANYWHERE),
        },
    }


_LEAVES = ("Allow", "WebHook-Allowed-Origin", "WebHook-Allowed-Rate")
_ANSWERS = {
    "text/plain": {"schema": {"type": "string"}, "examples": {"meta": {"value": "1158201444"}}},
    "application/json": {
        "schema": {"type": "object"},
        "examples": {"x": {"value": {"response_token": "sha256=x0mYd8hz2goCTfcNAaMqENy2BFgJJfJOb4PdvTffpwg="}}},
    },
}
