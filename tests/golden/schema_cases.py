"""As `cases`: what a topic says of an event type, and an event that is not so."""

from schemas.event import Event
from schemas.event_types import EventTypeSpec

ORDER_CREATED = EventTypeSpec.model_validate(
    {
        "schema": {"required": ["kind"], "properties": {"note": {"const": None}}},
        "description": "An order came in",
        "on_invalid": "refuse",
    }
)

MARKED = {
    "event_unlike_its_schema": Event(
        event_id="01JD8Z6Q3M8T5V7X9Y2A4C6E8G",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        received_ms=1_767_323_045_678,
        body=b'{"id":"1"}',
        schema_fault="/id is not of type integer",
    ),
}
