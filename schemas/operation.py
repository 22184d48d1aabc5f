"""What happened to Hooklog itself: a record for each thing that those who run it may want to know of."""

from enum import StrEnum

import msgspec

from schemas.ids import derived_id
from schemas.values import decode_value


class OperationKind(StrEnum):
    """What happened; also the event type under which subscriptions get it. A reader may meet kinds that are newer."""

    DEAD_LETTER = "dead_letter"
    CONFIG_REFUSED = "config.refused"
    SUBSCRIPTION_DISABLED = "subscription.disabled"
    SUBSCRIPTION_FAILING = "subscription.failing"
    BREAKER_OPENED = "breaker.opened"
    BREAKER_CLOSED = "breaker.closed"
    RECORD_UNREADABLE = "record.unreadable"
    RECORDS_EXPIRED = "records.expired"


class SubjectKind(StrEnum):
    """What it happened to."""

    SOURCE = "source"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    KEY = "key"
    STREAM = "stream"


Detail = dict[str, str | int | float]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Attributes:
        operation_id: a ULID that a repetition makes again where that is possible; also the id of its event.
        kind: an `OperationKind`, or one of a newer release.
        at_ms: epoch milliseconds at which it happened.
        subject_kind: a `SubjectKind`.
        subject_id: of a record, its id; of a stream, its name without the prefix. The key of the record.
        topic_id: of what it is about, when that has one: of a delivery, or of a subscription.
        message: a sentence for people.
        detail: more, for programs.
    """

    operation_id: str
    kind: str
    at_ms: int
    subject_kind: str
    subject_id: str
    topic_id: str = ""
    subscription_id: str = ""
    event_id: str = ""
    delivery_id: str = ""
    message: str = ""
    detail: Detail = msgspec.field(default_factory=dict)


def operation_id(kind: str, time_ms: int, *parts: str) -> str:
    """The id of an operation.

    Args:
        kind: of the operation.
        time_ms: near to it, and the same when it is told again: of an intake record the time at which it was stored.
        parts: what tells it from all others of its kind.
    """
    return derived_id(time_ms, "operation", kind, *parts)


_DECODER = msgspec.json.Decoder(Operation)


def encode_operation(operation: Operation) -> bytes:
    """An operation record's value, JSON; the body of its event as well."""
    return msgspec.json.encode(operation)


def decode_operation(value: bytes | None) -> Operation:
    """The operation in a record's value.

    Raises:
        MalformedRecordError: it is no operation record.
    """
    return decode_value(_DECODER, value, "an operation record")
