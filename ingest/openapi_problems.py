"""Example problem documents of the OpenAPI document: made by the class that makes the real ones."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from runtime.problem import ProblemError

_RETRY_LATER = {"Retry-After": "5"}
_LIMITED = {"RateLimit-Policy": '"source";q=20;w=2', "RateLimit": '"source";r=0;t=1', "Retry-After": "1"}
_SHUT = {"RateLimit-Policy": '"address";q=60;w=60', "RateLimit": '"address";r=0;t=1', "Retry-After": "1"}
_NOT_READ = "the configuration cannot be read from Kafka now"
_NOT_CONFIRMED = "not confirmed in time; it may still take effect, so look before you repeat it"
_INVALID = [
    {"field": "retry.delays_s.0", "message": "Input should be greater than or equal to 1"},
    {"field": "target_url", "message": "must be an http or https URL with a host"},
]
_REFERENCES = [{"kind": "topics", "id": "orders"}, {"kind": "topics", "id": "payments"}]
_STORED_ITEM = {"index": 0, "event_id": "01JGKC6Y3XSPA7QZ0N8M4T5R2V", "status": "QUEUED", "code": None}


def _item(status: str, code: str, detail: str) -> dict[str, Any]:
    return {"index": 1, "event_id": None, "status": status, "code": code, "detail": detail}


PROBLEMS: Mapping[str, ProblemError] = MappingProxyType(
    {
        "no_http": ProblemError(400, "malformed", "this is no HTTP/1.1 request"),
        "connect": ProblemError(501, "connect", "this is no proxy"),
        "head_too_slow": ProblemError(408, "head_too_slow", "the head came too slowly"),
        "head_too_large": ProblemError(431, detail="the head may have at most 100 header lines"),
        "transfer_coding": ProblemError(501, "transfer_coding", "Transfer-Encoding is not taken, except chunked"),
        "http_version": ProblemError(505, detail="only HTTP/1.1 and HTTP/1.0 are taken"),
        "malformed": ProblemError(400, detail="the body is not JSON: unexpected end of data: line 1 column 2 (char 1)"),
        "no_batch": ProblemError(400, detail="the body is no JSON array: Expected `array`, got `object`"),
        "cloudevent_invalid": ProblemError(
            400,
            "cloudevent_invalid",
            "CloudEvents attribute source is missing",
            errors=[{"field": "source", "message": "is missing"}],
        ),
        "items_invalid": ProblemError(
            400,
            "items_refused",
            "1 of 2 items are stored; the others are REFUSED",
            items=[_STORED_ITEM, _item("REFUSED", "cloudevent_invalid", "CloudEvents attribute source is missing")],
        ),
        "bad_cursor": ProblemError(400, detail="the cursor is none of ours; leave it out to begin again"),
        "bad_origin": ProblemError(400, detail="WebHook-Request-Origin is no DNS name"),
        "bad_condition": ProblemError(400, detail='If-Match must be * or quoted tags, such as "17"'),
        "admin_key_missing": ProblemError(
            401, detail="send Authorization: Bearer <key>", headers={"WWW-Authenticate": "Bearer"}
        ),
        "role": ProblemError(403, "role", "this needs the role editor, and the key has the role viewer"),
        "signature_missing": ProblemError(403, "signature_missing", "header x-hub-signature-256 is missing"),
        "signature_malformed": ProblemError(403, "signature_malformed", "the signature has not the length of one"),
        "signature_mismatch": ProblemError(
            403, "signature_mismatch", "no secret of the source makes this signature of this body"
        ),
        "timestamp_missing": ProblemError(403, "timestamp_missing", "header webhook-timestamp is missing"),
        "timestamp_malformed": ProblemError(
            403, "timestamp_malformed", "the signed time is not whole seconds since 1970"
        ),
        "timestamp_too_old": ProblemError(403, "timestamp_too_old", "the signed time is more than 300 s ago"),
        "timestamp_too_new": ProblemError(403, "timestamp_too_new", "the signed time is more than 300 s ahead"),
        "id_missing": ProblemError(403, "id_missing", "header webhook-id is empty"),
        "id_malformed": ProblemError(403, "id_malformed", "header webhook-id is there 2 times"),
        "challenge_malformed": ProblemError(
            403, "challenge_malformed", "it is no GET with hub.mode=subscribe and a hub.challenge"
        ),
        "token_missing": ProblemError(403, "token_missing", "header Authorization is missing"),
        "token_malformed": ProblemError(403, "token_malformed", "header Authorization does not start with Bearer"),
        "token_mismatch": ProblemError(403, "token_mismatch", "it is no secret of the source"),
        "credentials_missing": ProblemError(403, "credentials_missing", "header Authorization is missing"),
        "credentials_malformed": ProblemError(
            403, "credentials_malformed", "header Authorization does not start with Basic"
        ),
        "credentials_mismatch": ProblemError(403, "credentials_mismatch", "it is no secret of the source"),
        "body_malformed": ProblemError(403, "body_malformed", "the body is not application/x-www-form-urlencoded"),
        "body_hash_missing": ProblemError(
            403, "body_hash_missing", "the body is no application/x-www-form-urlencoded, and the URL has no bodySHA256"
        ),
        "body_hash_mismatch": ProblemError(
            403, "body_hash_mismatch", "bodySHA256 in the URL is not the hash of this body"
        ),
        "secret_missing": ProblemError(403, "secret_missing", "the source has no secret to verify with"),
        "auth_type_unknown": ProblemError(
            403, "auth_type_unknown", "the source names a verification that does not exist here"
        ),
        "address_not_allowed": ProblemError(403, "address_not_allowed", "192.0.2.17 may not send for this source"),
        "not_found": ProblemError(404),
        "topic_not_found": ProblemError(404, "topic_not_found", "there is no such topic"),
        "source_not_found": ProblemError(404, "source_not_found", "there is no source shop"),
        "no_topic": ProblemError(404, "no_default_topic", "the source has no topic"),
        "method_not_allowed": ProblemError(405, detail="send events with POST", headers={"Allow": "POST, OPTIONS"}),
        "body_too_slow": ProblemError(408, "body_too_slow", "no complete body after 30 s"),
        "exists": ProblemError(
            409,
            "exists",
            "there is one with this id",
            errors=[{"field": "id", "message": "there is one with this id"}],
        ),
        "conflict": ProblemError(409, detail="others changed it at every try; send If-Match with the version you read"),
        "in_use": ProblemError(
            409,
            "in_use",
            "2 topics refer to it; delete them first, or leave out cascade=false",
            counts={"topics": 2},
            references=_REFERENCES,
        ),
        "many_topics": ProblemError(
            409,
            "no_default_topic",
            "the source has 2 topics and none has its id: send to /api/v1/ingest/{topic_id}",
        ),
        "version_changed": ProblemError(412, detail="there is version 18 now"),
        "too_large": ProblemError(413, detail="the body may have at most 1048576 bytes", max_body_bytes=1_048_576),
        "content_encoding": ProblemError(
            415,
            "content_encoding",
            "Content-Encoding gzip is not taken: send it plain",
            headers={"Accept-Encoding": "identity"},
        ),
        "too_many_items": ProblemError(
            413, "too_many_items", "a batch has at most 500 items; this one has 501", max_items=500
        ),
        "items_too_large": ProblemError(
            413,
            "items_refused",
            "1 of 2 items are stored; the others are REFUSED",
            items=[_STORED_ITEM, _item("REFUSED", "too_large", "it is too large for one record with the headers")],
        ),
        "batch_type": ProblemError(
            415, detail="a batch is of type application/json, application/x-ndjson, not text/plain"
        ),
        "patch_type": ProblemError(
            415,
            detail="a patch is of type application/merge-patch+json",
            headers={"Accept-Patch": "application/merge-patch+json, application/json"},
        ),
        "host_not_allowed": ProblemError(421, detail="add the name to HOOKLOG_ALLOWED_HOSTS"),
        "invalid": ProblemError(422, "invalid", "wrong: retry.delays_s.0, target_url", errors=_INVALID),
        "cannot_sign": ProblemError(
            422, "cannot_sign", "auth_config.url has no path, so that the URL to sign is not known"
        ),
        "invalid_parameter": ProblemError(
            422,
            "invalid",
            "wrong parameters: colour",
            errors=[{"field": "colour", "message": "is unknown here"}],
        ),
        "schema_mismatch": ProblemError(
            422,
            "schema_mismatch",
            "not as the schema of order.created says: /order/id is not of type integer",
            errors=[{"field": "/order/id", "message": "is not of type integer"}],
        ),
        "event_type_unknown": ProblemError(422, "event_type_unknown", "the topic has no event type order.archived"),
        "rate_limited": ProblemError(
            429, "rate_limited", "the source may send 10 a second, 20 at once", headers=_LIMITED
        ),
        "too_many_failures": ProblemError(
            429, "too_many_failures", "too many requests from here were refused", headers=_SHUT
        ),
        "too_many_wrong_keys": ProblemError(
            429, "too_many_failures", "too many wrong keys came from here", headers={"Retry-After": "2"}
        ),
        "internal_error": ProblemError(500, detail="the failure is in the service's log"),
        "unavailable": ProblemError(503, detail=_NOT_READ, headers=_RETRY_LATER),
        "not_confirmed": ProblemError(503, "not_confirmed", _NOT_CONFIRMED, headers=_RETRY_LATER),
        "not_stored": ProblemError(
            503, "not_stored", "Kafka has not confirmed the event; send it again", headers=_RETRY_LATER
        ),
        "items_not_stored": ProblemError(
            503,
            "items_not_stored",
            "1 of 2 items are stored; send again those that are NOT_STORED, or all of them",
            headers=_RETRY_LATER,
            items=[_STORED_ITEM, _item("NOT_STORED", "not_stored", "Kafka has not confirmed it; send it again")],
        ),
        "overloaded": ProblemError(503, "overloaded", "too much is waiting to be stored", headers=_RETRY_LATER),
    }
)
"""By the name of the example; the code is the same wherever one status has one reason."""

OF_THE_SERVER = ("no_http", "connect", "head_too_slow", "head_too_large", "transfer_coding", "http_version")
"""What the server refuses before there is a request: any operation may get it."""

_HEADER_SCHEMA = {"schema": {"type": "string"}}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details. Other members are named where they occur.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; for programs."},
        "detail": {"type": "string", "description": "For people; may change."},
        "errors": {
            "type": "array",
            "description": "Every bad field or parameter.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def problem_responses(*names: str) -> dict[str, Any]:
    """The responses of an operation that are problem documents, with an example for each name, by status."""
    by_status: dict[int, dict[str, ProblemError]] = defaultdict(dict)
    for name in names:
        by_status[PROBLEMS[name].status][name] = PROBLEMS[name]
    return {str(status): _response(problems) for status, problems in sorted(by_status.items())}


def _response(problems: dict[str, ProblemError]) -> dict[str, Any]:
    documents = {name: orjson.loads(problem.response().body) for name, problem in problems.items()}
    codes = ", ".join(dict.fromkeys(f"`{document['code']}`" for document in documents.values()))
    title = next(iter(documents.values()))["title"]
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "examples": {name: {"value": document} for name, document in documents.items()},
    }
    response = {"description": f"{title}: {codes}.", "content": {"application/problem+json": content}}
    having = Counter(name for problem in problems.values() for name in problem.headers)
    headers = {name: _HEADER_SCHEMA | {"required": count == len(problems)} for name, count in having.items()}
    return response | ({"headers": headers} if headers else {})
