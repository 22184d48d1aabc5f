"""A delivery: one event for one target of one subscription, on its way or waiting for its next attempt.

The same record travels through `deliveries`, the retry and park streams and `dead`: the event's body is the
value, byte for byte, and the headers say which attempt comes next and when. A large body stays where it is, in the
`events` stream, and the delivery says where.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import msgspec
from msgspec.structs import replace

from schemas.headers import (
    SPEC_VERSION,
    Headers,
    MalformedRecordError,
    epoch_ms,
    first_values,
    headers_in,
    headers_text,
    integer,
    required,
    rfc3339,
)
from schemas.streams import MAX_RECORD_BYTES

MAX_INLINE_BODY_BYTES = 65_536
"""64 KiB: the bodies of all providers but the largest. A smaller one costs less to write again, for each subscription
and each of some thirty hops of a retry, than to look up."""

_DIGEST_BYTES = 16
"""128 bits: nobody finds two bodies with one digest."""


@dataclass(frozen=True, slots=True)
class BodyRef:
    """Where a body stands in the `events` stream.

    Attributes:
        digest: blake2b of the body, 32 hex digits: a stream that was made again has other records at its offsets.
    """

    partition: int
    offset: int
    size_bytes: int
    digest: str

    @classmethod
    def of_large(cls, body: bytes, partition: int, offset: int) -> Self | None:
        """The reference that a delivery carries in the place of a body; `None` when the body itself travels."""
        if len(body) <= MAX_INLINE_BODY_BYTES:
            return None
        return cls(partition, offset, len(body), _digest(body))

    def is_of(self, body: bytes) -> bool:
        """Whether this is the very body that was meant."""
        return len(body) == self.size_bytes and _digest(body) == self.digest


def _digest(body: bytes) -> str:
    return blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()


class Delivery(msgspec.Struct, frozen=True):
    """One event for one target of one subscription.

    Attributes:
        generation: the subscription's generation that it was made for.
        config_version: how far dispatch had read the subscriptions table; deliver waits until it has, too.
        received_ms: epoch milliseconds at which the event was accepted.
        attempt: the number of the attempt to make next, from 1.
        parks: how often it was put aside before this attempt.
        due_ms: epoch milliseconds before which that attempt must not be made; 0 is at once.
        replay_id: the replay that made it, or empty.
        released_ms: epoch milliseconds at which a replay of many made it, from when its age counts; else 0.
        webhook_id: what the receiver knows it by when that is not the event's id, else empty.
        reason: why it waits or has given up, for people.
        request_headers: of the event, as it keeps them; only for a subscription with a transform.
        body_ref: where the body stands, when it does not travel along; `body` is then empty, until it was read there.
    """

    delivery_id: str
    event_id: str
    subscription_id: str
    topic_id: str
    source_id: str
    event_type: str
    generation: int
    config_version: int
    received_ms: int
    body: bytes
    content_type: str = ""
    traceparent: str = ""
    target: int = 0
    attempt: int = 1
    parks: int = 0
    due_ms: int = 0
    replay_id: str = ""
    released_ms: int = 0
    webhook_id: str = ""
    reason: str = ""
    request_headers: tuple[tuple[str, str], ...] = ()
    body_ref: BodyRef | None = None

    @property
    def value(self) -> bytes:
        """The value of its record: a body that stands elsewhere is never written again."""
        return b"" if self.body_ref else self.body

    def with_body(self, body: bytes) -> "Delivery":
        """The same delivery, with the body that its reference meant."""
        return replace(self, body=body)

    def next_attempt(self, due_ms: int, reason: str) -> "Delivery":
        """The same delivery, one attempt later."""
        return replace(self, attempt=self.attempt + 1, parks=0, due_ms=due_ms, reason=reason)

    def parked(self, due_ms: int, reason: str) -> "Delivery":
        """The same delivery and attempt, put aside once more."""
        return replace(self, parks=self.parks + 1, due_ms=due_ms, reason=reason)

    def given_up(self, reason: str) -> "Delivery":
        """The same delivery as a dead letter."""
        return replace(self, due_ms=0, reason=reason)


def encode_delivery(delivery: Delivery) -> list[tuple[str, bytes]]:
    """The headers of a delivery's record; its value is `delivery.value`."""
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", delivery.event_id.encode()),
        ("ce_source", delivery.source_id.encode()),
        ("ce_type", delivery.event_type.encode()),
        ("ce_time", rfc3339(delivery.received_ms).encode()),
        ("content-type", delivery.content_type.encode()),
        ("hl-topic", delivery.topic_id.encode()),
        ("hl-delivery-id", delivery.delivery_id.encode()),
        ("hl-subscription", delivery.subscription_id.encode()),
        ("hl-generation", b"%d" % delivery.generation),
        ("hl-config-version", b"%d" % delivery.config_version),
        ("hl-target", b"%d" % delivery.target),
        ("hl-attempt", b"%d" % delivery.attempt),
    ]
    if delivery.parks:
        headers.append(("hl-parks", b"%d" % delivery.parks))
    if delivery.due_ms:
        headers.append(("hl-due-ms", b"%d" % delivery.due_ms))
    if delivery.replay_id:
        headers.append(("hl-replay-id", delivery.replay_id.encode()))
    if delivery.released_ms:
        headers.append(("hl-released-ms", b"%d" % delivery.released_ms))
    if delivery.webhook_id:
        headers.append(("hl-webhook-id", delivery.webhook_id.encode()))
    if delivery.reason:
        headers.append(("hl-reason", delivery.reason.encode()))
    if delivery.request_headers:
        headers.append(("hl-event-headers", headers_text(delivery.request_headers).encode()))
    if delivery.traceparent:
        headers.append(("traceparent", delivery.traceparent.encode()))
    if (ref := delivery.body_ref) is not None:
        headers += [
            ("hl-body-ref", b"%d/%d" % (ref.partition, ref.offset)),
            ("hl-body-bytes", b"%d" % ref.size_bytes),
            ("hl-body-digest", ref.digest.encode()),
        ]
    return headers


