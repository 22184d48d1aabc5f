"""Makes the event that a request, or an item of it, is."""

import time
from dataclasses import dataclass

from ingest.received import Received
from ingest.reception import Reception
from ingest.trace import traceparent_of
from rules.identify import identify
from rules.told import Item
from schemas.event import Event
from schemas.ids import new_id


@dataclass(frozen=True, slots=True)
class Common:
    """What every event of one request has."""

    content_type: str
    traceparent: str
    request_headers: tuple[tuple[str, str], ...]
    received_ms: int

    @classmethod
    def of(cls, reception: Reception, content_type: str) -> "Common":
        """That of a request, of which all is known."""
        return cls(
            content_type, traceparent_of(reception.headers), reception.kept_headers(), time.time_ns() // 1_000_000
        )


def make_event(
    reception: Reception, received: Received, item: Item, common: Common, among: str = ""
) -> tuple[Event, str]:
    """The event that an item is, and the key of its record.

    Args:
        reception: the request that brought it.
        received: whose rules apply.
        item: the event's bytes, and what their envelope says.
        common: what all events of the request have.
        among: tells it from the other items of its request; empty when it is the only one.
    """
    topic, source = received.destination.topic, received.destination.source
    identity = identify(
        topic,
        # A type or an id is told to everybody: a rule of a topic must not make one of a sender's credentials.
        reception.headers.without(reception.credentials or frozenset()),
        item.body,
        event_type=source.verifier.event_type,
        dedup_id=source.verifier.dedup_id,
        told=item.told,
        item=among,
    )
    event = Event(
        event_id=new_id(),
        topic_id=topic.id,
        source_id=source.spec.id,
        event_type=identity.event_type,
        received_ms=common.received_ms,
        body=item.body,
        content_type=common.content_type,
        source_ip=reception.source_ip,
        dedup_id=identity.dedup_id,
        traceparent=common.traceparent,
        request_headers=common.request_headers,
    )
    return event, identity.partition_key(event.event_id)
