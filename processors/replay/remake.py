"""One item of a replay: the deliveries that it makes, or why it makes none."""

from collections.abc import Callable

from aiokafka import ConsumerRecord
from msgspec.structs import replace

from processors.dispatch.reading import Reading
from rules.made_delivery import delivery_of
from rules.match import judge, topics_named_for
from rules.view import EventView
from runtime.kafka import Outgoing
from schemas.config import SubscriptionSpec
from schemas.delivery import BodyRef, Delivery, encode_delivery
from schemas.event import Event
from schemas.ids import delivery_id
from schemas.replay import ANY_GENERATION, COPIED, Destination, Item, Replay
from schemas.stored import Record
from schemas.streams import DELIVERIES

EVENT_EXPIRED = "event_expired"
EVENT_OTHER = "event_other"
EVENT_UNREADABLE = "event_unreadable"
SUBSCRIPTION_DELETED = "subscription_deleted"
SUBSCRIPTION_RECREATED = "subscription_recreated"
OTHER_TOPIC = "topic"
TOO_LARGE = "too_large"

Subscriptions = Callable[[str], Record[SubscriptionSpec] | None]
"""The subscription of an id, as it is now."""


class Remaker:
    """Makes deliveries again.

    A subscription gets what it would get if the event came now: one that has become inactive or wants other types gets
    nothing. The ids are made of the replay's, so that a part of it that is done twice makes the same deliveries.

    Args:
        replay: which.
        subscriptions: as they are now.
        config_version: how far the subscriptions table was read.
        now_ms: epoch milliseconds; from then on the age of the deliveries counts.
    """

    def __init__(self, replay: Replay, subscriptions: Subscriptions, config_version: int, now_ms: int) -> None:
        self._replay = replay
        self._subscriptions = subscriptions
        self._config_version = config_version
        self._now_ms = now_ms

    def make(self, item: Item, destination: Destination, record: ConsumerRecord | None) -> tuple[list[Delivery], str]:
        """The deliveries, and the reason when there are none.

        Args:
            item: what is wanted.
            destination: for whom.
            record: what stands where the event should, if anything does.
        """
        if record is None:
            return [], EVENT_EXPIRED
        reading = Reading.of(record)
        event = reading.event
        if event is None or event.event_id != item.event_id:
            return [], EVENT_OTHER if event else EVENT_UNREADABLE
        subscription = self._subscriptions(destination.subscription_id)
        if subscription is None:
            return [], SUBSCRIPTION_DELETED
        if destination.generation not in {ANY_GENERATION, subscription.generation}:
            return [], SUBSCRIPTION_RECREATED
        # A body that the events stream does not keep travels along.
        return self._judged(event, None if item.partition == COPIED else reading.body_ref, subscription)

    def _judged(
        self, event: Event, body_ref: BodyRef | None, subscription: Record[SubscriptionSpec]
    ) -> tuple[list[Delivery], str]:
        if subscription.spec.topic_id not in topics_named_for(event.topic_id):
            return [], OTHER_TOPIC
        if reason := judge(subscription.spec, EventView(event)).reason:
            return [], reason
        made = self._again(delivery_of(event, subscription, self._config_version, body_ref))
        return ([made], "") if outgoing(made).fits else ([], TOO_LARGE)

    def _again(self, delivery: Delivery) -> Delivery:
        replay_id = self._replay.replay_id
        new_id = delivery_id(
            delivery.event_id, delivery.subscription_id, delivery.generation, delivery.target, replay_id
        )
        return replace(
            delivery,
            delivery_id=new_id,
            replay_id=replay_id,
            released_ms=self._now_ms,
            webhook_id=new_id if self._replay.new_id else "",
        )


def outgoing(delivery: Delivery) -> Outgoing:
    """The record of a delivery that is due now."""
    return Outgoing(DELIVERIES, delivery.value, delivery.subscription_id.encode(), encode_delivery(delivery))
