"""A record of the events stream, read: the event in it, or why there is none."""

from dataclasses import dataclass
from typing import Self

from aiokafka import ConsumerRecord

from rules.dedup import Sighting
from rules.made_delivery import travels
from schemas.delivery import BodyRef
from schemas.event import Event, decode_event
from schemas.headers import MalformedRecordError
from schemas.ids import dedup_hash


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
        if not travels(event):
            return cls(record, error="too large to travel with a delivery's headers")
        body_ref = BodyRef.of_large(event.body, record.partition, record.offset)
        if not event.dedup_id:
            return cls(record, event, body_ref=body_ref)
        key = dedup_hash(event.topic_id, event.dedup_id, record.key or b"")
        return cls(record, event, sighting=Sighting(key, record.offset, record.timestamp), body_ref=body_ref)
