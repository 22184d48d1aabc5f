"""What a subscription is sent of an event: the bytes as they came, or what its transform and format make of them.

It is made anew for each attempt, so that a mended transform works for what waits. The log keeps the raw body.
"""

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from msgspec.structs import replace

from rules.cel import BadExpressionError, Failure, compile_transform, seconds_text
from rules.view import EventView
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery
from schemas.headers import rfc3339

JSON = "application/json"
CLOUDEVENTS_JSON = "application/cloudevents+json"
"""CloudEvents 1.0.2, JSON event format, section 3."""

MAX_TRANSFORMED_BYTES = 1_048_576
"""As large as the largest event that ingest takes, unless it is set otherwise: no endpoint expects more of a hook."""

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z
"""CEL's maps have no order: sorted, each attempt sends the same bytes."""


TRANSFORM_FAILED = "transform_failed"
"""Reason of a dead letter without a request."""


class TransformFailedError(Exception):
    """Make no request and no other attempt: the transform gives nothing that can be sent. The message says why."""


@dataclass(frozen=True, slots=True)
class _Content:
    """Attributes: body, content_type as they would be sent raw."""

    body: bytes
    content_type: str


def formed(delivery: Delivery, spec: SubscriptionSpec) -> Delivery:
    """The delivery with the body and the content type that are sent.

    Raises:
        TransformFailedError: the transform cannot be evaluated for this event.
    """
    content = _Content(delivery.body, delivery.content_type)
    if spec.transform:
        content = _Content(_transformed(delivery, spec.transform), JSON)
    if spec.format == "envelope":
        content = _Content(orjson.dumps(_envelope(delivery) | _data(content)), JSON)
    elif spec.format == "cloudevents":
        content = _Content(orjson.dumps(_cloud_event(delivery, content) | _data(content)), CLOUDEVENTS_JSON)
    if content.body is delivery.body:
        return delivery
    return replace(delivery, body=content.body, content_type=content.content_type)


def _transformed(delivery: Delivery, text: str) -> bytes:
    try:
        value = EventView(delivery).evaluate(compile_transform(text))
        if isinstance(value, Failure):
            raise TransformFailedError(value.detail)
        body = orjson.dumps(value, default=_as_json, option=_OPTIONS)
    except BadExpressionError as error:
        raise TransformFailedError(str(error)) from error
    except orjson.JSONEncodeError as error:
        raise TransformFailedError(f"its value is no JSON: {error.__cause__ or error}") from error
    if len(body) > MAX_TRANSFORMED_BYTES:
        raise TransformFailedError(f"its value takes {len(body)} bytes, and at most {MAX_TRANSFORMED_BYTES} are sent")
    return body


def _as_json(value: Any) -> str:
    """What JSON has not, as protobuf's JSON mapping writes it."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return seconds_text(value)
    raise TypeError(f"there is no {type(value).__name__} in it")


def _envelope(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.event_id,
        "type": delivery.event_type,
        "topic": delivery.topic_id,
        "source": delivery.source_id,
        "timestamp": rfc3339(delivery.received_ms),
    }


def _cloud_event(delivery: Delivery, content: _Content) -> dict[str, Any]:
    """The attributes: CloudEvents 1.0.2, section 3.1; `topic` is an extension."""
    attributes = {
        "specversion": "1.0",
        "id": delivery.event_id,
        "source": delivery.source_id,
        "type": delivery.event_type,
        "time": rfc3339(delivery.received_ms),
        "topic": delivery.topic_id,
    }
    return attributes | ({"datacontenttype": content.content_type} if content.content_type else {})


def _data(content: _Content) -> dict[str, Any]:
    """The content as a member: JSON as it was written, text as a text, else base64 (JSON event format, section 3.1)."""
    if _is_json(content):
        return {"data": orjson.Fragment(content.body)}
    if not content.body:
        return {}
    media_type = content.content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type == "application/x-www-form-urlencoded":
        try:
            return {"data": content.body.decode()}
        except UnicodeDecodeError:
            pass  # another charset: its bytes are what is known
    return {"data_base64": base64.b64encode(content.body).decode()}


def _is_json(content: _Content) -> bool:
    media_type = content.content_type.partition(";")[0].strip().lower()
    if media_type and media_type != JSON and not media_type.endswith("+json"):
        return False
    try:
        orjson.loads(content.body)
    except orjson.JSONDecodeError:
        return False
    return True
