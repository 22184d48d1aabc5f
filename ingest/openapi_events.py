"""What the OpenAPI document says of the routes that take events, and of those that every service has."""

from typing import Any

from ingest.openapi_handshakes import handshake_operations
from ingest.openapi_items import ACCEPTED_BATCH, BATCH_PROBLEMS, BATCH_SCHEMA
from ingest.openapi_problems import OF_THE_SERVER, problem_responses

Json = dict[str, Any]

_EVENT_ID = "01JGKC6Y3XSPA7QZ0N8M4T5R2V"
REFUSED = (
    "signature_missing",
    "signature_malformed",
    "signature_mismatch",
    "timestamp_missing",
    "timestamp_malformed",
    "timestamp_too_old",
    "timestamp_too_new",
    "id_missing",
    "id_malformed",
    "token_missing",
    "token_malformed",
    "token_mismatch",
    "credentials_missing",
    "credentials_malformed",
    "credentials_mismatch",
    "body_malformed",
    "body_hash_missing",
    "body_hash_mismatch",
    "secret_missing",
    "auth_type_unknown",
    "address_not_allowed",
    "source_not_found",
    "cloudevent_invalid",
    "body_too_slow",
    "too_large",
    "content_encoding",
    "schema_mismatch",
    "event_type_unknown",
    "host_not_allowed",
    "rate_limited",
    "too_many_failures",
    "internal_error",
    "unavailable",
    "overloaded",
    "not_stored",
)
_BODY = {"content": {"*/*": {"examples": {"order": {"value": {"type": "order.created", "order": {"id": 17}}}}}}}
_QUESTION = {
    "description": "The answer that the sender wants at once: to a question that is no event, such as Slack's "
    "url_verification; or to a Kubernetes admission review, which is always allowed, and may or may not be stored.",
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "examples": {
                "slack": {"value": {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}},
                "zoom": {"value": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": "23a89b634c017e53"}},
                "kubernetes": {
                    "value": {
                        "apiVersion": "admission.k8s.io/v1",
                        "kind": "AdmissionReview",
                        "response": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True},
                    }
                },
            },
        }
    },
}
_DUPLICATE = {
    "const": True,
    "description": "There when the event is known to repeat one of the last 24 hours, by its sender's id: it is stored "
    "and delivered to nobody. A repetition that another process took may be found out only later.",
}
_DESCRIPTION = (
    "The body may be anything; it is delivered byte for byte. 202 means that Kafka has it. Where the source has a "
    "`rate_limit`, 202 also carries `RateLimit-Policy` and `RateLimit`. "
    "application/cloudevents-batch+json is answered as a batch."
)


def event_paths(topic_path: str, source_path: str) -> dict[str, Json]:
    """The paths that take events."""
    accepted = {"event_id": _EVENT_ID, "status": "QUEUED"}
    return {
        topic_path: {
            "post": _take("ingest", "Take an event in", "topic_id", accepted, "topic_not_found"),
            **handshake_operations("ingest", "topic_id"),
        },
        source_path: {
            "post": _take(
                "ingest_of_source",
                "Take an event into the source's default topic: the one with the source's id, else its only one",
                "source_id",
                accepted | {"task_id": _EVENT_ID},
                "no_topic",
                "many_topics",
            ),
            **handshake_operations("ingest_of_source", "source_id", "no_topic", "many_topics"),
        },
    }


def health_paths() -> dict[str, Json]:
    """The paths that every service has; they need no key."""
    checks = {"streams": True, "producer": True, "tables": True, "outcomes": True}
    ready = {"service": "ingest", "ready": True, "checks": checks}
    unready = {"service": "ingest", "ready": False, "checks": checks | {"tables": False}}
    return {
        "/health": _look(
            "health", "Whether it lives", {"200": _answer("It does.", {"service": "ingest", "alive": True})}
        ),
        "/ready": _look(
            "ready",
            "Whether it can do its job",
            {"200": _answer("It can.", ready), "503": _answer("A check fails; no problem document.", unready)},
        ),
        "/metrics": _look(
            "metrics",
            "Metrics for Prometheus",
            {"200": {"description": "Text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        ),
    }


def _take(operation_id: str, summary: str, parameter: str, accepted: Json, *problems: str) -> Json:
    schema = {
        "type": "object",
        "required": list(accepted),
        "properties": {"event_id": {"type": "string"}, "status": {"const": "QUEUED"}, "duplicate": _DUPLICATE}
        | {name: {"type": "string"} for name in ("task_id",) if name in accepted},
    }
    examples = {"accepted": {"value": accepted}, "batch": {"value": ACCEPTED_BATCH}}
    content = {"application/json": {"schema": {"anyOf": [schema, BATCH_SCHEMA]}, "examples": examples}}
    return {
        "tags": ["ingest"],
        "summary": summary,
        "description": _DESCRIPTION,
        "operationId": operation_id,
        "parameters": [{"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": _BODY,
        "responses": {"200": _QUESTION, "202": {"description": "Stored.", "content": content}}
        | problem_responses(*problems, *BATCH_PROBLEMS, *REFUSED, *OF_THE_SERVER),
    }


def _answer(description: str, example: Json) -> Json:
    content = {"schema": {"type": "object"}, "examples": {"answer": {"value": example}}}
    return {"description": description, "content": {"application/json": content}}


def _look(operation_id: str, summary: str, responses: Json) -> Json:
    return {
        "get": {
            "tags": ["health"],
            "summary": summary,
            "operationId": operation_id,
            "responses": responses | problem_responses("host_not_allowed", "internal_error", *OF_THE_SERVER),
        }
    }
