"""One event joined with the subscriptions: the deliveries it makes, and why it makes no others."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rules.match import skip_reason
from schemas.config import SubscriptionSpec
from schemas.delivery import BodyRef, Delivery
from schemas.dispatch import MAX_LISTED_SKIPS, Skip
from schemas.event import Event
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
    event: Event,
    subscriptions: Iterable[Record[SubscriptionSpec]],
    config_version: int,
    body_ref: BodyRef | None = None,
) -> Join:
    """Matches an event with the subscriptions of its topic; with a reference the body stays where it is."""
    deliveries: list[Delivery] = []
    skipped: Counter[str] = Counter()
    skips: list[Skip] = []
    for subscription in subscriptions:
        reason = skip_reason(subscription.spec, event.event_type)
        if not reason:
            deliveries.append(_delivery(event, subscription, config_version, body_ref))
            continue
        skipped[reason] += 1
        if len(skips) < MAX_LISTED_SKIPS:
            skips.append(Skip(subscription.spec.id, reason))
    return Join(deliveries, dict(skipped), skips)


def _delivery(
    event: Event, subscription: Record[SubscriptionSpec], config_version: int, body_ref: BodyRef | None
) -> Delivery:
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
    )
