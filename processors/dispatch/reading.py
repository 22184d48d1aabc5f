"""A record of the events stream, read: the event in it, or why there is none."""

from dataclasses import dataclass
from typing import Self

from aiokafka import ConsumerRecord

from rules.dedup import Sighting
from schemas.delivery import MAX_INLINE_BODY_BYTES, BodyRef
from schemas.event import Event, decode_event
from schemas.headers import MalformedRecordError
from schemas.ids import dedup_hash
from schemas.streams import MAX_RECORD_BYTES

MAX_CARRIED_BYTES = MAX_RECORD_BYTES - MAX_INLINE_BODY_BYTES - 65_536
"""Of what a delivery takes over from the event's headers, which may be anything when it was produced past ingest: with
an inline body and the delivery's own headers it must fit into a record."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A record of the events stream.

    Attributes:
        event: what it holds, or `None`.
        error: why it holds nothing that can be delivered, or empty.
        sighting: of an event that its sender gave an id. One that cannot be delivered has none: a repetition of it
            must not be taken for one of something that was.
        body_ref: where its body stays, when it is too large to travel.
    """

    record: ConsumerRecord
    event: Event | None = None
    error: str = ""
    sighting: Sighting | None = None
    body_ref: BodyRef | None = None

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """Reads a record."""
        try:
            event = decode_event(record.value, record.headers)
        except MalformedRecordError as error:
            return cls(record, error=str(error))
        carried = sum(len(text) for text in (event.event_type, event.content_type, event.traceparent))
        if 4 * carried > MAX_CARRIED_BYTES:  # a character takes up to four bytes
            return cls(record, error="too large to travel with a delivery's headers")
        body_ref = BodyRef.of_large(event.body, record.partition, record.offset)
        if not event.dedup_id:
            return cls(record, event, body_ref=body_ref)
        key = dedup_hash(event.topic_id, event.dedup_id, record.key or b"")
        return cls(record, event, sighting=Sighting(key, record.offset, record.timestamp), body_ref=body_ref)
