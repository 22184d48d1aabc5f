"""One event joined with the subscriptions: the deliveries it makes, and why it makes no others."""

from dataclasses import dataclass

from processors.dispatch.index import SubscriptionIndex
from rules.made_delivery import delivery_of
from rules.view import EventView
from schemas.delivery import BodyRef, Delivery
from schemas.dispatch import Skip
from schemas.event import Event


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