def decode_delivery(value: bytes | None, headers: Headers) -> Delivery:
    """The delivery in a record.

    Raises:
        MalformedRecordError: a header is missing or cannot be read.
    """
    values = first_values(headers)
    attempt = integer(values, "hl-attempt")
    if attempt < 1:
        raise MalformedRecordError("header hl-attempt counts from 1")
    return Delivery(
        delivery_id=required(values, "hl-delivery-id"),
        event_id=required(values, "ce_id"),
        subscription_id=required(values, "hl-subscription"),
        topic_id=required(values, "hl-topic"),
        source_id=required(values, "ce_source"),
        event_type=required(values, "ce_type"),
        generation=integer(values, "hl-generation"),
        config_version=integer(values, "hl-config-version"),
        received_ms=epoch_ms(required(values, "ce_time")),
        body=value or b"",
        body_ref=_body_ref(values, value or b"") if "hl-body-ref" in values else None,
        content_type=values.get("content-type", ""),
        traceparent=values.get("traceparent", ""),
        target=integer(values, "hl-target", 0),
        attempt=attempt,
        parks=integer(values, "hl-parks", 0),
        due_ms=integer(values, "hl-due-ms", 0),
        replay_id=values.get("hl-replay-id", ""),
        released_ms=integer(values, "hl-released-ms", 0),
        webhook_id=values.get("hl-webhook-id", ""),
        reason=values.get("hl-reason", ""),
        request_headers=headers_in(values["hl-event-headers"]) if "hl-event-headers" in values else (),
    )


def _body_ref(values: dict[str, str], value: bytes) -> BodyRef:
    partition, _, offset = values["hl-body-ref"].partition("/")
    place = {"partition": partition, "offset": offset}
    size_bytes = integer(values, "hl-body-bytes")
    if value or size_bytes > MAX_RECORD_BYTES:
        raise MalformedRecordError("header hl-body-ref beside a body, or of one that no record holds")
    return BodyRef(
        partition=integer(place, "partition"),
        offset=integer(place, "offset"),
        size_bytes=size_bytes,
        digest=required(values, "hl-body-digest"),
    )
