"""One event joined with the subscriptions: the deliveries it makes, and why it makes no others."""

from dataclasses import dataclass

from processors.dispatch.index import SubscriptionIndex
from processors.dispatch.reading import MAX_CARRIED_BYTES
from rules.view import EventView
from schemas.config import SubscriptionSpec
from schemas.delivery import BodyRef, Delivery
from schemas.dispatch import Skip
from schemas.event import Event
from schemas.headers import headers_text
from schemas.ids import delivery_id
from schemas.stored import Record


@dataclass(frozen=True, slots=True)
class Join:
    """What an event leads to.

    Attributes:
        deliveries: one for each subscription that gets it.
        skipped: reason to count, of those that do not.
        skips: the first of them.
    """

    deliveries: list[Delivery]
    skipped: dict[str, int]
    skips: list[Skip]


def join(
    event: Event, index: SubscriptionIndex, config_version: int, newest: str, body_ref: BodyRef | None = None
) -> Join:
    """Matches an event with the subscriptions of its topic.

    Args:
        event: that came.
        index: of the subscriptions.
        config_version: how far their table was read.
        newest: the latest `created_at` of those that get it.
        body_ref: where the body stays, when it is too large to travel.
    """
    found = index.find(EventView(event))
    found.only_created_by(newest)
    deliveries = [delivery_of(event, subscription, config_version, body_ref) for subscription in found.matched]
    return Join(deliveries, found.skipped, found.listed())


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
