"""What the OpenAPI document says of the route that takes batches."""

from typing import Any

from ingest.openapi_events import REFUSED
from ingest.openapi_items import ACCEPTED_BATCH, BATCH_PROBLEMS, BATCH_SCHEMA
from ingest.openapi_problems import problem_responses
from rules.batch import MAX_ITEMS

Json = dict[str, Any]

_EVENTS = [{"type": "order.created", "order": {"id": 17}}, {"type": "order.paid", "order": {"id": 17}}]
_CLOUD_EVENT = {"specversion": "1.0", "id": "17", "source": "/shop", "type": "order.created", "data": {"order": 17}}
_LINES = '{"type":"order.created"}\n{"type":"order.paid"}\n'
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "array"}, "examples": {"orders": {"value": _EVENTS}}},
        "application/x-ndjson": {"schema": {"type": "string"}, "examples": {"orders": {"value": _LINES}}},
        "application/cloudevents-batch+json": {
            "schema": {"type": "array"},
            "examples": {"orders": {"value": [_CLOUD_EVENT]}},
        },
    },
}
_DESCRIPTION = (
    f"At most {MAX_ITEMS} items, and as many bytes as a single request may have. Each becomes an event of its own: "
    "its body is the item's exact bytes. The signature is over the whole body. 202 means that Kafka has every item. "
    "Else the answer has the highest status that one of them alone would have had, and `items` says which are stored."
)


def batch_paths(batch_path: str) -> dict[str, Json]:
    """The path that takes batches."""
    content = {"application/json": {"schema": BATCH_SCHEMA, "examples": {"accepted": {"value": ACCEPTED_BATCH}}}}
    operation = {
        "tags": ["ingest"],
        "summary": "Take many events in with one request",
        "description": _DESCRIPTION,
        "operationId": "ingest_batch",
        "parameters": [{"name": "topic_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": _BODY,
        "responses": {"202": {"description": "All items are stored.", "content": content}}
        | problem_responses("topic_not_found", "batch_type", *BATCH_PROBLEMS, *REFUSED),
    }
    return {batch_path: {"post": operation}}
