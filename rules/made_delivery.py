"""What an event makes for a subscription that gets it: the same when it comes, again, or only to be looked at."""

from schemas.config import SubscriptionSpec
from schemas.delivery import MAX_INLINE_BODY_BYTES, BodyRef, Delivery
from schemas.event import Event
from schemas.headers import headers_text
from schemas.ids import delivery_id
from schemas.stored import Record
from schemas.streams import MAX_RECORD_BYTES

MAX_CARRIED_BYTES = MAX_RECORD_BYTES - MAX_INLINE_BODY_BYTES - 65_536
"""Of what a delivery takes over from the event's headers, which may be anything when it was produced past ingest: with
an inline body and the delivery's own headers it must fit into a record."""


def travels(event: Event) -> bool:
    """Whether an event can be delivered: its type and the like must fit into the headers of a record."""
    carried = sum(len(text) for text in (event.event_type, event.content_type, event.traceparent))
    return 4 * carried <= MAX_CARRIED_BYTES  # a character takes up to four bytes


def delivery_of(
    event: Event, subscription: Record[SubscriptionSpec], config_version: int, body_ref: BodyRef | None
) -> Delivery:
    """What an event makes for a subscription that gets it."""
    return Delivery(
        delivery_id=delivery_id(event.event_id, subscription.spec.id, subscription.generation),
        event_id=event.event_id,
        subscription_id=subscription.spec.id,
        topic_id=event.topic_id,
        source_id=event.source_id,
        event_type=event.event_type,
        generation=subscription.generation,
        config_version=config_version,
        received_ms=event.received_ms,
        body=b"" if body_ref else event.body,
        body_ref=body_ref,
        content_type=event.content_type,
        traceparent=event.traceparent,
        request_headers=_carried_headers(event) if subscription.spec.transform else (),
    )


def _carried_headers(event: Event) -> tuple[tuple[str, str], ...]:
    # Ingest keeps so few that they fit. Where they do not, the event was produced past it, and a transform that reads
    # a header fails and says so.
    size_bytes = len(event.body) + len(headers_text(event.request_headers).encode())
    return event.request_headers if size_bytes <= MAX_CARRIED_BYTES else ()
