"""A delivery: one event for one target of one subscription, on its way or waiting for its next attempt.

The same record travels through `deliveries`, the retry and park streams and `dead`: the event's body is the
value, byte for byte, and the headers say which attempt comes next and when.
"""

from dataclasses import dataclass, replace

from schemas.headers import (
    SPEC_VERSION,
    Headers,
    MalformedRecordError,
    epoch_ms,
    first_values,
    integer,
    required,
    rfc3339,
)


@dataclass(frozen=True, slots=True)
class Delivery:
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
    """The headers of a delivery's record; its value is `delivery.body` as it is."""
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
    optional = (
        ("hl-parks", str(delivery.parks) if delivery.parks else ""),
        ("hl-due-ms", str(delivery.due_ms) if delivery.due_ms else ""),
        ("hl-replay-id", delivery.replay_id),
        ("hl-released-ms", str(delivery.released_ms) if delivery.released_ms else ""),
        ("hl-webhook-id", delivery.webhook_id),
        ("hl-reason", delivery.reason),
        ("traceparent", delivery.traceparent),
    )
    return headers + [(name, text.encode()) for name, text in optional if text]


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
    )
