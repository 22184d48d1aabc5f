"""What came of a delivery, one record an attempt, in the delivery's own partition number."""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.delivery import Delivery
from schemas.values import decode_value


class AttemptKind(StrEnum):
    """What an attempt record says."""

    ATTEMPT = "attempt"
    """One request was made."""
    OUTCOME = "outcome"
    """The delivery ended without a request: cancelled or expired."""
    PARKED = "parked"
    """It was put aside without a request, and `reason` says why; it comes again as `parks` + 1."""
    LEASE = "lease"
    """A request was on the wire when its worker lost the partition: wait until `until_ms` for its outcome."""


class AttemptStatus(StrEnum):
    """The state that a delivery is in after an attempt."""

    SUCCESS = "SUCCESS"
    RETRYING = "RETRYING"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a delivery, or its end without one, or a lease.

    Attributes:
        attempt: the number of the attempt, from 1.
        parks: how often the delivery had been put aside before this attempt.
        received_ms: epoch milliseconds at which the event was accepted.
        started_ms: epoch milliseconds at which the request started.
        next_attempt_ms: epoch milliseconds of the next attempt; 0 when there is none.
        response_status_code: HTTP status; 0 when no answer came.
        response_body: the beginning of the answer, as text.
        error: what went wrong without an answer, such as `connect_timeout`, or empty.
        reason: why the delivery ended or waits, such as `http_500`, or empty.
        until_ms: of a lease, epoch milliseconds.
    """

    kind: AttemptKind = AttemptKind.ATTEMPT
    delivery_id: str
    event_id: str
    subscription_id: str
    topic_id: str
    source_id: str
    event_type: str
    generation: int
    attempt: int
    parks: int = 0
    status: AttemptStatus = AttemptStatus.RETRYING
    received_ms: int
    started_ms: int
    duration_ms: int = 0
    next_attempt_ms: int = 0
    response_status_code: int = 0
    response_body: str = ""
    error: str = ""
    reason: str = ""
    target_url: str = ""
    config_version: int = 0
    replay_id: str = ""
    until_ms: int = 0

    @property
    def ends(self) -> bool:
        """Whether the delivery needs nothing more after it."""
        told = self.kind in {AttemptKind.ATTEMPT, AttemptKind.OUTCOME}
        return told and self.status is not AttemptStatus.RETRYING


_DECODER = msgspec.json.Decoder(Attempt)


def identity_of(delivery: Delivery) -> dict[str, Any]:
    """What an attempt record says of its delivery."""
    return {
        "delivery_id": delivery.delivery_id,
        "event_id": delivery.event_id,
        "subscription_id": delivery.subscription_id,
        "topic_id": delivery.topic_id,
        "source_id": delivery.source_id,
        "event_type": delivery.event_type,
        "generation": delivery.generation,
        "attempt": delivery.attempt,
        "parks": delivery.parks,
        "received_ms": delivery.received_ms,
        "config_version": delivery.config_version,
        "replay_id": delivery.replay_id,
    }


def encode_attempt(attempt: Attempt) -> bytes:
    """An attempt record's value, JSON."""
    return msgspec.json.encode(attempt)


def decode_attempt(value: bytes | None) -> Attempt:
    """The attempt in a record's value.

    Raises:
        MalformedRecordError: it is no attempt record.
    """
    return decode_value(_DECODER, value, "an attempt record")
